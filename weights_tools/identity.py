"""Whether a file is, bit for bit, one that ships or one that is published: what its digest tells, and no more."""

import hashlib
from importlib.metadata import version
from pathlib import Path

from handstyle.network.vgg import Weights
from handstyle.network.weights import EMBEDDED_FILE, sha256
from weights_tools.registry import ENTRIES


def identity(path: Path, weights: Weights | None = None) -> tuple[bool | None, str]:
    """Look a file's digests up among those that are known.

    Parameters
    ----------
    path : Path
        Of the file.
    weights : Weights, optional
        What it holds, if it is native: then it may say what it was converted from, which is told as its own account.

    Returns
    -------
    known : bool or None
        True if it is a known file; else None, since an unknown file may be as good.
    found : str
        In words.
    """
    digests = {"sha256": sha256(path)}
    if digests["sha256"] == sha256(EMBEDDED_FILE):
        return True, f"the network that ships with handstyle {version('handstyle')}, bit for bit"
    with path.open("rb") as file:
        digests["md5"] = hashlib.file_digest(file, "md5").hexdigest()
    if published := published_as(digests):
        return True, f"the published file of {published}"
    unknown = f"no file whose digest is known (its sha256 is {digests['sha256']})"
    if weights is None or "source_sha256" not in weights.provenance:
        return None, unknown
    told = weights.provenance.get("published") or published_as({"sha256": weights.provenance["source_sha256"]})
    source = weights.provenance.get("source", "a file")
    return None, f"not a known file itself; its own account of its source: {source}" + (f", {told}" if told else "")


def published_as(digests: dict[str, str]) -> str | None:
    """Return the name in the registry of the file that has these digests, and how much of them is known.

    Parameters
    ----------
    digests : dict of str to str
        By ``sha256`` and ``md5``, in hexadecimal; one may be left out.
    """
    for entry in ENTRIES.values():
        algorithm, _, expected = (entry.digest or "").partition(":")
        found = digests.get(algorithm, "")
        if expected and found.startswith(expected):
            extent = f"{algorithm} {expected}" if expected == found else f"{algorithm} begins with {expected}"
            return f"{entry.name} ({extent}, as published)"
    return None
