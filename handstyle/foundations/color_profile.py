"""Convert device colors to sRGB by the ICC profile that a picture carries.

littleCMS does the arithmetic. A profile that cannot be used is ignored with a note, and the colors are taken as
sRGB, as browsers do.
"""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from handstyle.foundations.errors import one_line

Pixels = np.ndarray[Any, Any]


def srgb_profile() -> ImageCms.ImageCmsProfile:
    """Return the sRGB profile that is built into littleCMS.

    Returns
    -------
    PIL.ImageCms.ImageCmsProfile
        A matrix profile with the curve and the primaries of IEC 61966-2-1.

    Examples
    --------
    >>> srgb_profile().profile.xcolor_space
    'RGB '
    """
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def srgb_bytes() -> bytes:
    """Return the bytes of `srgb_profile` with a fixed date, so that every run writes the same bytes to a file.

    Examples
    --------
    >>> srgb_bytes()[36:40]  # the signature of every ICC profile
    b'acsp'
    """
    profile = bytearray(srgb_profile().tobytes())
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # the date: the same run, the same bytes
    return bytes(profile)


def color_converter(profile: bytes | None, mode: str, notes: list[str]) -> Callable[[Image.Image], Pixels]:
    """Return a function that converts color images to sRGB by a color profile.

    Parameters
    ----------
    profile : bytes or None
        The ICC profile; None takes the colors as sRGB.
    mode : {"RGB", "CMYK", "LAB"}
        The Pillow mode of the images.
    notes : list of str
        Receives one sentence on what is converted or cannot be used.

    Returns
    -------
    callable
        It takes an image of that mode, and returns an ``(H, W, 3)`` array of float32, 0 to 255.

    Notes
    -----
    Relative colorimetric intent with black point compensation (ICC.1:2022, section 6.2).

    Examples
    --------
    >>> convert = color_converter(None, "RGB", [])
    >>> convert(Image.new("RGB", (1, 1), (255, 128, 0))).tolist()
    [[[255.0, 128.0, 0.0]]]
    """
    transform = _transform(profile, mode, notes) if profile else None
    if transform is None and mode == "CMYK":
        notes.append("CMYK was converted without a usable profile: colors are approximate")

    def convert(image: Image.Image) -> Pixels:  # (H, W) pixels -> (H, W, 3)
        return np.asarray(transform.apply(image) if transform else image.convert("RGB"), dtype=np.float32)

    return convert


def gray_converter(profile: bytes | None, notes: list[str]) -> Callable[[Pixels], Pixels]:
    """Return a function that converts gray planes to sRGB by a color profile.

    Parameters
    ----------
    profile : bytes or None
        An ICC profile for gray, or for RGB, where a gray level is the color R = G = B; None takes the levels as sRGB.
    notes : list of str
        Receives one sentence on what is converted or cannot be used.

    Returns
    -------
    callable
        It takes an ``(H, W)`` array of float32, 0 to 255, and returns an ``(H, W, 3)`` array of float32, 0 to 255.

    Notes
    -----
    The profile is evaluated at 256 levels; values between two levels are interpolated linearly.

    Examples
    --------
    >>> convert = gray_converter(None, [])
    >>> convert(np.array([[7.5]], dtype=np.float32)).tolist()
    [[[7.5, 7.5, 7.5]]]
    """
    # ICC.1:2022, 7.2: the header's data color space
    mode = "L" if profile and profile[16:20] == b"GRAY" else "RGB"
    transform = _transform(profile, mode, notes) if profile else None
    if transform is None:
        return lambda gray: np.repeat(gray[..., None], 3, axis=2)
    levels = np.arange(256, dtype=np.uint8)
    curve = np.asarray(transform.apply(Image.fromarray(levels[None]).convert(mode)), dtype=np.float32)[0]

    def convert(gray: Pixels) -> Pixels:  # (H, W) -> (H, W, 3)
        return np.stack([np.interp(gray, levels, curve[:, c]) for c in range(3)], axis=-1).astype(np.float32)

    return convert


def _transform(profile: bytes, mode: str, notes: list[str]) -> ImageCms.ImageCmsTransform | None:
    """Return the transform of a profile to sRGB; None, with a note, if the profile is broken or not for this mode."""
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}[mode]
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = source.profile.xcolor_space.strip()
        if found != space:
            notes.append(f"a color profile for {found} was ignored, for the picture is {space}")
            return None
        transform = ImageCms.buildTransform(
            source,
            srgb_profile(),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        name = " ".join(ImageCms.getProfileDescription(source).split()) or "without a name"
    except MemoryError:
        raise
    except Exception as error:  # a broken profile raises PyCMSError, OSError, TypeError, ValueError
        notes.append(f"a color profile that cannot be read was ignored ({one_line(error)})")
        return None
    if mode == "RGB" and _is_identity(transform):
        return None
    if mode != "LAB":
        notes.append(f"colors were converted from the profile {name!r} to sRGB")
    return transform


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Return whether no color of a 9 × 9 × 9 cube moves by more than one level."""
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube)))
    return int(np.abs(moved.astype(int) - cube).max()) <= 1
