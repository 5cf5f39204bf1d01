"""Decode a picture by bands of rows, at a fraction of its size: reading a large picture takes little memory.

Each band is reduced before its pixels become floating-point numbers, and a JPEG is decoded at a fraction of its size
in the first place.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, JpegImagePlugin

from handstyle.foundations.color_profile import Pixels
from handstyle.foundations.errors import OutOfMemoryError
from handstyle.foundations.free_memory import available_memory
from handstyle.foundations.hostile_pictures import ADVICE

BAND = 1 << 22  # pixels that are converted at a time: 50 MB as float32
GAP = 4  # average blocks down to this multiple of the target, then resample: within about a level of resampling alone
LITTLE = 1 << 24  # bytes that a picture may take even if fewer are free: `RunMemory.check` then says what would fit
ROWS_REVERSED, COLUMNS_REVERSED = (3, 4, 7, 8), (2, 3, 6, 7)  # orientations, EXIF 2.32, section 4.6.4

# From a band of an image and a factor of reduction to (h, w, 3) and alpha (h, w), or None.
Converter = Callable[[Image.Image, int], tuple[Pixels, Pixels | None]]


def row_bands(height: int, width: int, multiple: int = 1) -> Iterator[slice]:
    """Cut an image into bands of rows with some four million pixels each.

    Parameters
    ----------
    height, width : int
        Size of the image, px.
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


def reduction(long: int, target: int | None) -> int:
    """Return the side of the blocks of pixels in which a picture is averaged, before it is resampled to a target.

    `long` is the long side of the picture, and `target` that of the result, px; None keeps the full size.

    Examples
    --------
    >>> reduction(8000, 500), reduction(8000, None)
    (4, 1)
    """
    return max(1, long // (GAP * target)) if target else 1


def draft(image: Image.Image, target: int | None) -> float:
    """Set a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, if `target` allows; return the factor of reduction.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (1600, 800)).save(file, "JPEG")
    >>> image = Image.open(file)
    >>> draft(image, 100), image.size
    (4.0, (400, 200))
    """
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return 1.0
    (width, height), wanted = image.size, reduction(max(image.size), target)
    drafted = image.draft(None, (math.ceil(width / wanted), math.ceil(height / wanted)))
    return width / drafted[1][2] if drafted else 1.0


def _least_memory(image: Image.Image, target: int | None, ours: bool) -> int:
    """Return the least bytes that reading an opened image takes: for Pillow's decoding, and for the pixels."""
    count = math.prod(image.size)
    each = 1 if image.mode in ("1", "L", "P") else 2 if ";16" in image.mode else 4
    return (each * count if ours else 0) + 12 * count // reduction(max(image.size), target) ** 2


@contextmanager
def enough_memory(image: Image.Image, target: int | None, ours: bool, what: str) -> Iterator[None]:
    """Raise `OutOfMemoryError` if the free memory is too small to decode an image: before the ``with`` block, or in it.

    Parameters
    ----------
    image : PIL.Image.Image
        The image, opened and not decoded.
    target : int or None
        The long side wanted, px.
    ours : bool
        Whether the image was opened here, so that decoding it takes memory; a caller's may be decoded already.
    what : str
        The name and the size of the picture, for the error.

    Examples
    --------
    >>> with enough_memory(Image.new("RGB", (8, 8)), None, ours=False, what="a picture"):
    ...     print("decoded")
    decoded
    """
    try:
        if _least_memory(image, target, ours) > max(LITTLE, available_memory()):  # or the system might end the process
            raise MemoryError
        yield
    except (MemoryError, OSError) as error:
        if isinstance(error, OSError) and "out of memory" not in str(error):  # as Pillow's decoders say it
            raise
        need = _least_memory(image, target, ours)
        raise OutOfMemoryError(
            f"{what} and takes some {need / 1e6:,.0f} MB to be read, more than the memory that is free: {ADVICE}"
        ) from error


def decode_bands(
    image: Image.Image, orientation: int, factor: int, convert: Converter
) -> tuple[Pixels, Pixels | None]:  # -> (H, W, 3), (H, W) or None
    """Convert a loaded image to upright pixels and alpha, band by band, averaged in blocks of `factor` x `factor`.

    Examples
    --------
    >>> def convert(band, factor):
    ...     return np.asarray(band, np.float32), None
    >>> image = Image.new("RGB", (4, 2), (10, 20, 30))
    >>> pixels, alpha = decode_bands(image, orientation=6, factor=1, convert=convert)  # a quarter turn
    >>> pixels.shape, alpha
    ((4, 2, 3), None)
    """
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


def average_blocks(plane: Pixels, factor: int) -> Pixels:  # (H, W) -> (h, w) float32
    """Return the means of blocks of `factor` pixels a side.

    Examples
    --------
    >>> average_blocks(np.array([[0, 2], [4, 6]], np.float32), 2).tolist()
    [[3.0]]
    """
    return np.asarray(Image.fromarray(plane).reduce(factor)) if factor > 1 else plane


def reduced_box(
    size: tuple[int, int], full: tuple[int, int], factor: float, orientation: int
) -> tuple[float, float, float, float]:
    """Return the rectangle that a picture covers in its reduced pixels: left, top, right, bottom.

    The last block of a row or a column of the file may reach beyond the picture.

    Parameters
    ----------
    size, full : (int, int)
        Height and width of the reduced pixels and of the picture, upright.
    factor : float
        Side of a reduced pixel, in pixels of the picture.
    orientation : int
        The EXIF orientation of the file, 1 to 8.

    Examples
    --------
    >>> reduced_box((5, 5), full=(18, 20), factor=4.0, orientation=1)  # half of the last row lies below the picture
    (0.0, 0.0, 5.0, 4.5)
    """
    (rows, columns), (h, w) = (side / factor for side in full), size
    top = h - rows if orientation in ROWS_REVERSED else 0.0
    left = w - columns if orientation in COLUMNS_REVERSED else 0.0
    return left, top, left + columns, top + rows
