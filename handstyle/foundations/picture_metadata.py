"""What a picture file says beside its pixels: its orientation, its resolution, and the metadata of a painting."""

import json
import math
import os
import warnings
from typing import Any

from PIL import Image, PngImagePlugin, TiffImagePlugin

from handstyle.foundations.errors import HandstyleError, one_line, printable
from handstyle.foundations.picture_formats import FORMATS, PLUGINS, load_plugin
from handstyle.foundations.picture_paths import expand_path

Resolution = tuple[float, float]  # pixels per inch across and down

# Tags of EXIF 2.32, table 4, and of TIFF 6.0
ORIENTATION, IMAGE_DESCRIPTION, SOFTWARE = 0x0112, 0x010E, 0x0131
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, INCH, CENTIMETER = 0x011A, 0x011B, 0x0128, 2, 3


def read_orientation(image: Image.Image, turned: int, notes: list[str]) -> tuple[int, Resolution | None]:
    """Return the orientation, 1 to 8, and the pixels per inch across and down of the upright picture.

    `turned` is the orientation that Pillow has undone. Broken EXIF data are ignored with a note.

    Examples
    --------
    >>> image = Image.new("RGB", (4, 2))
    >>> image.info["dpi"] = (300, 300)
    >>> read_orientation(image, turned=1, notes=[])
    (1, (300.0, 300.0))
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
    unit = {INCH: 1.0, CENTIMETER: 2.54}.get(exif.get(RESOLUTION_UNIT, INCH), 0.0)
    try:
        x, y = image.info.get("dpi") or (float(exif[X_RESOLUTION]) * unit, float(exif[Y_RESOLUTION]) * unit)
        across, down = (float(y), float(x)) if max(orientation, turned) >= 5 else (float(x), float(y))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return orientation, None
    usable = 0 < across < math.inf and 0 < down < math.inf
    return orientation, (across, down) if usable else None


def exif_data(metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    """Return the EXIF data of a picture: its metadata as JSON in the description, the program, the resolution.

    Examples
    --------
    >>> exif = Image.Exif()
    >>> exif.load(exif_data({"seed": "7"}, (300, 300)))
    >>> exif[SOFTWARE], exif[IMAGE_DESCRIPTION]
    ('handstyle', '{"seed": "7"}')
    """
    exif = Image.Exif()
    if metadata:
        exif[IMAGE_DESCRIPTION] = json.dumps(metadata)  # ASCII, as EXIF requires
    exif[SOFTWARE] = "handstyle"
    if dpi is not None:
        exif[X_RESOLUTION], exif[Y_RESOLUTION] = (TiffImagePlugin.IFDRational(value) for value in dpi)
        exif[RESOLUTION_UNIT] = INCH
    data: bytes = exif.tobytes()
    return data


def read_metadata(path: str | os.PathLike[str], *, decode: bool = True) -> dict[str, str]:
    """Return the metadata that `write_picture` put into a file.

    Parameters
    ----------
    path : path
        A picture file. Of a PNG all text is read, whatever program wrote it; of other formats the JSON in the
        description of the EXIF data or of the TIFF.
    decode : bool
        Whether to read a PNG to its end, since some programs put text after the pixels; this decodes the pixels.

    Returns
    -------
    dict of str to str
        The metadata that `write_picture` was given; empty if there is none.

    Raises
    ------
    HandstyleError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from handstyle.foundations.picture_writing import write_picture
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
    except Exception as error:  # decoders raise errors of any class
        raise HandstyleError(f"the metadata of {printable(path)} cannot be read: {one_line(error)}") from error
    try:
        found = json.loads(description)
    except (TypeError, ValueError, RecursionError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
