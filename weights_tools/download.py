"""Install a published network: download it, check its digest, convert it, and run the self-test."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import cache_folder
from weights_tools.convert import convert
from weights_tools.registry import Entry, check_digest
from weights_tools.resume import DownloadError, download, part_files
from weights_tools.verify import verify

RETRIES = 2
PAUSE = 1.0  # s before the second attempt, twice that before the third


def get(wanted: Entry, *, keep_source: bool = False, retries: int = RETRIES) -> tuple[Path, list[str]]:
    """Download, check, convert and verify a network, unless it is already installed.

    While another process is installing a network, the function waits.

    Parameters
    ----------
    wanted : Entry
        The network, a value of `weights_tools.registry.ENTRIES`.
    keep_source : bool
        Keep the downloaded file in addition to the converted one.
    retries : int
        Number of further attempts after a failed connection.

    Returns
    -------
    path : Path
        The converted file, in `cache_folder()`.
    findings : list of str
        A sentence for each finding and step.

    Raises
    ------
    HandstyleError
        If the connection fails (the message explains how to install by hand), the digest is wrong (the message has both
        digests), or a check of the self-test fails. A downloaded file with a wrong digest is deleted, but not a file
        that the user has put there.

    Examples
    --------
    >>> import tempfile
    >>> from unittest import mock
    >>> from weights_tools.registry import entry
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, HANDSTYLE_CACHE=folder):
    ...     _ = (Path(folder) / "vgg19.h5").write_bytes(b"installed before")
    ...     get(entry("vgg19"))[1]
    ['here already']
    """
    target, place = _download_paths(wanted)
    with _locked(place.parent):
        if target.is_file():
            return target, ["here already"]
        findings = _fetch(wanted, place, retries)
        if wanted.digest is None:
            findings.append("no digest is certain: only the self-test checks it")
        try:
            findings += _convert_and_verify(wanted, place, target)
        except HandstyleError as error:
            raise HandstyleError(f"{error}; the file is kept, delete it before the next attempt") from None
        if not keep_source:
            place.unlink()
    return target, findings


def add(wanted: Entry, file: Path, *, overwrite: bool = False) -> tuple[Path, list[str]]:
    """Install a network from a file, after it has been verified.

    Parameters
    ----------
    wanted : Entry
        The network in the file.
    file : Path
        A file of any format that can be converted; it is not changed.
    overwrite : bool
        Replace the network if it is already installed.

    Returns
    -------
    path : Path
        The converted file, in `cache_folder()`.
    findings : list of str
        A sentence for each finding and step.

    Raises
    ------
    HandstyleError
        If neither the digest nor the first kernel is that of the published network, or a check of the self-test fails.

    Examples
    --------
    >>> import tempfile
    >>> from unittest import mock
    >>> from weights_tools.registry import entry
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, HANDSTYLE_CACHE=folder):
    ...     _ = (Path(folder) / "vgg19.h5").write_bytes(b"installed before")
    ...     try:
    ...         add(entry("vgg19"), Path("vgg19.pth"))
    ...     except HandstyleError as error:
    ...         print(str(error).split(",")[0])
    vgg19 is installed already
    """
    target, place = _download_paths(wanted)
    with _locked(place.parent):
        if target.is_file() and not overwrite:
            raise HandstyleError(f"{wanted.name} is installed already, {target}: overwrite it, or delete it first")
        try:
            check_digest(file, wanted.digest)
            known = wanted.digest is not None
        except HandstyleError:
            known = False
        return target, _convert_and_verify(wanted, file, target, recognized=not known)


def _download_paths(wanted: Entry) -> tuple[Path, Path]:
    place = cache_folder() / "downloads" / wanted.file
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HandstyleError(f"{place.parent}: cannot be made ({error.strerror}); set HANDSTYLE_CACHE") from None
    return cache_folder() / f"{wanted.name}.h5", place


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows: two processes that get the same network may disturb each other
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _convert_and_verify(wanted: Entry, source: Path, target: Path, recognized: bool | None = None) -> list[str]:
    # A file gets its final name only after the self-test. `recognized`: whether the first kernel must be that of the
    # published network, because there is no digest to compare.
    unproven = target.with_suffix(".unproven.h5")
    if recognized is None:
        recognized = wanted.digest is None and wanted.title is not None
    known = wanted.digest if wanted.digest and not recognized else None
    try:
        with Console(stderr=True).status("converting and verifying"):
            findings = convert(
                source,
                unproven,
                convention=wanted.convention,
                license=wanted.license,
                published=f"{wanted.name} ({known}, as published)" if known else None,
                overwrite=True,
            )
            verification = verify(unproven)
        if failed := next((check for check in verification.checks if check.passed is False), None):
            raise HandstyleError(f"{source}: fails the self-test, {failed.name}: {failed.found}")
        said = [*findings, *(check.found for check in verification.checks)]
        if recognized and not any(wanted.title and wanted.title in finding for finding in said):
            raise HandstyleError(f"{source}: it is not {wanted.title or wanted.network}, by its first kernel")
        unproven.replace(target)
    finally:
        unproven.unlink(missing_ok=True)
    return [*findings, f"self-test: {verification.summary()}"]


def _fetch(wanted: Entry, place: Path, retries: int) -> list[str]:
    if place.is_file():
        try:
            check_digest(place, wanted.digest)
        except HandstyleError as error:
            raise HandstyleError(
                f"{place}: {error}; it was put there by hand, and is kept. If it is the same network in another file: "
                f"handstyle weights add FILE --as {wanted.name}; to download it, move the file away"
            ) from None
        return [f"{place} was here already"]
    reasons = []
    for url in wanted.urls:
        arrived = place.with_name(f"{place.name}.arrived")
        reason = _download(url, arrived, retries)
        if reason is not None:
            reasons.append(f"{url}: {reason}")
            continue
        for part in (part for other in wanted.urls for part in part_files(place.parent, other)):
            part.unlink(missing_ok=True)
        try:
            check_digest(arrived, wanted.digest)
        except HandstyleError as error:
            arrived.unlink()
            raise HandstyleError(f"{place}: {error}; it was deleted") from None
        arrived.replace(place)
        return [f"downloaded from {url}"]
    kept = any(all(part.is_file() for part in part_files(place.parent, url)) for url in wanted.urls)
    raise HandstyleError(
        f"{wanted.name} could not be downloaded ({'; '.join(reasons)}); "
        + ("what has arrived is kept, and the next attempt goes on from there; or " if kept else "")
        + f"get the file by other means, put it at {place} and run handstyle weights get {wanted.name} again"
    )


def _download(url: str, target: Path, retries: int) -> str | None:
    # Returns the reason of a failure, or None.
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    for attempt in range(retries + 1):
        try:
            with Progress(
                TextColumn("downloading"), *columns, console=Console(stderr=True), transient=True
            ) as progress:
                task = progress.add_task("", total=None)
                download(
                    url,
                    target,
                    lambda done, total: progress.update(task, completed=done, total=total or None),  # noqa: B023
                )
            return None
        except DownloadError as error:
            reason = str(error)
        if attempt < retries:
            time.sleep(PAUSE * (attempt + 1))
    return reason
