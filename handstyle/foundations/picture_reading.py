"""From whatever people have to `(H, W, 3)` float32 sRGB: orientation, profile, grey, palette, alpha, 16 bit.

Three things happen to a picture on its way in, in this order. It is turned as its EXIF orientation says. Its
colours are led to sRGB, through the profile that it carries. Its alpha is set aside for the output, and what
shows through is filled with the mean of the visible colours, so that the network sees no border where the
picture has none.
"""

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from handstyle.foundations.color_profile import colour_to_srgb, grey_to_srgb
from handstyle.foundations.errors import HandstyleError

Pixels = np.ndarray[Any, Any]

GREY_16_BIT = ("I;16", "I;16L", "I;16B", "I;16N", "I")
GREY_8_BIT = ("1", "L", "LA", "La")
COLOUR_8_BIT = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV")


@dataclass(frozen=True)
class Picture:
    """A picture as the rest of the package wants it.

    Attributes
    ----------
    pixels : (H, W, 3) array of float32
        sRGB, 0 to 255, composited on the mean visible colour where `alpha` is below 1.
    alpha : (H, W) array of float32, or None
        0 (transparent) to 1 (opaque); None if every pixel is opaque.
    source : str
        The path, or "a PIL image", or "an array".
    notes : tuple of str
        What reading decided or lost, a sentence each; to be shown to the user.
    """

    pixels: Pixels
    alpha: Pixels | None
    source: str
    notes: tuple[str, ...] = field(default=())


PictureLike = str | os.PathLike[str] | Image.Image | Pixels | Picture


def read_picture(source: PictureLike) -> Picture:
    """Read a picture from a file, a PIL image or an array.

    Parameters
    ----------
    source : path, PIL.Image.Image, array or Picture
        A file that Pillow reads, of any of its modes; the first frame of an animation. Or an array `(H, W)`,
        `(H, W, 1)` (grey), `(H, W, 2)` (grey, alpha), `(H, W, 3)` (RGB) or `(H, W, 4)` (RGB, alpha): bool,
        uint8 (0 to 255), uint16 (0 to 65535) or float (0 to 255, alpha too; values beyond are kept, for a
        picture being painted is not clipped).

    Returns
    -------
    Picture
        Pixels, alpha, and notes on what was done.

    Raises
    ------
    HandstyleError
        If there is no picture to be had, in one line that says why and what to do.

    Notes
    -----
    Profiles are applied with relative colorimetric intent and black point compensation; a profile
    that moves no colour by more than one level is sRGB, and is left alone. Grey of 16 bits keeps its
    precision. Colour of 16 bits a channel is read by Pillow as 8; a note says so. Grey of 32-bit integers is
    taken on the scale 0 to 65535, grey of floats on 0 to 1 if nothing exceeds 1, else on 0 to 255; anything
    beyond is refused, not clipped.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source))
    if isinstance(source, Image.Image):
        return _from_image(source, "a PIL image")
    if isinstance(source, np.ndarray):
        return _from_array(source)
    raise HandstyleError(f"a picture is a path, a PIL image or a NumPy array, not {type(source).__name__}")


def _read_file(path: Path) -> Picture:
    if path.is_dir():
        raise HandstyleError(f"{path} is a folder: name a picture in it")
    if not path.exists():
        raise HandstyleError(f"{path} does not exist: check the path of the picture")
    try:
        if path.stat().st_size == 0:
            raise HandstyleError(f"{path} is empty (0 bytes): fetch or save the picture again")
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on and refuses from twice that; the refusal is enough.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return _from_image(image, str(path))
    except Image.DecompressionBombError as error:
        raise HandstyleError(
            f"{path} is too large ({_one_line(error)}): make it smaller first, or raise PIL.Image.MAX_IMAGE_PIXELS"
        ) from error
    except UnidentifiedImageError as error:
        raise HandstyleError(f"{path} is not a picture that Pillow reads: convert it to PNG") from error
    except OSError as error:
        raise HandstyleError(f"{path} cannot be read: {error.strerror or error}") from error


def _from_image(image: Image.Image, source: str) -> Picture:
    if 0 in image.size:
        raise HandstyleError(f"{source} has no pixels ({image.width} x {image.height})")
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append("of several frames the first was taken")
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))  # such as "RGB;16B", before loading
    if deep and image.mode not in GREY_16_BIT:
        notes.append("16 bits a channel were read as 8")
    try:
        image.load()
    except Exception as error:  # decoders raise what they like, SyntaxError too
        raise HandstyleError(f"{source} is damaged or truncated ({_one_line(error)}): fetch it again") from error
    white_is_zero = image.mode == "I;16" and getattr(image, "tag_v2", {}).get(262) == 0
    image = ImageOps.exif_transpose(image)
    try:
        pixels, alpha = _decode(image, white_is_zero, source, notes)
    except HandstyleError:
        raise
    except Exception as error:
        raise HandstyleError(
            f"{source} of mode {image.mode} is not converted ({_one_line(error)}): save it as RGB"
        ) from error
    return _compose(pixels, alpha, source, notes)


def _decode(
    image: Image.Image, white_is_zero: bool, source: str, notes: list[str]
) -> tuple[Pixels, Pixels | None]:  # -> (H, W, 3), (H, W) or None
    profile = image.info.get("icc_profile")
    alpha: Pixels | None = None
    if image.mode in GREY_16_BIT or image.mode == "F":
        raw = np.asarray(image)
        if "transparency" in image.info:
            alpha = (raw != image.info["transparency"]).astype(np.float32)
        grey = _grey_levels(raw, image.mode, source)
        return grey_to_srgb(255 - grey if white_is_zero else grey, profile, notes), alpha
    if image.mode in GREY_8_BIT + COLOUR_8_BIT and image.has_transparency_data:
        image = image.convert("LA" if image.mode in GREY_8_BIT else "RGBA")
        alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / 255
    if image.mode in GREY_8_BIT:
        return grey_to_srgb(np.asarray(image.convert("L"), dtype=np.float32), profile, notes), alpha
    if image.mode in COLOUR_8_BIT:
        return colour_to_srgb(image.convert("RGB"), profile, notes), alpha
    if image.mode == "CMYK":
        return colour_to_srgb(image, profile, notes), None
    if image.mode == "LAB":
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        return colour_to_srgb(image, lab.tobytes(), notes), None
    raise HandstyleError(f"{source} has the mode {image.mode}, which is not read: save it as an RGB PNG")


def _grey_levels(raw: Pixels, mode: str, source: str) -> Pixels:  # (H, W) -> (H, W) float32, 0 to 255
    low, high = float(raw.min()), float(raw.max())
    white = 65535.0 if mode != "F" else 1.0 if high <= 1 else 255.0
    if not 0 <= low <= high <= white:  # also false for NaN
        raise HandstyleError(
            f"{source} has grey values from {low:g} to {high:g} (mode {mode}), where 0 to {white:g} is read: "
            "scale it to 16 bits and save it as PNG"
        )
    return (raw.astype(np.float64) * (255.0 / white)).astype(np.float32)


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
    colours = values.shape[2] in (3, 4)
    alpha = np.clip(values[..., -1] / 255, 0, 1) if values.shape[2] in (2, 4) else None
    pixels = values[..., :3] if colours else np.repeat(values[..., :1], 3, axis=2)
    return _compose(pixels, alpha, source, [])


def _compose(pixels: Pixels, alpha: Pixels | None, source: str, notes: list[str]) -> Picture:
    """Fill what is transparent with the mean of the visible colours, weighted by alpha."""
    pixels = np.array(pixels, dtype=np.float32, order="C")
    if alpha is None or (alpha == 1).all():
        return Picture(pixels, None, source, tuple(notes))
    total = alpha.sum(dtype=np.float64)
    if total == 0:
        raise HandstyleError(f"{source} is wholly transparent: there is nothing to paint")
    cover = alpha[..., None]
    mean = (pixels * cover).sum(axis=(0, 1), dtype=np.float64) / total
    pixels = (cover * pixels + (1 - cover) * mean).astype(np.float32)
    return Picture(pixels, alpha.astype(np.float32), source, tuple(notes))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
