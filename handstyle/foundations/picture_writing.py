"""Write atomically: check, write a temporary file, rename.

`check_writable` runs before long work and tests what `write_picture` will need. The picture is encoded in memory and
written to a temporary file in the folder of the output, which then gets the output's name. An interrupted or failed
write leaves the old file as it was. `write_picture_somewhere` is for work that must not be lost: where the output
cannot be written, it finds another place.
"""

import errno
import io
import json
import os
import stat
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from handstyle.foundations.atomic_file import cut_bytes, replace_file
from handstyle.foundations.color_profile import Pixels, srgb_profile
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError, encodable, one_line, printable
from handstyle.foundations.picture_reading import PLUGINS, expand_path, load_plugin, row_bands

Resolution = tuple[float, float]

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".heic": "HEIF",
    ".heif": "HEIF",
    ".jxl": "JXL",
}
DEEP = ("PNG", "TIFF")  # formats that are written with 16 bits a channel
MAX_SIDE = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}  # px, of libjpeg, of the WebP container, of AV1
IMAGE_DESCRIPTION, SOFTWARE = 0x010E, 0x0131  # EXIF 2.32, table 4
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH = 0x011A, 0x011B, 0x0128, 2
OTHER_NAMES = 1000  # names beside the output that are tried


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
        Where the picture shall go; the ending decides the format.
    overwrite : bool
        Whether an existing file may be replaced.
    alpha : bool
        Whether the picture has transparency to keep.
    size : (int, int), optional
        Height and width, px, for the formats that have a limit.
    bits : {8, 16}
        Bits a channel; 16 for PNG and TIFF.

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
    _check_kind_of_file(path)
    kind = _format(path)
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise HandstyleError(
            f"the output {name}: there is no folder {printable(folder if path.is_symlink() else path.parent)}; make it"
        )
    if os.path.lexists(path) and not overwrite:
        raise HandstyleError(f"the output {name} exists: choose another name or overwrite it (overwrite=True)")
    if alpha and kind == "JPEG":
        raise HandstyleError(f"the output {name} as JPEG would lose the transparency: use .png or .webp")
    if bits not in (8, 16) or (bits == 16 and kind not in DEEP):
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
        Bits a channel; 16 for PNG and TIFF.
    dpi : (float, float), optional
        Pixels per inch across and down.

    Raises
    ------
    HandstyleError
        As `check_writable`, or if the encoder fails; an existing file is then as it was.

    See Also
    --------
    write_picture_somewhere : if the picture took long to make.

    Notes
    -----
    The temporary file and the folder are flushed to the disk (fsync). Temporary files that killed runs left for the
    same output are removed: those whose process is gone, or that are older than an hour.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(Path(folder, "gray.png"), np.full((16, 16, 3), 128.0), metadata={"title": "gray"})
    ...     read_metadata(Path(folder, "gray.png"))
    {'title': 'gray'}
    """
    _check_arrays(path, picture, alpha)
    path = expand_path(path)
    check_writable(path, overwrite, alpha=alpha is not None, size=picture.shape[:2], bits=bits)
    data = _encode(path, _format(path), picture, alpha, dict(metadata or {}), bits, dpi)
    replace_file(path, data, overwrite=overwrite)


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
        in the system's temporary folder. An existing file is replaced at `path` alone, and there only with `overwrite`.

    Raises
    ------
    HandstyleError
        If no place takes the picture: one line with the reason of each. If the arrays are no picture.

    Notes
    -----
    A picture that its format cannot hold is written without metadata and resolution, or else as a PNG. A pipe, a
    device and a link that leads nowhere or in a circle are left alone, and the picture goes beside them.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "out.png")
    ...     [write_picture_somewhere(path, np.zeros((16, 16, 3))).name for _ in range(3)]
    ['out.png', 'out-1.png', 'out-2.png']
    """
    _check_arrays(path, picture, alpha)
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


def read_metadata(path: str | os.PathLike[str], *, decode: bool = True) -> dict[str, str]:
    """Return the metadata that `write_picture` put into a file.

    Parameters
    ----------
    path : path
        A picture: the text of a PNG, of any program; of other formats, the JSON in the description of the EXIF data
        or of the TIFF.
    decode : bool
        Whether to read on to the end of a PNG, behind whose pixels other programs put text: that decodes them.

    Returns
    -------
    dict of str to str
        As it was given to `write_picture`; empty if there is none.

    Raises
    ------
    HandstyleError
        If the file cannot be read.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_picture(Path(folder, "a.jpg"), np.zeros((16, 16, 3)), metadata={"size": "16"})
    ...     read_metadata(Path(folder, "a.jpg"))
    {'size': '16'}
    """
    path = expand_path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind in PLUGINS:
        load_plugin(kind)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            if isinstance(image, PngImagePlugin.PngImageFile):
                found = image.text if decode else image.info
                return {str(key): str(value) for key, value in found.items() if isinstance(value, str)}
            description = image.getexif().get(IMAGE_DESCRIPTION, "{}")
    except OSError as error:
        raise HandstyleError(f"{printable(path)} cannot be read: {error.strerror or one_line(error)}") from error
    except Exception as error:  # decoders raise what they like
        raise HandstyleError(f"the metadata of {printable(path)} cannot be read: {one_line(error)}") from error
    try:
        found = json.loads(description)
    except (TypeError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


# what an output may be


def _check_kind_of_file(path: Path) -> None:
    """Raise `HandstyleError` if a path is a folder, a pipe, a device, or a broken or circular link."""
    name = printable(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            goal = printable(os.path.realpath(path))
            raise HandstyleError(
                f"the output {name} is a link to {goal}, which does not exist: name that path, or remove the link"
            ) from None
        return
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise HandstyleError(f"the output {name} is a link that leads in a circle: remove it") from error
        reason = error.strerror if isinstance(error, OSError) else one_line(error)
        raise HandstyleError(f"the output {name} cannot be written: {reason}") from error
    if stat.S_ISDIR(mode):
        example = printable(path / "out.png")
        raise HandstyleError(f"the output {name} is a folder: add the name of a picture, such as {example}")
    if not stat.S_ISREG(mode):
        what = "pipe" if stat.S_ISFIFO(mode) else "device or socket"
        raise HandstyleError(f"the output {name} is a {what}, not a file: choose another name")


def _format(path: Path) -> str:
    """Return Pillow's name of the format of a file suffix, or raise `HandstyleError` if it cannot be written here."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        endings = ", ".join(FORMATS)
        raise HandstyleError(f"the output {printable(path)} has no ending that names a format: use one of {endings}")
    if kind in PLUGINS:
        title, _, package, _ = PLUGINS[kind]
        Image.init()
        if not load_plugin(kind) or kind not in Image.SAVE:
            raise HandstyleError(
                f"the output {printable(path)}: this Pillow does not write {title}; pip install {package}, or name it "
                f"{printable(path.stem)}.png"
            )
    return kind


def _check_arrays(path: str | os.PathLike[str], picture: Pixels, alpha: Pixels | None) -> None:
    name = printable(path)
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise HandstyleError(f"an array of shape {picture.shape} is no picture for {name}: give (H, W, 3)")
    if alpha is not None and alpha.shape != picture.shape[:2]:
        raise HandstyleError(f"alpha of shape {alpha.shape} does not fit a picture of shape {picture.shape}")
    if not np.isfinite(picture).all() or not (alpha is None or np.isfinite(alpha).all()):
        raise HandstyleError(f"the picture for {name} has NaN or infinite values and is not written")


# other places


def _encode_as_possible(
    path: Path,
    picture: Pixels,
    alpha: Pixels | None,
    metadata: dict[str, str],
    bits: int,
    dpi: Resolution | None,
    reasons: list[str],
) -> tuple[str, bytes]:
    """Encode in the format of the path, else without metadata and resolution, else as PNG; return suffix and bytes."""
    for suffix, kept, depth, resolution in (
        (path.suffix, metadata, bits, dpi),
        (path.suffix, {}, bits, None),
        (".png", metadata, 8, None),
        (".png", {}, 8, None),
    ):
        try:
            kind = _format(path.with_name(f"picture{suffix}"))
            if alpha is not None and kind == "JPEG":
                raise HandstyleError("JPEG has no transparency")
            if depth == 16 and kind not in DEEP:
                raise HandstyleError(f"{kind} is not written with 16 bits a channel")
            return suffix, _encode(path, kind, picture, alpha, kept, depth, resolution)
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


# encoding


def _encode(
    path: Path,
    kind: str,
    picture: Pixels,
    alpha: Pixels | None,
    metadata: dict[str, str],
    bits: int,
    dpi: Resolution | None,
) -> bytes:
    text = {encodable(key): encodable(value) for key, value in metadata.items()}
    encode = {8: _encode_8_bit, 16: _encode_png16 if kind == "PNG" else _encode_tiff16}[bits]
    try:
        return encode(kind, _quantize(picture, alpha, bits), text, dpi)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{printable(path)}: there is not enough memory to encode {picture.shape[1]} x {picture.shape[0]} px as "
            f"{kind}: take a smaller size"
        ) from error
    except Exception as error:  # encoders raise what they like: OSError, ValueError, RuntimeError, struct.error
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
    options: dict[str, Any] = {"icc_profile": _srgb_bytes()}
    if kind == "PNG":
        text = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            text.add_itxt(key, value)
        options["pnginfo"] = text
    else:
        exif = Image.Exif()
        if metadata:
            exif[IMAGE_DESCRIPTION] = json.dumps(metadata)  # ASCII, as EXIF requires
        exif[SOFTWARE] = "handstyle"
        if dpi is not None:
            exif[X_RESOLUTION], exif[Y_RESOLUTION] = (TiffImagePlugin.IFDRational(value) for value in dpi)
            exif[RESOLUTION_UNIT] = INCH
        options["exif"] = exif.tobytes()
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


def _srgb_bytes() -> bytes:
    profile = bytearray(srgb_profile().tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date: the same run, the same bytes
    return bytes(profile)


def _encode_png16(_: str, levels: Pixels, metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    """Encode a picture, `(H, W, 3 or 4)` uint16, as PNG, since Pillow does not write 16 bits a channel."""
    height, width, channels = levels.shape

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = levels.astype(">u2").view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), dtype=np.uint8)
    filtered[:, 0] = 2  # filter "up": each row as its difference from the row above
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    per_meter = b"" if dpi is None else struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)),
        chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(_srgb_bytes())),
        *([chunk(b"pHYs", per_meter)] if per_meter else []),
        *(chunk(b"iTXt", k.encode("latin-1") + b"\0\0\0\0\0" + v.encode()) for k, v in metadata.items()),
        chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)),
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)


def _encode_tiff16(_: str, levels: Pixels, metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    """Encode a picture, `(H, W, 3 or 4)` uint16, as TIFF 6.0 with one deflated strip, which Pillow does not write."""
    height, width, channels = levels.shape
    differences = levels.astype("<u2")
    differences[:, 1:] -= levels[:, :-1]  # predictor 2: each value as its difference from its left neighbor
    data = zlib.compress(differences.tobytes(), 6)
    tags: dict[int, Any] = {
        256: width,
        257: height,
        258: (16,) * channels,
        259: 8,  # deflate
        262: 2,  # RGB
        273: 0,  # where the strip begins: Pillow adds the length of what stands before
        277: channels,
        278: height,  # rows of the strip
        279: len(data),
        284: 1,  # channels beside each other
        317: 2,  # predictor
        SOFTWARE: "handstyle",
        34675: _srgb_bytes(),
    }
    if channels == 4:
        tags[338] = 2  # alpha, not multiplied in
    if metadata:
        tags[IMAGE_DESCRIPTION] = json.dumps(metadata)
    if dpi is not None:
        tags |= {X_RESOLUTION: dpi[0], Y_RESOLUTION: dpi[1], RESOLUTION_UNIT: INCH}
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        directory[tag] = value
    out = io.BytesIO()
    directory.save(out)
    out.write(data)
    return out.getvalue()
