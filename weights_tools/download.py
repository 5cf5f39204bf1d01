"""Get a published network: download, digest, conversion, self-test; only what passes is kept."""

import logging
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from handstyle.foundations.errors import HandstyleError
from weights_tools.convert import convert
from weights_tools.registry import Entry, cache_folder, check_digest
from weights_tools.resume import ResumingDownloader, part_files
from weights_tools.verify import verify

RETRIES = 2
TIMEOUT = 30  # s without an answer


class _Bar:
    """The bar in the terminal: its `total` is set at the start of each attempt, then it counts bytes."""

    def __init__(self, progress: Progress, name: str) -> None:
        self.progress, self.task = progress, progress.add_task(name, total=None)
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, value: int) -> None:
        self._total = value
        self.progress.update(self.task, total=value or None, completed=0)

    def update(self, count: int) -> None:
        self.progress.update(self.task, advance=count)


def get(wanted: Entry, *, keep_source: bool = False, retries: int = RETRIES) -> tuple[Path, list[str]]:
    """Download, check, convert and verify a network, unless it is here already.

    Parameters
    ----------
    wanted : Entry
        From `weights_tools.registry.ENTRIES`.
    keep_source : bool
        Keep the file as published, beside the converted one.
    retries : int
        After a connection that fails.

    Returns
    -------
    path : Path
        Of the native file, in `cache_folder()`.
    findings : list of str
        What was found and done.

    Raises
    ------
    HandstyleError
        If it cannot be had: with the manual route, where the network is the cause; with both digests, where the file
        is another one, which is deleted; with the failed check, where it is not the network it should be.
    """
    target = cache_folder() / f"{wanted.name}.h5"
    if target.is_file():
        return target, ["here already"]
    place = cache_folder() / "downloads" / wanted.file
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HandstyleError(f"{place.parent}: cannot be made ({error.strerror}); set HANDSTYLE_CACHE") from None
    findings = _fetch(wanted, place, retries)
    if wanted.digest is None:
        findings.append("no digest is known for certain: the self-test alone judges it")
    try:
        with Console(stderr=True).status("converting and verifying"):
            findings += _prove(wanted, place, target)
    except HandstyleError as error:
        raise HandstyleError(f"{error}; it is kept for a look, delete it before the next attempt") from None
    if not keep_source:
        place.unlink()
    return target, findings


def _prove(wanted: Entry, place: Path, target: Path) -> list[str]:
    # What fails the self-test never gets the name under which it would be used.
    unproven = target.with_suffix(".unproven.h5")
    try:
        findings = convert(
            place,
            unproven,
            convention=wanted.convention,
            licence=wanted.licence,
            published=f"{wanted.name} ({wanted.digest}, as published)" if wanted.digest else None,
            overwrite=True,
        )
        verification = verify(unproven)
        if failed := next((check for check in verification.checks if check.passed is False), None):
            raise HandstyleError(f"{place}: fails the self-test, {failed.name}: {failed.found}")
        if (
            wanted.digest is None
            and wanted.title is not None
            and not any(wanted.title in finding for finding in findings)
        ):
            raise HandstyleError(f"{place}: it is not {wanted.title}, by its first kernel")
        unproven.replace(target)
    finally:
        unproven.unlink(missing_ok=True)
    return [*findings, f"self-test: {verification.summary()}"]


def _fetch(wanted: Entry, place: Path, retries: int) -> list[str]:
    if place.is_file():  # the manual route
        check_digest_or_delete(place, wanted.digest)
        return [f"{place} was here already"]
    reasons = []
    for url in wanted.urls:
        reason = _download(url, place, retries)
        if reason is None:
            for other in wanted.urls:
                for part in part_files(place.parent, other):
                    part.unlink(missing_ok=True)
            check_digest_or_delete(place, wanted.digest)
            return [f"downloaded from {url}"]
        reasons.append(f"{url}: {reason}")
    kept = any(all(part.is_file() for part in part_files(place.parent, url)) for url in wanted.urls)
    raise HandstyleError(
        f"{wanted.name} could not be downloaded ({'; '.join(reasons)}); "
        + ("what has arrived is kept, and the next attempt goes on from there; or " if kept else "")
        + f"get the file by other means, put it at {place} and run handstyle weights get {wanted.name} again"
    )


def _download(url: str, place: Path, retries: int) -> str | None:
    # Returns why not, or None.
    try:
        import pooch
        import requests
    except ImportError:
        raise HandstyleError("downloads need pooch: pip install 'handstyle[weights]'") from None
    pooch.get_logger().setLevel(logging.ERROR)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    keeper = pooch.create(
        place.parent, "", registry={place.name: None}, urls={place.name: url}, retry_if_failed=retries
    )
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            downloader = ResumingDownloader(place.parent, _Bar(progress, "downloading"), TIMEOUT)
            keeper.fetch(place.name, downloader=downloader)
    except requests.exceptions.HTTPError as error:
        return f"the server answers {error.response.status_code}" if error.response is not None else _one_line(error)
    except requests.exceptions.SSLError as error:
        return f"no secure connection ({_one_line(error)})"
    except requests.exceptions.RequestException as error:
        if "timed out" in str(error):
            return f"no answer for {TIMEOUT} s"
        return "the connection was cut" if "broken" in str(error) else "no connection"
    except (OSError, ValueError) as error:
        return _one_line(error)
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def check_digest_or_delete(path: Path, digest: str | None) -> None:
    """Delete a file that has not the digest that is known, and raise `HandstyleError` with both."""
    try:
        check_digest(path, digest)
    except HandstyleError as error:
        path.unlink()
        raise HandstyleError(f"{error}; it was deleted") from None
