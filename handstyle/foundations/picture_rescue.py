"""Write a picture that must not be lost: if the output cannot be written, to another name or folder."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from handstyle.foundations.atomic_file import cut_bytes, replace_file
from handstyle.foundations.color_profile import Pixels
from handstyle.foundations.deep_pictures import DEEP_ENCODERS
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_formats import format_of_output
from handstyle.foundations.picture_metadata import Resolution
from handstyle.foundations.picture_paths import expand_path
from handstyle.foundations.picture_writing import check_arrays, check_writable, encode_picture

OTHER_NAMES = 1000  # names beside the output that are tried


def write_picture_somewhere(
    path: str | os.PathLike[str],
    picture: Pixels,
    alpha: Pixels | None = None,
    metadata: Mapping[str, str] | None = None,
    *,
    overwrite: bool = False,
    bits: int = 8,
    dpi: Resolution | None = None,
) -> Path:
    """Write a picture to a path or, if that fails, to another name or folder, and return the path written.

    Parameters
    ----------
    path, picture, alpha, metadata, overwrite, bits, dpi
        As in `write_picture`.

    Returns
    -------
    Path
        `path`, or ``NAME-1.png`` (the first free number) beside it, or such a file in the user's home folder or
        in the system's temporary folder. Only the file at `path` is ever replaced, and only with `overwrite`.

    Raises
    ------
    HandstyleError
        If the picture can be written nowhere; the message has the reason of each attempt. Or if the arrays are no
        picture.

    Notes
    -----
    A picture that its format cannot hold is written without metadata and resolution, or else as a PNG. A pipe, a
    device and a link that leads nowhere or in a circle are left alone, and the picture goes beside them.

    Examples
    --------
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "out.png")
    ...     [write_picture_somewhere(path, np.zeros((16, 16, 3))).name for _ in range(3)]
    ['out.png', 'out-1.png', 'out-2.png']
    """
    check_arrays(path, picture, alpha)
    path = expand_path(path)
    reasons: list[str] = []
    suffix, data = _encode_as_possible(path, picture, alpha, dict(metadata or {}), bits, dpi, reasons)
    if suffix == path.suffix:
        try:
            check_writable(path, overwrite)
            replace_file(path, data, overwrite=overwrite)
            return path
        except HandstyleError as error:
            reasons.append(str(error))
    for folder in _other_folders(path, reasons):
        for other in _other_names(folder, path.stem, suffix):
            try:
                replace_file(other, data, overwrite=False)
                return other
            except FileExistsError:  # made by another program since it was looked for
                continue
            except HandstyleError as error:
                reasons.append(str(error))
                break
    raise HandstyleError(f"the picture could not be written: {'; '.join(reasons)}")


def _encode_as_possible(
    path: Path,
    picture: Pixels,
    alpha: Pixels | None,
    metadata: dict[str, str],
    bits: int,
    dpi: Resolution | None,
    reasons: list[str],
) -> tuple[str, bytes]:
    """Return the first encoding that works, with its suffix: as asked, without metadata and resolution, or as PNG."""
    for suffix, kept, depth, resolution in (
        (path.suffix, metadata, bits, dpi),
        (path.suffix, {}, bits, None),
        (".png", metadata, 8, None),
        (".png", {}, 8, None),
    ):
        try:
            kind = format_of_output(path.with_name(f"picture{suffix}"))
            if alpha is not None and kind == "JPEG":
                raise HandstyleError("JPEG has no transparency")
            if depth == 16 and kind not in DEEP_ENCODERS:
                raise HandstyleError(f"{kind} is not written with 16 bits a channel")
            return suffix, encode_picture(path, kind, picture, alpha, kept, depth, resolution)
        except HandstyleError as error:
            reasons.append(str(error))
    raise HandstyleError(f"the picture could not be encoded: {'; '.join(dict.fromkeys(reasons))}")


def _other_folders(path: Path, reasons: list[str]) -> Iterator[Path]:
    yield path.parent
    yield expand_path("~")  # before the temporary folder, which many systems empty when they start
    try:
        yield Path(tempfile.gettempdir())
    except OSError as error:
        reasons.append(f"no temporary folder: {error.strerror or error}")


def _other_names(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    names = (folder / f"{cut_bytes(stem) or 'out'}-{number}{suffix}" for number in range(1, OTHER_NAMES + 1))
    return (path for path in names if not os.path.lexists(path))
