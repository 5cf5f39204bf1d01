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
        """Return the part of the map at ``[y, x]``; the caller must not write to it."""


class Sink(Protocol):
    """The output of a convolution: it receives each part of a (H, W, K) map once, in any order, from any thread."""

    def write(self, y: slice, x: slice, part: Array) -> None:  # (rows, columns, K)
        """Write a part of the map at ``[y, x]``; the sink may overwrite `part`."""


@dataclass
class ArraySource:
    """A source that reads from an array.

    Examples
    --------
    >>> source = ArraySource(np.zeros((2, 3, 4), np.float32))
    >>> source.shape, source.dtype
    ((2, 3, 4), dtype('float32'))
    """

    array: Array

    def __post_init__(self) -> None:
        self.array = np.ascontiguousarray(self.array)
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def read(self, y: slice, x: slice) -> Array:
        """Return the part of the array at ``[y, x]``; see `Source`.

        Examples
        --------
        >>> source = ArraySource(np.arange(12.0).reshape(2, 3, 2))
        >>> source.read(slice(1, 2), slice(1, 3))  # one row with the two channels of two pixels
        array([[ 8.,  9., 10., 11.]])
        """
        _, W, C = self.array.shape
        rows = self.array[y]
        return rows.reshape(len(rows), W * C)[:, x.start * C : x.stop * C]


@dataclass
class StoreSink:
    """A sink that writes to an array.

    Examples
    --------
    >>> sink = StoreSink(np.zeros((2, 2, 1)))
    >>> sink.out.shape
    (2, 2, 1)
    """

    out: Array

    def write(self, y: slice, x: slice, part: Array) -> None:
        """Write a part to the array at ``[y, x]``; see `Sink`.

        Examples
        --------
        >>> out = np.zeros((2, 2, 1))
        >>> StoreSink(out).write(slice(1, 2), slice(0, 2), np.array([[[3.0], [4.0]]]))
        >>> out[..., 0]
        array([[0., 0.],
               [3., 4.]])
        """
        self.out[y, x] = part


def is_byte_aligned(channels: int) -> bool:
    """Return whether the bits of a pixel, one for each channel, fill whole bytes, so that parts may begin anywhere.

    Examples
    --------
    >>> is_byte_aligned(64), is_byte_aligned(12)
    (True, False)
    """
    return channels % 8 == 0
