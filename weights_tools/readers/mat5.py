"""Read MATLAB's level 5 files, as far as networks need it: cells, structures, numbers, text.

The format is a sequence of elements, each of which has a tag (type, size) and data. The data of an array are elements,
and a top-level array may be compressed (MathWorks, "MAT-File Format", version 5). `scipy.io.loadmat` reads the format
too, but trusts the sizes that a file declares. This reader keeps no array larger than a kernel of VGG and limits the
number of elements, so that a file of a few bytes cannot make it allocate gigabytes.
"""

import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import MAX_VALUES

_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", 16: "u1"}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)
MAX_ELEMENTS = 20_000
MAX_BYTES = 320 << 20  # of all arrays together; VGG-19 in double precision has 153 MiB
MAX_DEPTH = 12


class _Source:
    """A stream of the bytes of an element, which are decompressed while they are read if necessary."""

    def __init__(self, file: io.BufferedReader, size: int, compressed: bool) -> None:
        self.file, self.left = file, size
        self.unpack = zlib.decompressobj() if compressed else None

    def take(self, count: int, keep: bool = True) -> bytes:
        """Return exactly `count` bytes, or skip them if not `keep`."""
        parts = []
        while count > 0:
            part = self._decompress(min(count, 1 << 20))
            if not part:
                raise HandstyleError("the file is cut short")
            count -= len(part)
            if keep:
                parts.append(part)
        return b"".join(parts)

    def _decompress(self, most: int) -> bytes:
        while self.unpack is not None and not self.unpack.eof:
            packed = self.unpack.unconsumed_tail or self._read(1 << 16)
            if (part := self.unpack.decompress(packed, most)) or not packed:
                return part
        return self._read(most) if self.unpack is None else b""

    def _read(self, most: int) -> bytes:
        part = self.file.read(min(most, self.left))
        self.left -= len(part)
        return part


def read_mat(path: Path, wanted: str) -> Any:
    """Read one variable of a MATLAB file.

    Parameters
    ----------
    path : Path
        A level 5 file.
    wanted : str
        The name of the variable.

    Returns
    -------
    nested lists (cells), lists of dict (structures), arrays, str
        The value; it has None in place of arrays larger than a kernel of VGG, such as those of fully connected layers.

    Raises
    ------
    HandstyleError
        If the file is damaged or does not have the variable.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "example.mat"
    ...     savemat(file, {"layer": {"name": "conv1_1", "stride": 1.0}})
    ...     read_mat(file, "layer")
    [{'name': 'conv1_1', 'stride': array([[1.]])}]
    """
    with path.open("rb") as file:
        if file.read(128)[126:128] != b"IM":
            raise HandstyleError("a MATLAB file from a big-endian machine, which is not supported")
        for _ in range(100):
            tag = file.read(8)
            if len(tag) < 8:
                break
            kind, size = struct.unpack("<II", tag)
            source = _Source(file, size, kind == _COMPRESSED)
            if kind == _COMPRESSED:
                kind, size = struct.unpack("<II", source.take(8))
            if kind == _MATRIX:
                name, value = _Reader(source).matrix(size, 0, wanted)
                if name == wanted:
                    return value
            file.seek(source.left, io.SEEK_CUR)
    raise HandstyleError(f"a MATLAB file without the variable {wanted}: not MatConvNet's")


class _Reader:
    def __init__(self, source: _Source) -> None:
        self.source, self.elements, self.kept = source, 0, 0

    def _tag(self) -> tuple[int, int, bytes | None]:
        # A small element keeps up to four bytes of data within the tag, and its size in the upper half of the type.
        self.elements += 1
        if self.elements > MAX_ELEMENTS:
            raise HandstyleError(f"more than {MAX_ELEMENTS} parts: no network has so many")
        word, size = struct.unpack("<II", head := self.source.take(8))
        if word >> 16:
            return word & 0xFFFF, word >> 16, head[4 : 4 + min(word >> 16, 4)]
        return word, size, None

    def _data(self, most: int = 4096) -> tuple[int, bytes]:
        kind, size, data = self._tag()
        if data is None:
            if size > most:
                raise HandstyleError("a damaged MATLAB file (a name or shape that is too long)")
            data = self.source.take(size)
            self.source.take(-size % 8)
        return kind, data

    def matrix(self, size: int, depth: int, wanted: str | None = None) -> tuple[str, Any]:
        """Read an array after its tag; for a variable other than `wanted`, only its name is read."""
        if size == 0:
            return "", []
        if depth > MAX_DEPTH:
            raise HandstyleError(f"arrays nested more than {MAX_DEPTH} deep: no network is")
        array_class = self._data()[1][0]
        dims = np.frombuffer(self._data()[1], "<i4").tolist()
        count = math.prod(dims)
        if not dims or min(dims) < 0:
            raise HandstyleError("a damaged MATLAB file (an array without a shape)")
        name = self._data()[1].decode("latin1")
        if wanted is not None and name != wanted:
            return name, None
        if array_class == _CELL:
            return name, self._children(count, depth)
        if array_class == _STRUCT:
            return name, self._structs(count, depth)
        if array_class == _CHAR or array_class in _NUMBERS:
            return name, self._numbers(dims, count, array_class == _CHAR)
        raise HandstyleError(f"an array of MATLAB's class {array_class}, which no network has")

    def _children(self, count: int, depth: int) -> list[Any]:
        values = []
        for _ in range(min(count, MAX_ELEMENTS + 1)):
            kind, size, _ = self._tag()
            if kind != _MATRIX:
                raise HandstyleError("a damaged MATLAB file (a cell that is no array)")
            values.append(self.matrix(size, depth + 1)[1])
        return values

    def _structs(self, count: int, depth: int) -> list[dict[str, Any]]:
        (width,) = struct.unpack("<i", self._data()[1])
        text = self._data(1 << 16)[1]
        if not 0 < width <= 256:
            raise HandstyleError("a damaged MATLAB file (a structure without names)")
        fields = [text[i : i + width].split(b"\0")[0].decode("latin1") for i in range(0, len(text), width)]
        values = iter(self._children(count * len(fields), depth))
        return [dict(zip(fields, values, strict=False)) for _ in range(count if fields else 0)]

    def _numbers(self, dims: list[int], count: int, text: bool) -> Any:
        kind, size, data = self._tag()
        if kind not in _TYPES:
            raise HandstyleError(f"a damaged MATLAB file (numbers of type {kind})")
        dtype = np.dtype("<" + _TYPES[kind])
        if data is None:
            if size > MAX_VALUES * 8:
                self.source.take(size + -size % 8, keep=False)
                return None
            self.kept += size
            if self.kept > MAX_BYTES:
                raise HandstyleError(f"more than {MAX_BYTES >> 20} MiB of arrays: no VGG has so many convolutions")
            data = self.source.take(size)
            self.source.take(-size % 8)
        values = np.frombuffer(data, dtype, count=len(data) // dtype.itemsize)
        if text:
            return "".join(map(chr, values.tolist()[:4096]))
        if values.size != count:
            raise HandstyleError("a damaged MATLAB file (an array with more or fewer values than its shape)")
        return values.reshape(dims, order="F")
