"""The wire format of protocol buffers: a message is a sequence of fields, each a number, a kind and a value.

Kinds 0 (varint), 1 (8 bytes), 2 (length and bytes) and 5 (4 bytes) exist in practice (protobuf.dev, "Encoding"). Values
are views of the file; nothing recurses, since the reader of a format asks for the submessages that it knows.
"""

import math
from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import MOST_VALUES
from weights_tools.readers.reading import check_shape

Value = int | memoryview
MOST_FIELDS = MOST_VALUES + 10_000  # of one message: a kernel whose values are fields of their own, and then some


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Yield (number, kind, value) of each field: an int for kind 0, else the bytes."""
    position, end, count = 0, len(message), 0
    while position < end:
        count += 1
        if count > MOST_FIELDS:
            raise HandstyleError("a message of more fields than any VGG needs")
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


def append(data: bytearray, value: Value) -> None:
    """Add the bytes of a repeated floating-point field, packed or one value a field, to those before."""
    if len(data) > MOST_VALUES * 8:
        raise HandstyleError("an array of more values than any VGG has")
    data += message(value)


def as_array(name: str, shape: list[int], data: bytes | bytearray | memoryview, dtype: str) -> Array:
    """Return the array of a layer, after its size has been compared with its shape."""
    sides = check_shape(name, shape)
    if len(data) != math.prod(sides) * np.dtype(dtype).itemsize:
        raise HandstyleError(f"layer {name} has {len(data)} bytes for shape {sides}")
    return np.frombuffer(data, dtype).reshape(sides)
