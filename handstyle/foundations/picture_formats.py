"""Formats of picture files: their endings and signatures, and the plug-ins by which Pillow reads and writes some."""

import importlib
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError, features

from handstyle.foundations.errors import HandstyleError, printable

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".avif", ".heic", ".heif", ".jxl", ".jp2", ".ppm", ".pgm", ".tga"),
)
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
# Formats that need a plug-in of Pillow: its name, its module, its package, whether it must be registered by a call.
PLUGINS = {
    "AVIF": ("AVIF", "pillow_avif", "pillow-avif-plugin", ""),
    "HEIF": ("HEIC", "pillow_heif", "pillow-heif", "register_heif_opener"),
    "JXL": ("JPEG XL", "pillow_jxl", "pillow-jxl-plugin", ""),
}


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


def open_image(stream: IO[bytes], name: str) -> Image.Image:
    """Open a picture without decoding it, by a plug-in if Pillow alone cannot read the format.

    Examples
    --------
    >>> import io
    >>> file = io.BytesIO()
    >>> Image.new("RGB", (4, 2)).save(file, "PNG")
    >>> open_image(file, "a.png").size
    (4, 2)
    """
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


def format_of_output(path: Path) -> str:
    """Return Pillow's name of the format that a path's suffix means; raise `HandstyleError` if it cannot be written.

    Examples
    --------
    >>> format_of_output(Path("out.JPG"))
    'JPEG'
    """
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
