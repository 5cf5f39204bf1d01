"""Read a picture file, a PIL image or an array as `(H, W, 3)` float32 sRGB.

A picture is turned as its EXIF orientation says, its colors are converted to sRGB by the ICC profile that it
carries, and its alpha is set aside for the output. Transparent pixels are filled with the mean of the visible
colors, so that the network sees no border where the picture has none.

Files of all kinds, damaged ones among them, are the subject of `picture_formats`, `hostile_pictures`, `deep_pictures`
and `picture_bands`.
"""

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import IO

import numpy as np
from PIL import Image, ImageCms

from handstyle.foundations.color_profile import Pixels, color_converter, gray_converter
from handstyle.foundations.deep_pictures import GRAY_DEEP, deep_converter
from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.hostile_pictures import explain_errors, pixel_limit, read_repaired
from handstyle.foundations.picture_bands import (
    Converter,
    decode_bands,
    draft,
    enough_memory,
    reduced_box,
    reduction,
    row_bands,
)
from handstyle.foundations.picture_formats import open_image
from handstyle.foundations.picture_metadata import ORIENTATION, read_orientation
from handstyle.foundations.picture_paths import check_input, expand_path

GRAY_8_BIT = ("1", "L", "LA", "La")
COLOR_8_BIT = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV")


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
        The digest of the file that was read; empty if there was none.

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
        The long side of the result, px. A larger picture is reduced to it, in much less memory than the full size
        takes; a smaller one keeps its size. By default the full size is read. A function returns the target from
        height and width; before the orientation is known, it is called with both orders, and the larger target counts.
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
        If no picture can be read; the message says in one line why, and what to do.
    OutOfMemoryError
        If there is not enough memory for it.

    See Also
    --------
    handstyle.foundations.picture_paths.pictures_in : List the pictures of a folder.
    handstyle.foundations.picture_writing.write_picture : Write a picture to a file.

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
        with explain_errors("a PIL image"):
            return _from_image(source, "a PIL image", target, [], ours=False)
    if isinstance(source, np.ndarray):
        return _resize(_from_array(source), target)
    raise HandstyleError(f"a picture is a path, a PIL image or a NumPy array, not {type(source).__name__}")


def _read_file(source: str | os.PathLike[str], target: Target | None, max_pixels: int | None) -> Picture:
    path = expand_path(source)
    with explain_errors(printable(path)), pixel_limit(max_pixels):
        check_input(path, str(source))
        with open(path, "rb") as file:  # given a path, Pillow maps a TIFF that is to be turned at a wrong size
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            picture = read_repaired(file, partial(_from_stream, str(path), target, max_pixels))
        return replace(picture, sha256=digest)


def _from_stream(
    name: str,
    target: Target | None,
    max_pixels: int | None,
    stream: IO[bytes],
    notes: list[str],
    profile: bytes | None,
) -> Picture:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with open_image(stream, printable(name)) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} px, max_pixels={max_pixels}")
            if profile is not None:
                image.info["icc_profile"] = profile
            picture = _from_image(image, name, target, notes, ours=True)
    # Pillow warns of broken EXIF data and of bytes after a TIFF; its warnings of large pictures and of its own future
    # are of other categories.
    heard = {f"Pillow warns: {one_line(w.message)}": None for w in caught if w.category is UserWarning}
    return replace(picture, notes=(*picture.notes, *list(heard)[:3]))


def _from_image(image: Image.Image, name: str, target: Target | None, notes: list[str], ours: bool) -> Picture:
    """Decode an opened image; if no caller holds it (`ours`), it may be decoded at a smaller size."""
    shown = printable(name)
    width, height = image.size
    if 0 in image.size:
        raise HandstyleError(f"{shown} has no pixels ({width} x {height})")
    if callable(target):  # the orientation of some formats is known after decoding
        target = max(target((height, width)), target((width, height)))
    if getattr(image, "is_animated", False) and image.format != "MPO":  # `n_frames` would read every page
        notes.append("of several frames the first was taken; handstyle frames paints a film")
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))  # "RGB;16B", gone after loading
    if deep and image.mode not in GRAY_DEEP:
        notes.append("16 bits a channel were read as 8")
    drafted = draft(image, target) if ours else 1.0
    turned = getattr(image, "tag_v2", {}).get(ORIENTATION, 1)  # a TIFF is turned by Pillow while it is loaded
    with enough_memory(image, target, ours, f"{shown} has {width} x {height} px"):
        image.load()
        orientation, dpi = read_orientation(image, turned, notes)
        factor = reduction(max(image.size), target)
        pixels, alpha = decode_bands(image, orientation, factor, _converter(image, shown, notes))
    full = (width, height) if orientation >= 5 else (height, width)
    box = reduced_box(pixels.shape[:2], full, drafted * factor, orientation)
    return _resize(replace(_compose(pixels, alpha, name, notes), full_size=full, dpi=dpi), target, box)


def _converter(image: Image.Image, name: str, notes: list[str]) -> Converter:
    """Return the function that converts decoded rows of an image to colors and alpha, for the image's mode."""
    profile = image.info.get("icc_profile")
    if profile is not None and not isinstance(profile, bytes):
        notes.append("a color profile that cannot be read was ignored")
        profile = None
    mode = image.mode
    if mode in GRAY_DEEP:
        return deep_converter(image, profile, name, notes)
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
