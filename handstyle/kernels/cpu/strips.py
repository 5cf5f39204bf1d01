"""Sources and sinks: the objects from which a convolution reads its input and to which it writes its output.

Both work part by part, in any order and from any thread. The simplest, which read and write an array, are here; others
are in ``epilogues.py``.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from handstyle.foundations.backend import Array


class Source(Protocol):
    """The input of a convolution: a (H, W, C) map whose parts may be computed when they are read."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]

    def read(self, y: slice, x: slice) -> Array:  # -> (rows, columns * C), unit stride along a row
        """Return a part of the map, which the caller must not write to."""


class Sink(Protocol):
    """The output of a convolution: it receives each part of a (H, W, K) map once, in any order, from any thread."""

    def write(self, y: slice, x: slice, part: Array) -> None:  # (rows, columns, K)
        """Write a part of the map; the sink may overwrite `part`."""


@dataclass
class ArraySource:
    """A source that reads from an array."""

    array: Array

    def __post_init__(self) -> None:
        self.array = np.ascontiguousarray(self.array)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def read(self, y: slice, x: slice) -> Array:
        """See `Source`."""
        _, W, C = self.array.shape
        rows = self.array[y]
        return rows.reshape(len(rows), W * C)[:, x.start * C : x.stop * C]


@dataclass
class StoreSink:
    """A sink that writes to an array."""

    out: Array

    def write(self, y: slice, x: slice, part: Array) -> None:
        """See `Sink`."""
        self.out[y, x] = part


def is_byte_aligned(channels: int) -> bool:
    """Return whether the bits of each pixel fill whole bytes, so that strips may begin at any column."""
    return channels % 8 == 0
