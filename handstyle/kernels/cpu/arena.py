"""Memory that is taken once and used again.

Fresh memory is dear: the kernel hands it out page by page, zeroed, on first touch, which for the 300 MB of an
evaluation takes about a tenth of its time. So what was had is kept. An `Arena` hands out ordinary arrays and
takes their memory back when the last reference to them goes; nobody can see a buffer that is still in use change.
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

SEGMENT = 1 << 28  # the least that is asked of the system at once: address space, not memory, until it is touched
ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


class _Loan:
    """The owner of an array's memory: when it goes, its place in the arena is free again."""

    def __init__(self, segment: Array, start: int, stop: int, returned: "deque[tuple[int, int, int]]") -> None:
        self.segment, self.start, self.stop, self.returned = segment, start, stop, returned

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        self.__array_interface__ = {
            "version": 3,
            "data": (self.segment.ctypes.data + self.start, False),
            "shape": shape,
            "typestr": dtype.str,
        }
        handed = np.asarray(self)
        del self.__array_interface__
        return handed

    def __del__(self) -> None:
        self.returned.append((id(self.segment), self.start, self.stop))  # append is atomic: any thread may drop it


class Arena:
    """Arrays from memory that is reused.

    `take` is `numpy.empty`. The place is found first-fit from the lowest address, so that what an evaluation
    touches stays small; freed neighbours are joined.
    """

    def __init__(self) -> None:
        self._segments: list[Array] = []
        self._free: dict[int, list[tuple[int, int]]] = {}  # id of the segment -> places, in order
        self._returned: deque[tuple[int, int, int]] = deque()
        self._lock = threading.Lock()

    def take(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an uninitialised array; its memory comes back when the array and all its views are gone."""
        dtype = np.dtype(dtype)
        shape = tuple(int(n) for n in shape)
        size = max(1, -(-math.prod(shape) * dtype.itemsize // ALIGNMENT)) * ALIGNMENT
        with self._lock:
            self._collect()
            segment, start = self._find(size)
        return _Loan(segment, start, start + size, self._returned).array(shape, dtype)

    def trim(self) -> None:
        """Give segments that are wholly free back to the system."""
        with self._lock:
            self._collect()
            for segment in self._segments[:]:
                if self._free[id(segment)] == [(0, segment.nbytes)]:
                    self._segments = [kept for kept in self._segments if kept is not segment]
                    del self._free[id(segment)]

    @property
    def reserved(self) -> int:
        """Bytes taken from the system so far."""
        return sum(segment.nbytes for segment in self._segments)

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

    def _collect(self) -> None:
        while self._returned:
            key, start, stop = self._returned.popleft()
            if key not in self._free:
                continue  # its segment was trimmed; cannot happen while a loan is out, kept for safety of order
            places = sorted([*self._free[key], (start, stop)])
            joined = [places[0]]
            for a, b in places[1:]:
                if a == joined[-1][1]:
                    joined[-1] = (joined[-1][0], b)
                else:
                    joined.append((a, b))
            self._free[key] = joined


class Scratch(threading.local):
    """Each thread's own room for what it needs for a moment: the same memory again and again, by name.

    A temporary of a few hundred kilobytes is where NumPy is dear: the allocator hands it back to the system and fetches
    it again, page by page, zeroed. The names are few, so that steps that follow one another share their room: "values"
    is what a step makes of a strip, "masks" its bits at full width.
    """

    def __init__(self) -> None:
        self._rooms: dict[str, Array] = {}

    def take(self, name: str, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """Return an uninitialised array that is good until this thread takes the same name again."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        room = self._rooms.get(name)
        if room is None or len(room) < size:
            room = self._rooms[name] = np.empty(size, np.uint8)
        return room[:size].view(dtype).reshape(shape)


scratch = Scratch()


@cache
def default_arena() -> Arena:
    """Return the arena that everybody shares, so that what one no longer needs serves the next."""
    return Arena()
