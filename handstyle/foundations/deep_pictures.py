"""Read and write pictures with more than 8 bits a channel; Pillow reads only gray ones, and writes none."""

import io
import json
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from handstyle.foundations.color_profile import Pixels, gray_converter, srgb_bytes
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_bands import Converter, average_blocks, row_bands
from handstyle.foundations.picture_metadata import (
    IMAGE_DESCRIPTION,
    INCH,
    RESOLUTION_UNIT,
    SOFTWARE,
    X_RESOLUTION,
    Y_RESOLUTION,
    Resolution,
)

GRAY_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")


def deep_converter(image: Image.Image, profile: bytes | None, name: str, notes: list[str]) -> Converter:
    """Return a function that converts rows of a gray image with more than 8 bits to colors and alpha.

    It takes decoded rows and the side of the blocks in which their pixels are averaged. It returns the colors, an
    (h, w, 3) array from 0 to 255, and the alpha, an (h, w) array or None.

    Examples
    --------
    >>> image = Image.fromarray(np.array([[0, 65535]], np.uint16))
    >>> convert = deep_converter(image, None, "gray.png", notes=[])
    >>> pixels, alpha = convert(image, 1)
    >>> pixels[0].round().tolist(), alpha
    ([[0.0, 0.0, 0.0], [255.0, 255.0, 255.0]], None)
    """
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
            return from_gray(average_blocks(gray, factor)), None
        cover = (raw != invisible).astype(np.float32)
        mean = average_blocks(cover, factor)
        return from_gray(average_blocks(gray * cover, factor) / np.where(mean == 0, 1, mean)), mean

    return convert


def encode_png16(levels: Pixels, metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    """Encode a picture, `(H, W, 3 or 4)` uint16, as PNG, since Pillow does not write 16 bits a channel.

    Examples
    --------
    >>> levels = np.full((2, 2, 3), 40000, np.uint16)
    >>> data = encode_png16(levels, {}, None)
    >>> data[1:4], data[24]  # the signature; bits for each channel
    (b'PNG', 16)
    """
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
        chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(srgb_bytes())),
        *([chunk(b"pHYs", per_meter)] if per_meter else []),
        *(chunk(b"iTXt", k.encode("latin-1") + b"\0\0\0\0\0" + v.encode()) for k, v in metadata.items()),
        chunk(b"IDAT", zlib.compress(filtered.tobytes(), 6)),
        chunk(b"IEND", b""),
    ]
    return b"".join(parts)


def encode_tiff16(levels: Pixels, metadata: dict[str, str], dpi: Resolution | None) -> bytes:
    """Encode a picture, `(H, W, 3 or 4)` uint16, as TIFF 6.0 with one deflated strip, which Pillow does not write.

    Examples
    --------
    >>> levels = np.full((2, 2, 3), 40000, np.uint16)
    >>> with Image.open(io.BytesIO(encode_tiff16(levels, {}, None))) as image:
    ...     image.size, image.tag_v2[258]  # bits for each channel
    ((2, 2), (16, 16, 16))
    """
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
        34675: srgb_bytes(),
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


DEEP_ENCODERS = {"PNG": encode_png16, "TIFF": encode_tiff16}
