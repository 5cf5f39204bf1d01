"""Read the wire format of protocol buffers: a message is a sequence of fields with a number, a kind and a value.

Kinds 0 (varint), 1 (8 bytes), 2 (length and bytes) and 5 (4 bytes) exist in practice (protobuf.dev, "Encoding"). Values
are views of the file. No function is recursive: the reader of a format parses only the submessages that it needs.
"""

import math
from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import MAX_VALUES
from weights_tools.readers.reading import check_shape

Value = int | memoryview
MAX_FIELDS = MAX_VALUES + 10_000  # fields of a message: one for each value of a kernel, and some more


def fields(message: memoryview) -> Iterator[tuple[int, int, Value]]:
    r"""Yield number, kind and value of each field in a message; a value is an integer for kind 0, otherwise bytes.

    Examples
    --------
    >>> message = memoryview(b"\x08\x96\x01\x12\x02hi")  # field 1 is a varint, field 2 has two bytes
    >>> [(number, kind, text(value) or value) for number, kind, value in fields(message)]
    [(1, 0, 150), (2, 2, 'hi')]
    """
    position, end, count = 0, len(message), 0
    while position < end:
        count += 1
        if count > MAX_FIELDS:
            raise HandstyleError("a message of more fields than any VGG needs")
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise HandstyleError("damaged, or no protocol buffer (a field without a number)")
        if kind == 0:
            value, position = _varint(message, position)
            yield number, kind, value
            continue
        if kind == 2:
            size, position = _varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise HandstyleError(f"damaged, or no protocol buffer (a field of kind {kind})")
        if size > end - position:
            raise HandstyleError("cut short, or no protocol buffer")
        yield number, kind, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    r"""Read a varint (seven bits in each byte, lowest first), and return it and the position after it.

    Examples
    --------
    >>> _varint(memoryview(b"\x96\x01"), 0)  # 0x16 + 128 * 0x01
    (150, 2)
    """
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
    r"""Return the integers of a repeated field, packed or not, or raise `HandstyleError` if there are more than 16.

    Examples
    --------
    >>> integers(0, 3), integers(2, memoryview(b"\x03\x96\x01"))
    ([3], [3, 150])
    """
    if isinstance(value, int):
        return [value]
    if kind != 2:
        raise HandstyleError("damaged, or no protocol buffer (a shape of floating point)")
    found, position = [], 0
    while position < len(value):
        number, position = _varint(value, position)
        found.append(number)
        if len(found) > 16:
            raise HandstyleError("a shape of more than 16 axes")
    return found


def text(value: Value) -> str:
    """Return the text of a field, cut to 256 bytes; an empty text if the field is an integer.

    Examples
    --------
    >>> text(memoryview(b"conv1_1")), text(7)
    ('conv1_1', '')
    """
    return bytes(value[:256]).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def message(value: Value) -> memoryview:
    """Return the bytes of a submessage, or raise `HandstyleError` if the field is an integer.

    Examples
    --------
    >>> bytes(message(memoryview(b"layer")))
    b'layer'
    """
    if isinstance(value, int):
        raise HandstyleError("damaged, or no protocol buffer (a number where a message belongs)")
    return value


def append(data: bytearray, value: Value) -> None:
    r"""Append the bytes of a field to `data`, which collects a floating-point field that is repeated.

    Raises
    ------
    HandstyleError
        If the field is an integer, or `data` becomes larger than any array of a VGG.

    Examples
    --------
    >>> data = bytearray(b"\0\0")
    >>> append(data, memoryview(b"\x80?"))
    >>> np.frombuffer(data, "<f4").tolist()
    [1.0]
    """
    if len(data) > MAX_VALUES * 8:
        raise HandstyleError("an array of more values than any VGG has")
    data += message(value)


def as_array(name: str, shape: list[int], data: bytes | bytearray | memoryview, dtype: str) -> Array:
    r"""Return the array of the layer `name`, or raise `HandstyleError` if the number of bytes does not fit its shape.

    Examples
    --------
    >>> as_array("conv1_1", [2, 1], b"\0\0\x80?\0\0\0@", "<f4").tolist()
    [[1.0], [2.0]]
    >>> as_array("conv1_1", [3, 1], b"\0\0\x80?\0\0\0@", "<f4")
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: layer conv1_1 has 8 bytes for shape (3, 1)
    """
    sides = check_shape(name, shape)
    if len(data) != math.prod(sides) * np.dtype(dtype).itemsize:
        raise HandstyleError(f"layer {name} has {len(data)} bytes for shape {sides}")
    return np.frombuffer(data, dtype).reshape(sides)
