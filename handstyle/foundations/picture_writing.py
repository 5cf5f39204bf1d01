"""From `(H, W, 3)` to a file: asked first, written beside, put in place at once.

`check_writable` runs before the long work and asks what `write_picture` will need. The picture goes to a
temporary file in the same folder and takes its name by `os.replace`, so that whoever interrupts it finds the
old file whole.
"""

import io
import json
import os
import secrets
import struct
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from handstyle.foundations.color_profile import srgb_profile
from handstyle.foundations.errors import HandstyleError

Pixels = np.ndarray[Any, Any]

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}  # px, of libjpeg and of the WebP container
IMAGE_DESCRIPTION, SOFTWARE = 0x010E, 0x0131  # EXIF 2.32, table 4


def check_writable(
    path: str | os.PathLike[str],
    overwrite: bool = False,
    *,
    alpha: bool = False,
    size: tuple[int, int] | None = None,
) -> None:
    """Refuse, before long work starts, an output that could not be written.

    Parameters
    ----------
    path : path
        Where the picture shall go; the ending decides the format.
    overwrite : bool
        Whether an existing file may be replaced.
    alpha : bool
        Whether the picture has transparency to keep.
    size : (int, int), optional
        Height and width, px, for the formats that have a limit.

    Raises
    ------
    HandstyleError
        If the ending is unknown, the folder is missing or not writable, the path is a folder, the file exists
        and may not be replaced, or the format cannot hold the picture.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if path.is_dir():
        raise HandstyleError(f"the output {path} is a folder: add the name of a picture, such as {path / 'out.png'}")
    if kind is None:
        endings = ", ".join(FORMATS)
        raise HandstyleError(f"the output {path} has no ending that names a format: use one of {endings}")
    if not path.parent.is_dir():
        raise HandstyleError(f"the folder {path.parent} of the output {path.name} does not exist: make it")
    if path.exists() and not overwrite:
        raise HandstyleError(f"the output {path} exists: choose another name or overwrite")
    if alpha and kind == "JPEG":
        raise HandstyleError(f"the output {path} as JPEG would lose the transparency: use .png or .webp")
    if size is not None and max(size) > LONGEST_SIDE.get(kind, max(size)):
        raise HandstyleError(f"{kind} holds at most {LONGEST_SIDE[kind]} px a side: name the output {path.stem}.png")
    try:  # permission bits do not tell of read-only mounts, quotas or root: trying does
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise HandstyleError(f"the folder {path.parent} is not writable: {error.strerror or error}") from error


def write_picture(
    path: str | os.PathLike[str],
    picture: Pixels,
    alpha: Pixels | None = None,
    metadata: Mapping[str, str] | None = None,
    overwrite: bool = False,
    bits: int = 8,
) -> None:
    """Write a picture, atomically, as sRGB.

    Parameters
    ----------
    path : path
        Ends in .png, .jpg, .jpeg, .webp, .tif or .tiff.
    picture : (H, W, 3) array
        RGB, 0 to 255, of uint8 or float; float is clipped and rounded.
    alpha : (H, W) array of float, optional
        0 to 1; not for JPEG.
    metadata : mapping of str to str, optional
        Kept in the file: as text of a PNG, as JSON in the EXIF description of the others. `read_metadata`
        reads it.
    overwrite : bool
        Whether an existing file may be replaced.
    bits : {8, 16}
        Bits a channel; 16 for PNG only.

    Raises
    ------
    HandstyleError
        As `check_writable`, or if the encoder fails; an existing file is then as it was.
    """
    path = Path(path)
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise HandstyleError(f"an array of shape {picture.shape} is no picture for {path}: give (H, W, 3)")
    if alpha is not None and alpha.shape != picture.shape[:2]:
        raise HandstyleError(f"alpha of shape {alpha.shape} does not fit a picture of shape {picture.shape}")
    if not np.isfinite(picture).all():
        raise HandstyleError(f"the picture for {path} has NaN or infinite values and is not written")
    check_writable(path, overwrite, alpha=alpha is not None, size=picture.shape[:2])
    kind = FORMATS[path.suffix.lower()]
    if bits not in (8, 16) or (bits == 16 and kind != "PNG"):
        raise HandstyleError(f"{path} cannot have {bits} bits a channel: 8 for every format, 16 for .png")
    try:
        data = _encode(kind, _quantise(picture, alpha, bits), dict(metadata or {}))
    except (OSError, ValueError, struct.error) as error:
        raise HandstyleError(f"{path} cannot be encoded as {kind}: {' '.join(str(error).split())}") from error
    replace_file(path, data)


def replace_file(path: Path, data: bytes) -> None:
    """Give a file new content at once: written beside it, flushed, renamed over it.

    Parameters
    ----------
    path : Path
        The file; a symbolic link is followed, not replaced.
    data : bytes
        Its new content.

    Raises
    ------
    HandstyleError
        If the system refuses; the old file is then as it was.
    """
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as file:  # not mkstemp: its file would be private to the owner
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        raise HandstyleError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the metadata that `write_picture` put into a file; empty if there is none.

    Parameters
    ----------
    path : path
        A picture.

    Returns
    -------
    dict of str to str
        As it was given to `write_picture`.
    """
    try:
        with Image.open(path) as image:
            if isinstance(image, PngImagePlugin.PngImageFile):
                return {key: str(value) for key, value in image.text.items()}
            found = json.loads(image.getexif().get(IMAGE_DESCRIPTION, "{}"))
    except json.JSONDecodeError:
        return {}
    except OSError as error:
        raise HandstyleError(f"{path} cannot be read: {error.strerror or error}") from error
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _quantise(picture: Pixels, alpha: Pixels | None, bits: int) -> Pixels:  # -> (H, W, 3 or 4) uint8 or uint16
    white = 2**bits - 1
    values = picture.astype(np.float64) / 255
    if alpha is not None:
        values = np.concatenate([values, alpha.astype(np.float64)[..., None]], axis=2)
    levels: Pixels = np.rint(np.clip(values, 0, 1) * white).astype(np.uint8 if bits == 8 else np.uint16)
    return levels


def _encode(kind: str, levels: Pixels, metadata: dict[str, str]) -> bytes:
    if kind == "PNG" and levels.dtype == np.uint16:
        return _encode_png16(levels, metadata)
    options: dict[str, Any] = {"icc_profile": _srgb_bytes()}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            text.add_itxt(key, value)
        options["pnginfo"] = text
    else:
        exif = Image.Exif()
        if metadata:
            exif[IMAGE_DESCRIPTION] = json.dumps(metadata)  # ASCII, as EXIF asks
        exif[SOFTWARE] = "handstyle"
        options["exif"] = exif
    # Paint is all high frequencies: no chroma subsampling; colours are kept where alpha is 0.
    choices: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"quality": 95, "exact": True},
        "TIFF": {"compression": "tiff_adobe_deflate"},
    }
    options |= choices.get(kind, {})
    out = io.BytesIO()
    Image.fromarray(levels).save(out, kind, **options)
    return out.getvalue()


def _srgb_bytes() -> bytes:
    profile = bytearray(srgb_profile().tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date: the same run, the same bytes
    return bytes(profile)


def _encode_png16(levels: Pixels, metadata: dict[str, str]) -> bytes:  # (H, W, 3 or 4) uint16
    """Encode 16 bits a channel, which Pillow does not write; the chunks of the PNG specification."""
    height, width, channels = levels.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = levels.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), dtype=np.uint8)
    filtered[:, 0] = 2  # each row as its difference from the row above
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)),
        chunk(b"sRGB", b"\x01"),  # relative colorimetric
        *(chunk(b"iTXt", k.encode("latin-1") + b"\0\0\0\0\0" + v.encode()) for k, v in metadata.items()),
        chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)),
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)
