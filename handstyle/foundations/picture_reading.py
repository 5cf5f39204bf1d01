"""Read a picture file, a PIL image or an array as `(H, W, 3)` float32 sRGB.

A picture is turned as its EXIF orientation says, its colors are converted to sRGB by the ICC profile that it
carries, and its alpha is set aside for the output. Transparent pixels are filled with the mean of the visible
colors, so that the network sees no border where the picture has none.

Decoding works on bands of rows. With a target size, each band is reduced before its pixels become floating-point
numbers, and a JPEG is decoded at a fraction of its size in the first place.
"""

import hashlib
import importlib
import io
import math
import os
import re
import stat
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageCms, JpegImagePlugin, UnidentifiedImageError, features

from handstyle.foundations.backend import available_memory
from handstyle.foundations.color_profile import Pixels, color_converter, gray_converter
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError, one_line, printable

GRAY_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
GRAY_8_BIT = ("1", "L", "LA", "La")
COLOR_8_BIT = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV")
ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".ppm", ".pgm", ".tga"),
)
# Formats that need a plug-in of Pillow: its name, its module, its package, whether it must be registered by a call.
PLUGINS = {
    "AVIF": ("AVIF", "pillow_avif", "pillow-avif-plugin", ""),
    "HEIF": ("HEIC", "pillow_heif", "pillow-heif", "register_heif_opener"),
    "JXL": ("JPEG XL", "pillow_jxl", "pillow-jxl-plugin", ""),
}
ORIENTATION, ROWS_REVERSED, COLUMNS_REVERSED = 0x0112, (3, 4, 7, 8), (2, 3, 6, 7)  # EXIF 2.32, section 4.6.4
BAND = 1 << 22  # pixels that are converted at a time: 50 MB as float32
GAP = 4  # average blocks down to this multiple of the target, then resample: within about a level of resampling alone
MAX_PROFILE_BYTES = 1 << 24  # bytes; profiles for print have up to some three million
ADVICE = "make the picture smaller first"
LITTLE = 1 << 24  # bytes that a picture may take whatever is free: if the run lacks them, it says itself what would fit
LIMIT_LOCK = threading.Lock()  # held while Pillow's own limit, which is global, is another one


@dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Parameters
    ----------
    pixels : (H, W, 3) array of float32
        sRGB, 0 to 255, blended with the mean visible color where `alpha` is below 1.
    alpha : (H, W) array of float32, or None
        0 (transparent) to 1 (opaque); None if every pixel is opaque.
    source : str
        The path, or "a PIL image", or "an array".
    notes : tuple of str
        What reading decided or lost, a sentence each; to be shown to the user.
    full_size : (int, int)
        Height and width of the source, px, upright; more than those of `pixels` if it was reduced to a target.
    dpi : (float, float), or None
        Pixels per inch across and down that the source states for `full_size`.
    sha256 : str
        Of the file that was read; empty if there was none.

    Examples
    --------
    >>> picture = Picture(np.zeros((2, 3, 3), np.float32), alpha=None, source="an array")
    >>> picture.full_size
    (2, 3)
    """

    pixels: Pixels
    alpha: Pixels | None
    source: str
    notes: tuple[str, ...] = ()
    full_size: tuple[int, int] = (0, 0)  # (0, 0) stands for the size of `pixels`
    dpi: tuple[float, float] | None = None
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.full_size == (0, 0):
            object.__setattr__(self, "full_size", self.pixels.shape[:2])

    def __repr__(self) -> str:
        """Return a line with the source and the size, without the pixels."""
        height, width, _ = self.pixels.shape
        return f"<Picture {printable(self.source)}, {width} x {height} px>"


PictureLike = str | os.PathLike[str] | Image.Image | Pixels | Picture
Target = int | Callable[[tuple[int, int]], int]  # the long side, or a function of height and width that returns it


def read_picture(source: PictureLike, *, target: Target | None = None, max_pixels: int | None = None) -> Picture:
    """Read a picture from a file, a PIL image or an array.

    Parameters
    ----------
    source : path, PIL.Image.Image, array or Picture
        A file in a format that Pillow reads, or HEIC or JPEG XL if its plug-in is installed; ``~`` is the home
        folder; the first frame of an animation. Or an array `(H, W)`, `(H, W, 1)` (gray), `(H, W, 2)` (gray, alpha),
        `(H, W, 3)` (RGB) or `(H, W, 4)` (RGB, alpha): bool, uint8 (0 to 255), uint16 (0 to 65535) or float (0 to
        255, alpha too; values beyond are kept, because a picture being painted is not clipped).
    target : int or callable, optional
        The long side wanted, px. A larger picture is reduced to it, in much less memory than the full size takes; a
        smaller one keeps its size. By default the full size is read. A function is given height and width, and those
        exchanged where it is not known yet how the picture is to be turned; what it returns, the larger, is the target.
    max_pixels : int, optional
        Refuse files with more pixels than this. By default Pillow's limit, ``2 * PIL.Image.MAX_IMAGE_PIXELS``: 179
        million.

    Returns
    -------
    Picture
        Pixels, alpha, the full size, and notes on what was done.

    Raises
    ------
    HandstyleError
        If there is no picture to be read, in one line that says why and what to do.
    OutOfMemoryError
        If there is not enough memory for it.

    See Also
    --------
    pictures_in : the pictures of a folder.
    handstyle.foundations.picture_writing.write_picture : the way back.

    Notes
    -----
    Profiles are applied with relative colorimetric intent and black point compensation; a profile that moves no color
    by more than one level is sRGB, and is left alone. Gray of 16 bits keeps its precision. Color of 16 bits a channel
    is read by Pillow as 8; a note says so. Gray of 32-bit integers is taken on the scale 0 to 65535, gray of floats
    on 0 to 1 if nothing exceeds 1, else on 0 to 255; anything beyond is refused, not clipped. EXIF data and profiles
    that are broken, and text in a PNG that is too long, are ignored with a note.

    A picture with eight times the target or more is first averaged in blocks of pixels down to four to eight times
    the target. The rest is resampled as `handstyle.foundations.image.fit_long_side` does.

    Examples
    --------
    >>> picture = read_picture(np.full((40, 60, 3), 128, dtype=np.uint8), target=30)
    >>> picture.pixels.shape, picture.full_size, float(picture.pixels.max())
    ((20, 30, 3), (40, 60), 128.0)
    """
    for name, value in (("target", target), ("max_pixels", max_pixels)):
        if isinstance(value, int) and value < 1:
            raise HandstyleError(f"{name}={value}: give a number of pixels, at least 1")
    if isinstance(source, Picture):
        return _resize(source, target)
    if isinstance(source, (str, os.PathLike)):
        return _read_file(source, target, max_pixels)
    if isinstance(source, Image.Image):
        with _explain_errors("a PIL image"):
            return _from_image(source, "a PIL image", target, [], ours=False)
    if isinstance(source, np.ndarray):
        return _resize(_from_array(source), target)
    raise HandstyleError(f"a picture is a path, a PIL image or a NumPy array, not {type(source).__name__}")


def pictures_in(folder: str | os.PathLike[str]) -> list[Path]:
    """List the picture files of a folder, without the files that operating systems leave in it.

    Parameters
    ----------
    folder : path
        Its own files are listed, not those of its subfolders.

    Returns
    -------
    list of Path
        The regular files with the ending of a picture whose names do not begin with a dot, in the order of their
        names. ``._a.png`` (macOS), ``.DS_Store``, ``Thumbs.db`` and ``desktop.ini`` are not among them.

    Raises
    ------
    HandstyleError
        If there is no such folder, or no picture in it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.png", "a.jpg", "._a.jpg", "Thumbs.db"):
    ...         _ = Path(folder, name).write_bytes(b"x")
    ...     [path.name for path in pictures_in(folder)]
    ['a.jpg', 'b.png']
    """
    folder = expand_path(folder)
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
        found = [path for path in files if not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise HandstyleError(f"the folder {printable(folder)} cannot be read: {error.strerror or error}") from error
    if not found:
        raise HandstyleError(f"the folder {printable(folder)} holds no picture: give one with {', '.join(ENDINGS)}")
    return found


def expand_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` and ``~name`` replaced by the home folder, if there is one.

    Examples
    --------
    >>> expand_path("pictures/~.png").as_posix()
    'pictures/~.png'
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no home folder, or no user of that name: a file may be called so
        return Path(path)


def load_plugin(kind: str) -> bool:
    """Import the plug-in by which Pillow reads and writes a format, and return whether there is one.

    Parameters
    ----------
    kind : {"AVIF", "HEIF", "JXL"}
        Pillow's name of the format.

    Returns
    -------
    bool
        True if Pillow has the format itself or by the plug-in.

    Examples
    --------
    >>> load_plugin("AVIF") in (True, False)
    True
    """
    if kind == "AVIF" and features.check("avif"):
        return True
    _, module, _, register = PLUGINS[kind]
    try:
        plugin = importlib.import_module(module)
        if register:
            getattr(plugin, register)()
    except Exception:  # not installed, or built for another Pillow
        return False
    return True


def row_bands(height: int, width: int, multiple: int = 1) -> Iterator[slice]:
    """Cut an image into bands of rows with some four million pixels each.

    Parameters
    ----------
    height, width : int
        Of the image, px.
    multiple : int
        Each band but the last has a multiple of this many rows.

    Yields
    ------
    slice
        The rows of a band, from the top.

    Examples
    --------
    >>> list(row_bands(10, 1 << 20))
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    rows = multiple * max(1, BAND // (width * multiple))
    for top in range(0, height, rows):
        yield slice(top, min(top + rows, height))


def _read_file(source: str | os.PathLike[str], target: Target | None, max_pixels: int | None) -> Picture:
    path = expand_path(source)
    name = printable(path)
    with _explain_errors(name), _pixel_limit(max_pixels):
        _check_file(path, str(source))
        notes: list[str] = []
        try:
            with open(path, "rb") as file:  # given a path, Pillow maps a TIFF that is to be turned at a wrong size
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                return replace(_from_stream(file, str(path), target, max_pixels, notes), sha256=digest)
        except (HandstyleError, MemoryError, Image.DecompressionBombError):
            raise
        except Exception as error:  # decoders raise what they like: SyntaxError, struct.error, RuntimeError
            rest = _png_without_text(path)
            if rest is None:
                raise
            essential, profile, dropped = rest
            notes = [
                f"{what} of the PNG cannot be read and was ignored ({one_line(error)})" for what in sorted(dropped)
            ]
            try:
                picture = _from_stream(io.BytesIO(essential), str(path), target, max_pixels, notes, profile)
                return replace(picture, sha256=digest)
            except (MemoryError, Image.DecompressionBombError):
                raise
            except Exception:
                raise error from None


def _check_file(path: Path, source: str) -> None:
    """Raise `HandstyleError` unless a path is that of a regular file that is not empty."""
    name = printable(path)
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        if re.match(r"(https?|ftps?|s3|gs|data|file):", source, re.IGNORECASE):
            url = re.sub(r"^(\w+:/)(?=[^/])", r"\1/", source)  # a path has lost one of its two
            raise HandstyleError(
                f"{printable(url)} is a URL, not a file: download the picture and give its path"
            ) from error
        if path.is_symlink():
            raise HandstyleError(f"{name} is a link to {printable(path.readlink())}, which does not exist") from error
        hint = "check the path of the picture" + "; several are separated by spaces" * ("," in name)
        raise HandstyleError(f"{name} does not exist: {hint}") from error
    if stat.S_ISDIR(status.st_mode):
        raise HandstyleError(f"{name} is a folder: name a picture in it; handstyle batch paints a folder")
    if not stat.S_ISREG(status.st_mode):
        raise HandstyleError(f"{name} is a pipe or a device, not a file: save the picture to a file first")
    if status.st_size == 0:
        raise HandstyleError(f"{name} is empty (0 bytes): fetch or save the picture again")


@contextmanager
def _explain_errors(name: str) -> Iterator[None]:
    """Raise any error of decoding as a `HandstyleError` of one line with the name of the picture."""
    try:
        yield
    except HandstyleError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(f"{name}: there is not enough memory to read it; {ADVICE}") from error
    except Image.DecompressionBombError as error:
        raise HandstyleError(
            f"{name} is too large ({one_line(error)}): make it smaller first, or allow more by `max_pixels`"
        ) from error
    except UnidentifiedImageError as error:
        raise HandstyleError(f"{name} is not a picture that Pillow reads: convert it to PNG") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise HandstyleError(f"{name} cannot be read: {error.strerror or error}") from error
        raise HandstyleError(f"{name} is damaged or truncated ({one_line(error)}): fetch it again") from error


@contextmanager
def _pixel_limit(max_pixels: int | None) -> Iterator[None]:
    """Set Pillow's global limit of pixels in a ``with`` block; Pillow refuses pictures of more than twice the limit."""
    if max_pixels is None:
        yield
        return
    with LIMIT_LOCK:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = (max_pixels + 1) // 2
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _from_stream(
    stream: IO[bytes],
    name: str,
    target: Target | None,
    max_pixels: int | None,
    notes: list[str],
    profile: bytes | None = None,
) -> Picture:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with _open_image(stream, printable(name)) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} px, max_pixels={max_pixels}")
            if profile is not None:
                image.info["icc_profile"] = profile
            picture = _from_image(image, name, target, notes, ours=True)
    # Pillow warns of broken EXIF data and of bytes after a TIFF; its warnings of large pictures and of its own future
    # are of other categories.
    heard = {f"Pillow warns: {one_line(w.message)}": None for w in caught if w.category is UserWarning}
    return replace(picture, notes=(*picture.notes, *list(heard)[:3]))


def _open_image(stream: IO[bytes], name: str) -> Image.Image:
    """Open a picture without decoding it, by a plug-in if Pillow alone cannot read the format."""
    try:
        return Image.open(stream)
    except UnidentifiedImageError:
        kind = _kind_by_signature(stream)
        if kind is None:
            raise
        title, _, package, _ = PLUGINS[kind]
        if not load_plugin(kind):
            raise HandstyleError(
                f"{name} is a {title} picture, which needs a plug-in: pip install {package}, or save it as PNG or JPEG"
            ) from None
        stream.seek(0)
        try:
            return Image.open(stream)
        except UnidentifiedImageError as error:
            raise HandstyleError(f"{name} is a {title} picture that is damaged or truncated: fetch it again") from error


def _kind_by_signature(stream: IO[bytes]) -> str | None:
    stream.seek(0)
    start = stream.read(12)
    if start.startswith(b"\xff\x0a") or start == b"\0\0\0\x0cJXL \r\n\x87\n":  # ISO/IEC 18181-2
        return "JXL"
    if start[4:8] != b"ftyp":  # ISO/IEC 23008-12, the brands of HEIF
        return None
    brand = start[8:12]
    return "AVIF" if brand in (b"avif", b"avis") else "HEIF" if brand[:2] in (b"he", b"mi", b"ms") else None


def _png_without_text(path: Path) -> tuple[bytes, bytes | None, set[str]] | None:
    """Return a PNG file without its text and color profile, the profile, and notes on losses; None if it has neither.

    Text and profiles are compressed, and may be bombs; the profile is decompressed up to a limit.
    """
    data = path.read_bytes()
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    kept, profile, at = [data[:8]], None, 8
    dropped: set[str] = set()
    while at + 12 <= len(data):  # PNG specification, section 5.3: length, type, data, checksum
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        chunk = data[at : at + 12 + length]
        if kind == b"iCCP":
            profile = _profile_of(chunk[8:-4])
            dropped |= set() if profile else {"the color profile"}
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            dropped.add("the text")
        else:
            kept.append(chunk)
        at += 12 + length
    return (b"".join(kept), profile, dropped) if dropped or profile else None


def _profile_of(chunk: bytes) -> bytes | None:
    """Return the color profile in an iCCP chunk: name, zero byte, method (0, deflate), and the compressed profile."""
    name, _, rest = chunk.partition(b"\0")
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(rest[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return profile if unpacker.eof and rest[:1] == b"\0" and name else None


def _from_image(image: Image.Image, name: str, target: Target | None, notes: list[str], ours: bool) -> Picture:
    """Decode an opened image; with `ours`, which no caller holds, it may be decoded at a smaller size."""
    shown = printable(name)
    if 0 in image.size:
        raise HandstyleError(f"{shown} has no pixels ({image.width} x {image.height})")
    width, height = image.size
    if callable(target):  # the orientation of some formats is known after decoding
        target = max(target((height, width)), target((width, height)))
    try:
        if getattr(image, "is_animated", False) and image.format != "MPO":  # `n_frames` would read every page
            notes.append("of several frames the first was taken; handstyle frames paints a film")
        deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))  # "RGB;16B", gone after loading
        if deep and image.mode not in GRAY_DEEP:
            notes.append("16 bits a channel were read as 8")
        drafted = 1.0
        if ours and isinstance(image, JpegImagePlugin.JpegImageFile):  # decoded at a half, a quarter, an eighth
            wanted = _reduction(max(width, height), target)
            draft = image.draft(None, (math.ceil(width / wanted), math.ceil(height / wanted)))
            drafted = width / draft[1][2] if draft else 1.0
        turned = getattr(image, "tag_v2", {}).get(ORIENTATION, 1)  # a TIFF is turned by Pillow while it is loaded
        if _least_memory(image, target, ours) > max(LITTLE, available_memory()):  # or the system might end the process
            raise MemoryError
        image.load()
        orientation, dpi = _exif(image, turned, notes)
        factor = _reduction(max(image.size), target)
        pixels, alpha = _decode(image, orientation, factor, shown, notes)
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and "out of memory" not in str(error):  # as Pillow's decoders say it
            raise
        need = _least_memory(image, target, ours)
        raise OutOfMemoryError(
            f"{shown} has {width} x {height} px and takes some {need / 1e6:,.0f} MB to be read, more than the memory "
            f"that is free: {ADVICE}"
        ) from error
    full = (width, height) if orientation >= 5 else (height, width)
    picture = replace(_compose(pixels, alpha, name, notes), full_size=full, dpi=dpi)
    # The last block of a row or a column may reach beyond the picture: where the picture lies in what was reduced.
    (rows, columns), (h, w) = (side / (drafted * factor) for side in full), pixels.shape[:2]
    top = h - rows if orientation in ROWS_REVERSED else 0.0
    left = w - columns if orientation in COLUMNS_REVERSED else 0.0
    return _resize(picture, target, (left, top, left + columns, top + rows))


def _least_memory(image: Image.Image, target: int | None, ours: bool) -> int:
    """Return the least bytes that reading an opened image takes: for Pillow's decoding, and for the pixels."""
    count = math.prod(image.size)
    each = 1 if image.mode in ("1", "L", "P") else 2 if ";16" in image.mode else 4
    return (each * count if ours else 0) + 12 * count // _reduction(max(image.size), target) ** 2


def _exif(image: Image.Image, turned: int, notes: list[str]) -> tuple[int, tuple[float, float] | None]:
    """Return the orientation, 1 to 8, and the pixels per inch across and down of the upright picture.

    `turned` is the orientation that Pillow has undone.
    """
    exif: dict[int, Any] = {}
    try:
        exif = dict(image.getexif())
    except MemoryError:
        raise
    except Exception as error:
        notes.append(f"EXIF data that cannot be read were ignored ({one_line(error)})")
    orientation = exif.get(ORIENTATION, 1)
    orientation = orientation if orientation in range(1, 9) else 1
    unit = {2: 1.0, 3: 2.54}.get(exif.get(0x0128, 2), 0.0)
    try:
        x, y = image.info.get("dpi") or (float(exif[0x011A]) * unit, float(exif[0x011B]) * unit)
        across, down = (float(y), float(x)) if max(orientation, turned) >= 5 else (float(x), float(y))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return orientation, None
    usable = 0 < across < math.inf and 0 < down < math.inf
    return orientation, (across, down) if usable else None


def _reduction(long: int, target: int | None) -> int:
    return max(1, long // (GAP * target)) if target else 1


def _decode(
    image: Image.Image, orientation: int, factor: int, name: str, notes: list[str]
) -> tuple[Pixels, Pixels | None]:  # -> (H, W, 3), (H, W) or None
    convert = _converter(image, name, notes)
    height, width = -(-image.height // factor), -(-image.width // factor)
    upright = (width, height) if orientation >= 5 else (height, width)
    pixels, alpha = np.empty((*upright, 3), dtype=np.float32), None
    stored_pixels, stored_alpha = _file_rows_view(pixels, orientation), None
    for rows in row_bands(image.height, image.width, factor):
        part = slice(rows.start // factor, -(-rows.stop // factor))
        band, cover = convert(image.crop((0, rows.start, image.width, rows.stop)), factor)
        stored_pixels[part] = band
        if cover is None:
            continue
        if stored_alpha is None:
            alpha = np.ones(upright, dtype=np.float32)
            stored_alpha = _file_rows_view(alpha, orientation)
        stored_alpha[part] = cover
    return pixels, alpha


def _file_rows_view(upright: Pixels, orientation: int) -> Pixels:
    """Return a view of an upright array in the orientation of the file, whose rows are the file's rows."""
    if orientation in ROWS_REVERSED:
        upright = upright[::-1]
    if orientation in COLUMNS_REVERSED:
        upright = upright[:, ::-1]
    return upright.swapaxes(0, 1) if orientation >= 5 else upright


# From a band of an image and a factor of reduction to (h, w, 3) and alpha (h, w), or None.
_Converter = Callable[[Image.Image, int], tuple[Pixels, Pixels | None]]


def _converter(image: Image.Image, name: str, notes: list[str]) -> _Converter:
    """Return the function that converts decoded rows of an image to colors and alpha, for the image's mode."""
    profile = image.info.get("icc_profile")
    if profile is not None and not isinstance(profile, bytes):
        notes.append("a color profile that cannot be read was ignored")
        profile = None
    mode = image.mode
    if mode in GRAY_DEEP:
        return _deep_converter(image, profile, name, notes)
    if mode not in (*GRAY_8_BIT, *COLOR_8_BIT, "CMYK", "LAB"):
        raise HandstyleError(f"{name} has the mode {mode}, which is not read: save it as an RGB PNG")
    if mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    transparent = mode in GRAY_8_BIT + COLOR_8_BIT and image.has_transparency_data
    is_gray = mode in GRAY_8_BIT
    plain = ("LA" if transparent else "L") if is_gray else "RGBA" if transparent else "RGB"
    plain = mode if mode in ("CMYK", "LAB") else plain
    from_gray = gray_converter(profile, notes) if is_gray else None
    from_color = None if is_gray else color_converter(profile, plain.removesuffix("A"), notes)

    def convert(band: Image.Image, factor: int) -> tuple[Pixels, Pixels | None]:
        band = band.convert(plain)  # before reduction, which palettes and hues do not survive
        if factor > 1:
            band = band.reduce(factor)
        cover = np.asarray(band.getchannel("A"), dtype=np.float32) / 255 if transparent else None
        if from_gray is not None:
            return from_gray(np.asarray(band.convert("L"), dtype=np.float32)), cover
        assert from_color is not None
        return from_color(band.convert("RGB") if transparent else band), cover

    return convert


def _deep_converter(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> _Converter:
    """Return the function that converts decoded rows of a gray image with more than 8 bits."""
    white_is_zero = image.mode == "I;16" and getattr(image, "tag_v2", {}).get(262) == 0
    bands = (image.crop((0, rows.start, image.width, rows.stop)) for rows in row_bands(image.height, image.width))
    extremes = np.array([(np.min(raw), np.max(raw)) for raw in map(np.asarray, bands)], dtype=np.float64)
    low, high = extremes[:, 0].min(), extremes[:, 1].max()
    white = 65535.0 if image.mode != "F" else 1.0 if high <= 1 else 255.0
    if not 0 <= low <= high <= white:  # also false for NaN
        raise HandstyleError(
            f"{name} has gray values from {low:g} to {high:g} (mode {image.mode}), where 0 to {white:g} is read: "
            "scale it to 16 bits and save it as PNG"
        )
    invisible = image.info.get("transparency")
    from_gray = gray_converter(profile, notes)

    def convert(band: Image.Image, factor: int) -> tuple[Pixels, Pixels | None]:
        raw = np.asarray(band)
        gray = (raw.astype(np.float64) * (255.0 / white)).astype(np.float32)
        gray = 255 - gray if white_is_zero else gray
        if not isinstance(invisible, int):
            return from_gray(_average_blocks(gray, factor)), None
        cover = (raw != invisible).astype(np.float32)
        mean = _average_blocks(cover, factor)
        return from_gray(_average_blocks(gray * cover, factor) / np.where(mean == 0, 1, mean)), mean

    return convert


def _average_blocks(plane: Pixels, factor: int) -> Pixels:  # (H, W) -> (h, w) float32
    return np.asarray(Image.fromarray(plane).reduce(factor)) if factor > 1 else plane


def _resize(picture: Picture, target: Target | None, box: tuple[float, float, float, float] | None = None) -> Picture:
    """Resample the part of a picture within `box` so that its long side is `target`; a smaller one stays as it is."""
    height, width = picture.full_size
    target = target((height, width)) if callable(target) else target
    if not target or max(picture.pixels.shape[:2]) <= target:
        return picture
    columns, rows = (max(1, int(side * target / max(height, width) + 0.5)) for side in (width, height))

    def resampled(plane: Pixels) -> Pixels:  # as `image.resize` does, from a box with fractions of pixels
        image = Image.fromarray(np.ascontiguousarray(plane))
        fitted = np.asarray(image.resize((columns, rows), Image.Resampling.LANCZOS, box=box))
        return fitted.clip(plane.min(), plane.max())

    pixels = np.stack([resampled(picture.pixels[..., c]) for c in range(3)], axis=-1)
    return replace(picture, pixels=pixels, alpha=None if picture.alpha is None else resampled(picture.alpha))


def _from_array(array: Pixels) -> Picture:
    source = "an array"
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise HandstyleError(f"an array of shape {array.shape} is not a picture: give (H, W, 3)")
    if 0 in array.shape:
        raise HandstyleError(f"an array of shape {array.shape} has no pixels")
    if array.dtype == np.bool_:
        scale = 255.0
    elif array.dtype in (np.uint8, np.uint16):
        scale = 255.0 / np.iinfo(array.dtype).max
    elif np.issubdtype(array.dtype, np.floating):
        scale = 1.0
        if not np.isfinite(array).all():
            raise HandstyleError("an array with NaN or infinite values is not a picture")
        if 0 < array.max() <= 1:
            raise HandstyleError("a float array with no value above 1 is not on 0 to 255: multiply it by 255")
    else:
        raise HandstyleError(f"an array of {array.dtype} is no picture: give uint8, uint16 or float")
    values = (array.astype(np.float64) * scale).astype(np.float32)
    alpha = np.clip(values[..., -1] / 255, 0, 1) if values.shape[2] in (2, 4) else None
    pixels = values[..., :3] if values.shape[2] in (3, 4) else np.repeat(values[..., :1], 3, axis=2)
    return _compose(np.ascontiguousarray(pixels), alpha, source, [])


def _compose(pixels: Pixels, alpha: Pixels | None, source: str, notes: list[str]) -> Picture:
    """Fill transparent pixels, in place, with the mean of the visible colors, weighted by alpha."""
    height, width = pixels.shape[:2]
    bands = list(row_bands(height, width))
    if alpha is None or all((alpha[rows] == 1).all() for rows in bands):
        return Picture(pixels, None, source, tuple(notes))
    total = alpha.sum(dtype=np.float64)
    if total == 0:
        raise HandstyleError(f"{printable(source)} is wholly transparent: there is nothing to paint")
    colors = [(pixels[rows] * alpha[rows, :, None]).sum(axis=(0, 1), dtype=np.float64) for rows in bands]
    mean = np.sum(colors, axis=0) / total
    for rows in bands:
        cover = alpha[rows, :, None]
        pixels[rows] = cover * pixels[rows] + (1 - cover) * mean
    return Picture(pixels, alpha, source, tuple(notes))
