"""Colours as other devices meant them, led to sRGB by the profile that the picture carries.

Everything here works through littleCMS. What it cannot use it says in a note, and the colours are taken as
sRGB, as a browser would.
"""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

Pixels = np.ndarray[Any, Any]


def srgb_profile() -> ImageCms.ImageCmsProfile:
    """Return the sRGB profile that littleCMS has built in."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def colour_to_srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Pixels:  # -> (H, W, 3)
    """Lead a colour image to sRGB.

    Parameters
    ----------
    image : PIL.Image.Image
        Of mode RGB, CMYK or LAB.
    profile : bytes or None
        The ICC profile it carries.
    notes : list of str
        Receives what was converted or could not be used.

    Returns
    -------
    (H, W, 3) array of float32
        0 to 255.
    """
    transform = _transform(profile, image.mode, notes) if profile else None
    if transform is not None:
        image = transform.apply(image)
    elif image.mode == "CMYK":
        notes.append("CMYK was converted without a usable profile: colours are approximate")
    return np.asarray(image.convert("RGB"), dtype=np.float32)


def grey_to_srgb(grey: Pixels, profile: bytes | None, notes: list[str]) -> Pixels:  # (H, W) -> (H, W, 3)
    """Lead a grey plane to sRGB.

    Parameters
    ----------
    grey : (H, W) array of float32
        0 to 255, of any precision.
    profile : bytes or None
        The ICC profile it carries; for grey, or for RGB, where grey is the colour R = G = B.
    notes : list of str
        Receives what was converted or could not be used.

    Returns
    -------
    (H, W, 3) array of float32
        0 to 255. One channel in: 256 levels tell the whole curve, and finer levels are interpolated.
    """
    mode = "L" if profile and _profile_space(profile) == "GRAY" else "RGB"
    transform = _transform(profile, mode, notes) if profile else None
    if transform is None:
        return np.repeat(grey[..., None], 3, axis=2)
    levels = np.arange(256, dtype=np.uint8)
    curve = np.asarray(transform.apply(Image.fromarray(levels[None]).convert(mode)), dtype=np.float32)
    return np.stack([np.interp(grey, levels, curve[0, :, c]) for c in range(3)], axis=-1).astype(np.float32)


def _transform(profile: bytes, mode: str, notes: list[str]) -> ImageCms.ImageCmsTransform | None:
    """Build the transform of a profile to sRGB; None, with a note, if it is not one for this mode."""
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}[mode]
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        found = source.profile.xcolor_space.strip()
        if found != space:
            notes.append(f"a colour profile for {found} was ignored, for the picture is {space}")
            return None
        transform = ImageCms.buildTransform(
            source,
            srgb_profile(),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        name = ImageCms.getProfileDescription(source).strip() or "without a name"
    except (ImageCms.PyCMSError, OSError) as error:
        notes.append(f"a colour profile that cannot be read was ignored ({' '.join(str(error).split())})")
        return None
    if mode == "RGB" and _is_identity(transform):
        return None
    if mode != "LAB":
        notes.append(f"colours were converted from the profile {name!r} to sRGB")
    return transform


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
    moved = np.asarray(transform.apply(Image.fromarray(cube)))
    return int(np.abs(moved.astype(int) - cube).max()) <= 1


def _profile_space(profile: bytes) -> str:
    return profile[16:20].decode("ascii", "replace").strip()  # ICC.1:2022, 7.2, the header's data colour space
