"""Color profiles made by hand, ICC.1:2001-04 (version 2), small enough to know every color they mean."""

import struct
from itertools import product

D50 = (0.9642, 1.0, 0.8249)  # the profile connection space's white


def _s15f16(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(v * 65536) for v in values))


def _xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + _s15f16(*values)


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _description(text: str) -> bytes:
    ascii_text = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(ascii_text)) + ascii_text + bytes(12 + 67)


def _assemble(space: bytes, connection: bytes, device: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s6H4s", size, b"test", 0x02100000, device, space, connection,
                         2000, 1, 1, 0, 0, 0, b"acsp")  # fmt: skip
    header = header.ljust(68, b"\0") + _s15f16(*D50)
    return header.ljust(128, b"\0") + table + body


def matrix_profile(primaries: tuple[tuple[float, float, float], ...], gamma: float) -> bytes:
    """An RGB profile: primaries as XYZ under D50, one gamma for all."""
    tags = {b"desc": _description("by hand"), b"wtpt": _xyz(*D50)}
    for letter, primary in zip("rgb", primaries, strict=True):
        tags[f"{letter}XYZ".encode()] = _xyz(*primary)
        tags[f"{letter}TRC".encode()] = _gamma(gamma)
    return _assemble(b"RGB ", b"XYZ ", b"mntr", tags)


# sRGB's primaries adapted to D50, from IEC 61966-2-1 by Bradford
SRGB_PRIMARIES = ((0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def gray_profile(gamma: float) -> bytes:
    tags = {b"desc": _description("gray by hand"), b"wtpt": _xyz(*D50), b"kTRC": _gamma(gamma)}
    return _assemble(b"GRAY", b"XYZ ", b"mntr", tags)


def cmyk_profile(described: bool = True) -> bytes:
    """A CMYK profile whose first ink is not cyan but dark: lightness 100 (1 - C)(1 - K), the other inks invisible."""
    table = bytearray()
    for c, _m, _y, k in product((0, 1), repeat=4):  # the first channel varies least
        table += bytes([255 * (1 - c) * (1 - k), 128, 128])
    identity = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _s15f16(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut += identity * 4 + bytes(table) + identity * 3
    tags = {b"wtpt": _xyz(*D50), b"A2B0": lut}
    return _assemble(b"CMYK", b"Lab ", b"prtr", ({b"desc": _description("dark ink")} if described else {}) | tags)
