"""How a map is cut into strips and blocks, and how these are read and written.

A convolution reads its input from a *source* and hands its output, part by part, to a *sink*; parts come in any
order and from any thread. The simplest of both, an array, is here; those that do more on the way are in ``fused.py``.
"""

import math
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


@dataclass(frozen=True)
class Grid:
    """The tiles of a map, cut into blocks of some rows and columns of tiles."""

    H: int
    W: int
    m: int
    rows: int  # tiles of a block, down
    across: int  # and across

    @classmethod
    def cut(cls, H: int, W: int, m: int, C: int, K: int, tiles: int) -> "Grid":
        """Choose blocks of at most about `tiles` tiles: as square as may be, since neighbours share an edge."""
        down, across = ceil_div(H, m), ceil_div(W, m)
        if is_byte_aligned(C) and is_byte_aligned(K):
            wide = min(across, 2 * math.isqrt(tiles))
            across = ceil_div(across, ceil_div(across, wide))  # equal parts
        rows = max(1, min(down, tiles // across))
        rows = ceil_div(down, ceil_div(down, rows))
        return cls(H, W, m, rows, across)

    @property
    def parts(self) -> int:
        """Blocks side by side."""
        return ceil_div(ceil_div(self.W, self.m), self.across)

    @property
    def count(self) -> int:
        """Blocks in all."""
        return ceil_div(ceil_div(self.H, self.m), self.rows) * self.parts

    def block(self, i: int) -> tuple[int, int, int, int]:
        """Return the first row and column of a block, and how many rows and columns it has; all in tiles."""
        top, left = i // self.parts * self.rows, i % self.parts * self.across
        return (
            top,
            left,
            min(self.rows, ceil_div(self.H, self.m) - top),
            min(self.across, ceil_div(self.W, self.m) - left),
        )

    def tiles(self, i: int) -> int:
        """Return how many tiles a block has."""
        _, _, rows, across = self.block(i)
        return rows * across


def ceil_div(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return -(-a // b)
