"""Allocate arrays whose memory is reused from one evaluation to the next.

New memory is expensive: the operating system maps it page by page, zeroed, when it is first written to. For the 300 MB
of an evaluation this takes about a tenth of the time. So memory is not returned to the system. An `Arena` returns
ordinary arrays, and reuses the memory of an array only after the last reference to it is gone.
"""

import math
import threading
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array

SEGMENT = 1 << 28  # bytes allocated at a time, at least; they are address space, not memory, until they are written to
ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class _Allocation:
    """The owner of an array's memory; when it is deleted, the array's memory in the arena is free again."""

    def __init__(self, segment: Array, start: int, stop: int, freed: "deque[tuple[int, int, int]]") -> None:
        self.segment, self.start, self.stop, self.freed = segment, start, stop, freed

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self.__array_interface__ = {
            "version": 3,
            "data": (self.segment.ctypes.data + self.start, False),
            "shape": shape,
            "typestr": dtype.str,
        }
        array = np.asarray(self)
        del self.__array_interface__
        return array

    def __del__(self) -> None:
        self.freed.append((id(self.segment), self.start, self.stop))  # atomic, so any thread may run it


class Arena:
    """An allocator of NumPy arrays that reuses memory.

    `take` replaces `numpy.empty`. It takes the first free range of addresses that is large enough, so that an
    evaluation writes to few pages; adjacent free ranges are joined.

    Examples
    --------
    >>> arena = Arena()
    >>> a = arena.take((100,), np.float64)
    >>> address = a.ctypes.data
    >>> del a
    >>> arena.take((50, 2), np.float64).ctypes.data == address
    True
    """

    def __init__(self) -> None:
        self._segments: list[Array] = []
        self._free: dict[int, list[tuple[int, int]]] = {}  # id of the segment -> places, in order
        self._freed: deque[tuple[int, int, int]] = deque()
        self._lock = threading.Lock()

    def take(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an uninitialized array; its memory is free again when the array and all its views are gone.

        Parameters
        ----------
        shape : sequence of int
            The shape of the array.
        dtype : dtype
            Its dtype.

        Returns
        -------
        array of `shape`
            Contiguous, and aligned to `ALIGNMENT` bytes.

        Examples
        --------
        >>> arena = Arena()
        >>> view = arena.take((100,), np.float64)[:10]  # which keeps the memory in use
        >>> np.shares_memory(arena.take((100,), np.float64), view)
        False
        """
        dtype, shape = np.dtype(dtype), tuple(int(n) for n in shape)
        size = max(1, -(-math.prod(shape) * dtype.itemsize // ALIGNMENT)) * ALIGNMENT
        with self._lock:
            self._reclaim()
            segment, start = self._find(size)
        return _Allocation(segment, start, start + size, self._freed).array(shape, dtype)

    def trim(self) -> None:
        """Return segments without any array in use to the operating system.

        Examples
        --------
        >>> arena = Arena()
        >>> a, b = arena.take((2 * SEGMENT,), np.uint8), arena.take((2,), np.float64)  # of two segments
        >>> b[:] = 1.0
        >>> del a
        >>> arena.trim()  # the segment of `a` goes; that of `b` stays
        >>> b
        array([1., 1.])
        """
        with self._lock:
            self._reclaim()
            for segment in self._segments[:]:
                if self._free[id(segment)] == [(0, segment.nbytes)]:
                    self._segments = [kept for kept in self._segments if kept is not segment]
                    del self._free[id(segment)]

    def _find(self, size: int) -> tuple[Array, int]:
        for segment in self._segments:
            places = self._free[id(segment)]
            for i, (start, stop) in enumerate(places):
                if stop - start >= size:
                    places[i : i + 1] = [(start + size, stop)] if stop - start > size else []
                    return segment, start
        raw = np.empty(max(size, SEGMENT) + ALIGNMENT, np.uint8)
        skip = -raw.ctypes.data % ALIGNMENT
        segment = raw[skip : skip + max(size, SEGMENT)]
        self._segments.append(segment)
        self._free[id(segment)] = [(size, segment.nbytes)] if segment.nbytes > size else []
        return segment, 0

    def _reclaim(self) -> None:
        while self._freed:
            key, start, stop = self._freed.popleft()
            places = sorted([*self._free[key], (start, stop)])
            joined = [places[0]]
            for a, b in places[1:]:
                if a == joined[-1][1]:
                    joined[-1] = (joined[-1][0], b)
                else:
                    joined.append((a, b))
            self._free[key] = joined


class Scratch(threading.local):
    """Temporary buffers of each thread, with names; `take` of the same name returns the same memory.

    Temporaries allocated by NumPy, of a few hundred kilobytes, are slow: the allocator returns them to the operating
    system and gets them again, page by page, zeroed. Few names are used, so that successive steps share a buffer:
    "values" for the values of a strip, "masks" for its mask with as many bits as the values have.

    Examples
    --------
    >>> buffers = Scratch()
    >>> values, masks = buffers.take("values", (4, 2), np.float64), buffers.take("masks", (4, 2), np.int64)
    >>> np.shares_memory(values, masks)
    False
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def take(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an uninitialized array, valid until this thread takes the same name again.

        Examples
        --------
        >>> buffers = Scratch()
        >>> a = buffers.take("values", (4, 2), np.float64)
        >>> b = buffers.take("values", (3,), np.float32)  # the same memory
        >>> a.shape, b.shape, np.shares_memory(a, b)
        ((4, 2), (3,), True)
        """
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            buffer = self._buffers[name] = np.empty(size, np.uint8)
        return buffer[:size].view(dtype).reshape(shape)


scratch = Scratch()


@cache
def default_arena() -> Arena:
    """Return the one arena of the process, so that all engines and losses reuse each other's memory.

    Examples
    --------
    >>> default_arena() is default_arena()
    True
    """
    return Arena()
