"""The registry of published networks, with URLs, digests and licenses; find files by name, identify them by digest."""

import difflib
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_paths import expand_path
from handstyle.network.digests import sha256
from handstyle.network.vgg import Weights
from handstyle.network.weights import EMBEDDED, EMBEDDED_FILE, cache_folder, find_weights
from weights_tools.known import NETWORKS


@dataclass(frozen=True)
class Entry:
    """A published weight file.

    Parameters
    ----------
    name : str
        The name that users type.
    network, convention, license : str
        Descriptions for users.
    urls : tuple of str
        URLs in the order in which they are tried; the last part of the first is the name of the file.
    digest : str or None
        The digest, ``md5:…`` or ``sha256:…``, or its first digits; None if it is not certain. The file is then checked
        by the self-test only.
    size : int or None
        Approximate size in bytes.
    title : str or None
        The title in `weights_tools.known` of the network that the file must contain, if its digest is not certain.

    Examples
    --------
    >>> own = Entry("mine", "VGG-19", "caffe", "CC BY 4.0", ("https://example.org/mine.h5",))
    >>> own.digest is None, own.title is None  # nothing to check the file by
    (True, True)
    """

    name: str
    network: str
    convention: str
    license: str
    urls: tuple[str, ...]
    digest: str | None = None
    size: int | None = None
    title: str | None = None

    @property
    def file(self) -> str:
        """The name of the file as published.

        Examples
        --------
        >>> entry("vgg19").file
        'vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5'
        """
        return self.urls[0].rpartition("/")[2]


ENTRIES = {one["name"]: Entry(**{**one, "urls": tuple(one["urls"])}) for one in NETWORKS["published"]}


def entry(name: str) -> Entry:
    """Return the entry with a name, or raise `HandstyleError` with the most similar name and all names.

    Examples
    --------
    >>> entry("vgg19").digest
    'md5:253f8cb515780f3b799900260a226db6'
    """
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        file = "a file needs no name: give its path as `network`"
        raise HandstyleError(f"unknown network {name!r}: {hint}use {', '.join(ENTRIES)}; {file}")
    return ENTRIES[name]


def locate(name: str) -> Path | None:
    """Return the installed file of a published network, or None if it is not installed.

    Parameters
    ----------
    name : str
        A key of `ENTRIES`.

    Examples
    --------
    >>> import tempfile
    >>> from unittest import mock
    >>> with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, HANDSTYLE_CACHE=folder):
    ...     before = locate("vgg19")
    ...     _ = (Path(folder) / "vgg19.h5").write_bytes(b"")
    ...     before, locate("vgg19").name
    (None, 'vgg19.h5')
    """
    try:
        path = cache_folder() / f"{entry(name).name}.h5"
    except HandstyleError:
        if name in ENTRIES:  # there is no home folder, so nothing is installed
            return None
        raise
    return path if path.is_file() else None


def find(name_or_path: str | os.PathLike[str], others: Sequence[str] = ()) -> Path:
    """Return the path of a weight file, given the path or the name of a network.

    Parameters
    ----------
    name_or_path : str or path
        ``vgg19-slim``, the network included in the package; the name of an installed network in `ENTRIES`; or a file.
        If a file has the name of a network, the file is returned.
    others : sequence of str
        Further names that the caller accepts, for the error message.

    Returns
    -------
    Path

    Raises
    ------
    HandstyleError
        If there is no such file or installed network; the message has the command that installs it, or all names.

    Examples
    --------
    >>> find("vgg19-slim").name
    'vgg19-slim.h5'
    """
    if found := find_weights(name_or_path):
        return found
    name, path = str(name_or_path), expand_path(name_or_path)
    if name in ENTRIES:
        raise HandstyleError(f"{name} is not on this machine: handstyle weights get {name}")
    if re.match(r"(https?|ftp)://", name):
        raise HandstyleError(f"{name} is a URL, not a file: download it, then give its path")
    if path.suffix or len(path.parts) > 1:
        raise HandstyleError(f"{path}: no such weight file")
    near = difflib.get_close_matches(name, (EMBEDDED, *others, *ENTRIES), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    names = ", ".join((EMBEDDED, *others, *ENTRIES))
    raise HandstyleError(f"{name}: no such file, and no network of that name; {hint}use {names}")


def check_digest(path: Path, digest: str | None) -> None:
    """Raise `HandstyleError` if the digest of a file is not the published one; the message has both.

    Examples
    --------
    >>> check_digest(EMBEDDED_FILE, None)  # there is nothing to compare with
    >>> check_digest(EMBEDDED_FILE, f"sha256:{sha256(EMBEDDED_FILE)}")
    """
    if digest is None:
        return
    algorithm, _, expected = digest.partition(":")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    if not found.startswith(expected):
        begins = "begins with " if len(expected) < len(found) else ""
        raise HandstyleError(f"its {algorithm} is {found}, the published one {begins}{expected}")


def identify(path: Path, weights: Weights | None = None) -> tuple[bool | None, str]:
    """Identify a file by its digest.

    Parameters
    ----------
    path : Path
        The file.
    weights : Weights, optional
        The weights, if the file has this package's format; their provenance may name the file that they come from.

    Returns
    -------
    known : bool or None
        True if it is a known file; otherwise None, since an unknown file is not wrong.
    found : str
        A sentence on the finding.

    Examples
    --------
    >>> known, found = identify(EMBEDDED_FILE)
    >>> known, found.split(" handstyle")[0]
    (True, 'the network that ships with')
    """
    digests = {"sha256": sha256(path)}
    if digests["sha256"] == sha256(EMBEDDED_FILE):
        return True, f"the network that ships with handstyle {version('handstyle')}, bit for bit"
    with path.open("rb") as file:
        digests["md5"] = hashlib.file_digest(file, "md5").hexdigest()
    if published := _published_name(digests):
        return True, f"the published file of {published}"
    unknown = f"no file whose digest is known (its sha256 is {digests['sha256']})"
    if weights is None or "source_sha256" not in weights.provenance:
        return None, unknown
    published = weights.provenance.get("published") or _published_name({"sha256": weights.provenance["source_sha256"]})
    source = weights.provenance.get("source", "a file")
    more = f", {published}" if published else ""
    return None, f"not a known file itself; its own account of its source: {source}{more}"


def _published_name(digests: dict[str, str]) -> str | None:
    """Return a text with the name of the published file that has these digests, or None if there is none.

    Parameters
    ----------
    digests : dict of str to str
        The hexadecimal digests of a file by algorithm, ``sha256`` or ``md5``; one of them suffices.

    Examples
    --------
    >>> _published_name({"sha256": "0" * 64}) is None
    True
    """
    for entry in ENTRIES.values():
        algorithm, _, expected = (entry.digest or "").partition(":")
        found = digests.get(algorithm, "")
        if expected and found.startswith(expected):
            extent = f"{algorithm} {expected}" if expected == found else f"{algorithm} begins with {expected}"
            return f"{entry.name} ({extent}, as published)"
    return None
