"""How a convolution reads its input and writes its output, part by part.

A convolution reads its input from a *source* and hands its output, part by part, to a *sink*; parts come in any
order and from any thread. The simplest of both, an array, is here; others are in ``epilogues.py``.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from handstyle.foundations.backend import Array


class Source(Protocol):
    """Where a convolution reads: rows of a (H, W, C) map, made on demand."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, y: slice, x: slice) -> Array:  # -> (rows, columns * C), unit stride along a row
        """Return a part of the map; the caller does not write to it."""


class Sink(Protocol):
    """Where a convolution writes: parts of a (H, W, K) map, each once, in any order, from any thread."""

    def write(self, y: slice, x: slice, part: Array) -> None:  # (rows, columns, K)
        """Take a part of the map; `part` is scratch and may be overwritten."""


@dataclass
class ArraySource:
    """Reads an array as it is."""

    array: Array

    def __post_init__(self) -> None:
        self.array = np.ascontiguousarray(self.array)
        self.shape = self.array.shape
        self.dtype = self.array.dtype

    def read(self, y: slice, x: slice) -> Array:
        """See `Source`."""
        _, W, C = self.array.shape
        rows = self.array[y]
        return rows.reshape(len(rows), W * C)[:, x.start * C : x.stop * C]


@dataclass
class StoreSink:
    """Writes the map as it is."""

    out: Array

    def write(self, y: slice, x: slice, part: Array) -> None:
        """See `Sink`."""
        self.out[y, x] = part


def is_byte_aligned(channels: int) -> bool:
    """Tell whether strips may begin at any column: each pixel's bits then fill whole bytes."""
    return channels % 8 == 0
