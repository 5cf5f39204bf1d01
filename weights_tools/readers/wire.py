"""The wire format of protocol buffers: a message is a sequence of fields, each a number, a kind and a value.

Kinds 0 (varint), 1 (8 bytes), 2 (length and bytes) and 5 (4 bytes) exist in practice (protobuf.dev, "Encoding"). Values
are views of the file; nothing recurses, since the reader of a format asks for the submessages that it knows.
"""

from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import MOST_VALUES

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield (number, kind, value) of each field: an int for kind 0, else the bytes."""
    position, end = 0, len(message)
    while position < end:
        key, position = varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise HandstyleError("damaged, or no protocol buffer (a field without a number)")
        if kind == 0:
            value, position = varint(message, position)
            yield number, kind, value
            continue
        if kind == 2:
            size, position = varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise HandstyleError(f"damaged, or no protocol buffer (a field of kind {kind})")
        if size > end - position:
            raise HandstyleError("cut short, or no protocol buffer")
        yield number, kind, message[position : position + size]
        position += size


def varint(message: memoryview, position: int) -> tuple[int, int]:
    """Read a number of seven bits a byte, low first; return it and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise HandstyleError("cut short, or no protocol buffer")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise HandstyleError("damaged, or no protocol buffer (a number without end)")


def integers(kind: int, value: Value) -> list[int]:
    """Read a repeated integer field, packed or not; shapes only, so at most 16 of them."""
    if isinstance(value, int):
        return [value]
    if kind != 2:
        raise HandstyleError("damaged, or no protocol buffer (a shape of floating point)")
    found, position = [], 0
    while position < len(value):
        number, position = varint(value, position)
        found.append(number)
        if len(found) > 16:
            raise HandstyleError("a shape of more than 16 axes")
    return found


def text(value: Value) -> str:
    """Read a name; at most 256 bytes of it."""
    return bytes(value[:256]).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def message(value: Value) -> memoryview:
    """Read a submessage; anything else is damage."""
    if isinstance(value, int):
        raise HandstyleError("damaged, or no protocol buffer (a number where a message belongs)")
    return value


def join(parts: list[memoryview], dtype: str, name: str) -> Array:
    """Read a repeated floating-point field, packed in one part or one value a part."""
    size = sum(len(part) for part in parts)
    if size > MOST_VALUES * np.dtype(dtype).itemsize:
        raise HandstyleError(f"layer {name} holds {size} bytes, more than any VGG has")
    if size % np.dtype(dtype).itemsize:
        raise HandstyleError(f"layer {name} holds {size} bytes, no whole number of values")
    return np.frombuffer(parts[0] if len(parts) == 1 else b"".join(parts), dtype)
