"""Write atomically: check, write a temporary file, rename.

`check_writable` runs before long work and tests what `write_picture` will need. The picture is encoded in memory and
written to a temporary file in the folder of the output, which then gets the output's name. An interrupted or failed
write leaves the old file as it was.
"""

import io
import os
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.color_profile import Pixels, srgb_bytes
from handstyle.foundations.deep_pictures import DEEP_ENCODERS
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError, encodable, one_line, printable
from handstyle.foundations.picture_bands import row_bands
from handstyle.foundations.picture_formats import format_of_output
from handstyle.foundations.picture_metadata import Resolution, exif_data
from handstyle.foundations.picture_paths import check_output, expand_path

MAX_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # px, of libjpeg, of the WebP container, of AV1


def check_writable(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    alpha: bool = False,
    size: tuple[int, int] | None = None,
    bits: int = 8,
) -> None:
    """Raise `HandstyleError`, before long work starts, if an output could not be written.

    Parameters
    ----------
    path : path
        The file to be written; its ending decides the format.
    overwrite : bool
        Whether an existing file may be replaced.
    alpha : bool
        Whether the picture has transparency to keep.
    size : (int, int), optional
        Height and width, px, for the formats that have a limit.
    bits : {8, 16}
        Bits of each channel; 16 only for PNG and TIFF.

    Raises
    ------
    HandstyleError
        If the ending is unknown or the format cannot be written here, if the folder is missing or not writable, if
        the path is a folder, a pipe, a device, or a link that leads nowhere or in a circle, if the file exists and may
        not be replaced, or if the format cannot hold the picture.

    Notes
    -----
    A link to a file is followed: the file that it names is replaced, and the link stays. A link to a file that does
    not exist is refused, as ``cp`` refuses it: the folder that it names may be an empty mount point. A pipe is
    refused because renaming a file over it would remove it.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     check_writable(Path(folder, "out.png"), alpha=True, size=(1024, 768))
    """
    path = expand_path(path)
    name = printable(path)
    check_output(path)
    kind = format_of_output(path)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise HandstyleError(
            f"the output {name}: there is no folder {printable(folder if path.is_symlink() else path.parent)}; make it"
        )
    if os.path.lexists(path) and not overwrite:
        raise HandstyleError(f"the output {name} exists: choose another name or overwrite it (overwrite=True)")
    if alpha and kind == "JPEG":
        raise HandstyleError(f"the output {name} as JPEG would lose the transparency: use .png or .webp")
    if bits not in (8, 16) or (bits == 16 and kind not in DEEP_ENCODERS):
        raise HandstyleError(f"{name} cannot have {bits} bits a channel: 8 for every format, 16 for .png and .tif")
    if size is not None and max(size) > MAX_SIDE.get(kind, max(size)):
        raise HandstyleError(
            f"{kind} holds at most {MAX_SIDE[kind]} px a side: name the output {printable(path.stem)}.png"
        )
    try:  # permission bits do not tell of read-only mounts, quotas or root: trying does
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HandstyleError(f"the folder {printable(folder)} is not writable: {error.strerror or error}") from error


def write_picture(
    path: str | os.PathLike[str],
    picture: Pixels,
    alpha: Pixels | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
    bits: int = 8,
    dpi: Resolution | None = None,
) -> None:
    """Write a picture to a file, atomically, as sRGB.

    Parameters
    ----------
    path : path
        Ends in .png, .jpg, .jpeg, .webp, .tif, .tiff, .avif, .heic, .heif or .jxl; the last four need a Pillow, or a
        plug-in of it, that writes them. ``~`` is the home folder.
    picture : (H, W, 3) array
        RGB, 0 to 255, of uint8 or float; float is clipped and rounded.
    alpha : (H, W) array of float, optional
        0 to 1; not for JPEG.
    metadata : mapping of str to str, optional
        Kept in the file: as text of a PNG, as JSON in the EXIF description of the others. `read_metadata` reads it.
    overwrite : bool
        Whether an existing file may be replaced.
    bits : {8, 16}
        Bits of each channel; 16 only for PNG and TIFF.
    dpi : (float, float), optional
        Pixels per inch across and down.

    Raises
    ------
    HandstyleError
        As `check_writable`, or if the encoder fails; an existing file is then as it was.

    See Also
    --------
    handstyle.foundations.picture_rescue.write_picture_somewhere : Write elsewhere if that fails.

    Notes
    -----
    The temporary file and the folder are flushed to the disk (fsync). Temporary files that killed runs left for the
    same output are removed: those whose process is gone, or that are older than an hour.

    Examples
    --------
    >>> from handstyle.foundations.picture_metadata import read_metadata
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(Path(folder, "gray.png"), np.full((16, 16, 3), 128.0), metadata={"title": "gray"})
    ...     read_metadata(Path(folder, "gray.png"))
    {'title': 'gray'}
    """
    check_arrays(path, picture, alpha)
    path = expand_path(path)
    check_writable(path, overwrite, alpha=alpha is not None, size=picture.shape[:2], bits=bits)
    data = encode_picture(path, format_of_output(path), picture, alpha, dict(metadata or {}), bits, dpi)
    replace_file(path, data, overwrite=overwrite)


def check_arrays(path: str | os.PathLike[str], picture: Pixels, alpha: Pixels | None) -> None:
    """Raise `HandstyleError` if arrays are no picture: of other shapes, or with values that are not finite.

    Examples
    --------
    >>> try:
    ...     check_arrays("out.png", np.zeros((4, 4)), None)
    ... except HandstyleError as error:
    ...     print(error)
    an array of shape (4, 4) is no picture for out.png: give (H, W, 3)
    """
    name = printable(path)
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise HandstyleError(f"an array of shape {picture.shape} is no picture for {name}: give (H, W, 3)")
    if alpha is not None and alpha.shape != picture.shape[:2]:
        raise HandstyleError(f"alpha of shape {alpha.shape} does not fit a picture of shape {picture.shape}")
    if not np.isfinite(picture).all() or not (alpha is None or np.isfinite(alpha).all()):
        raise HandstyleError(f"the picture for {name} has NaN or infinite values and is not written")


def encode_picture(
    path: Path,
    kind: str,
    picture: Pixels,
    alpha: Pixels | None,
    metadata: dict[str, str],
    bits: int,
    dpi: Resolution | None,
) -> bytes:
    """Return a picture encoded in a format, `kind` as Pillow names it, for the file `path`; see `write_picture`.

    Examples
    --------
    >>> encode_picture(Path("out.png"), "PNG", np.zeros((4, 4, 3)), None, {}, 8, None)[1:4]
    b'PNG'
    """
    text = {encodable(key): encodable(value) for key, value in metadata.items()}
    encode = DEEP_ENCODERS[kind] if bits == 16 else partial(_encode_8_bit, kind)
    try:
        return encode(_quantize(picture, alpha, bits), text, dpi)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{printable(path)}: there is not enough memory to encode {picture.shape[1]} x {picture.shape[0]} px as "
            f"{kind}: take a smaller size"
        ) from error
    except Exception as error:  # encoders raise errors of any class: OSError, ValueError, RuntimeError, struct.error
        raise HandstyleError(f"{printable(path)} cannot be encoded as {kind}: {one_line(error)}") from error


def _quantize(picture: Pixels, alpha: Pixels | None, bits: int) -> Pixels:  # -> (H, W, 3 or 4) uint8 or uint16
    height, width = picture.shape[:2]
    levels = np.empty((height, width, 3 if alpha is None else 4), dtype=np.uint8 if bits == 8 else np.uint16)
    white = 2**bits - 1
    for rows in row_bands(height, width):
        levels[rows, :, :3] = np.rint(np.clip(picture[rows].astype(np.float64) / 255, 0, 1) * white)
        if alpha is not None:
            levels[rows, :, 3] = np.rint(np.clip(alpha[rows].astype(np.float64), 0, 1) * white)
    return levels


def _encode_8_bit(kind: str, levels: Pixels, metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    options: dict[str, Any] = {"icc_profile": srgb_bytes()}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            text.add_itxt(key, value)
        options["pnginfo"] = text
    else:
        options["exif"] = exif_data(metadata, dpi)
    if dpi is not None and kind in ("PNG", "JPEG", "TIFF"):
        options["dpi"] = dpi
    # Paint is all high frequencies: no chroma subsampling; colors are kept where alpha is 0.
    choices: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"quality": 95, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate"},
        "AVIF": {"quality": 90, "subsampling": "4:4:4"},
        "HEIF": {"quality": 90, "chroma": 444},
        "JXL": {"quality": 95},
    }
    out = io.BytesIO()
    Image.fromarray(levels).save(out, kind, **(options | choices.get(kind, {})))
    return out.getvalue()
