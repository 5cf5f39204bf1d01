"""Convert weight files of any supported format to this package's format, with provenance and fingerprint."""

import os
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import fit_long_side
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_reading import read_picture
from handstyle.network.digests import sha256
from handstyle.network.hdf5_file import ForeignFormatError
from handstyle.network.weights import read_weights, write_weights
from weights_tools.convention import Decision, decide
from weights_tools.fingerprint import with_fingerprint
from weights_tools.normalize import normalize
from weights_tools.readers import read_any

DRAWN_SIZE = 256  # px, long side of the shipped pictures, which are used if none are given
LONG_SIDE = 512  # px, long side of given pictures

NATIVE = "read as this package's own format"


def load(path: str | os.PathLike[str], convention: str | None = None) -> Decision:
    """Read a file of any supported format and determine its convention.

    Parameters
    ----------
    path : path
        The file.
    convention : {"caffe", "torchvision"}, optional
        The convention, if it cannot be determined from the file.

    Returns
    -------
    Decision
        The weights, with ``source`` and ``source_sha256`` in their provenance, and the findings. If the file has this
        package's format, its provenance is kept, and ``file`` and ``sha256`` are added.

    Raises
    ------
    HandstyleError
        If the file cannot be read, or its convention cannot be determined and is not given.

    Examples
    --------
    >>> from handstyle.network.weights import EMBEDDED_FILE
    >>> weights, findings = load(EMBEDDED_FILE)
    >>> weights.convention, findings
    ('caffe', ["read as this package's own format"])
    """
    path = expand_path(path)
    try:
        weights = read_weights(path)
    except ForeignFormatError:
        reading = read_any(path)
        try:
            weights, findings = decide(reading, convention)
        except HandstyleError as error:
            raise HandstyleError(f"{path}: {error}") from None
        weights.provenance.update(source=path.name, source_sha256=sha256(path), format_read=reading.layout)
        return Decision(weights, findings)
    if convention not in (None, weights.convention):
        raise HandstyleError(f"{path}: the file has convention {weights.convention}, not {convention}")
    return Decision(weights, [NATIVE])


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    convention: str | None = None,
    license: str | None = None,
    normalized: bool = False,
    pictures: Sequence[str | os.PathLike[str]] = (),
    published: str | None = None,
    overwrite: bool = False,
) -> list[str]:
    """Convert a weight file to this package's format.

    Parameters
    ----------
    source, target : path
        The file to read, and the file to write, which is written as a whole or not at all.
    convention : {"caffe", "torchvision"}, optional
        The convention, if it cannot be determined from the file.
    license : str, optional
        The license of the weights, for the provenance.
    normalized : bool
        Rescale each filter to mean activation 1; see `weights_tools.normalize`.
    pictures : sequence of path
        Pictures on which activations are measured to rescale filters; by default three included in the package.
    published : str, optional
        The name of the published file with the same digest, for the provenance.
    overwrite : bool
        Replace an existing target.

    Returns
    -------
    list of str
        A sentence for each finding and change.

    Raises
    ------
    HandstyleError
        If the source cannot be read, its convention cannot be determined, or the target exists.

    Examples
    --------
    >>> import tempfile
    >>> from handstyle.network.weights import EMBEDDED_FILE
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     findings = convert(EMBEDDED_FILE, Path(folder) / "copy.h5")
    ...     read_weights(Path(folder) / "copy.h5").provenance["source"]
    'vgg19-slim.h5'
    """
    source, target = expand_path(source), expand_path(target)
    if target.suffix not in (".h5", ".hdf5"):
        raise HandstyleError(f"{target}: what is written is HDF5: give it a name that ends in .h5")
    if target.exists() and not overwrite:
        raise HandstyleError(f"{target}: exists already; `overwrite` replaces it")
    if not target.parent.is_dir():
        raise HandstyleError(f"{target}: there is no folder {target.parent}")
    if pictures and not normalized:
        raise HandstyleError("pictures are used only to normalize the filters: ask for that, or leave them out")
    chosen, names = _pictures(pictures) if normalized else ([], "")
    weights, findings = load(source, convention)
    if "file" in weights.provenance:  # a native file: now it is the source
        weights.provenance["source"] = weights.provenance.pop("file")
        weights.provenance["source_sha256"] = weights.provenance.pop("sha256")
        for key in ("tool", "published"):  # of the file before
            weights.provenance.pop(key, None)
    if license is not None:
        weights.provenance["license"] = license
    weights.provenance.setdefault("license", "not stated")
    if published is not None:
        weights.provenance["published"] = published
    if normalized:
        weights = normalize(weights, chosen, names)
        findings.append(weights.provenance["normalized"])
    weights.provenance["found"] = "; ".join(findings)
    write_weights(target, with_fingerprint(weights))
    return findings


def _pictures(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[Array], str]:
    if paths:
        names = ", ".join(Path(path).name for path in paths)
        return [read_picture(path, target=LONG_SIDE).pixels for path in paths], names
    drawn = []
    for name in ("photograph", "portrait", "painting"):
        with as_file(files("handstyle") / "data" / f"{name}.jpg") as file:
            drawn.append(fit_long_side(read_picture(file).pixels, DRAWN_SIZE, name=name))
    return drawn, f"three pictures that ship with the package, {DRAWN_SIZE} px"
