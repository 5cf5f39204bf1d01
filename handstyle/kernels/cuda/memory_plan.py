"""A memory plan: one block of GPU memory for a whole sweep, with a fixed offset for every array.

A pool that finds memory for one array at a time fragments: maps of a few sizes come and go, and the gaps between those
that stay are too small for the next. A sweep allocates the same arrays every time. So a dry run records when each array
is allocated and freed, and each gets an offset: the largest array first, at the lowest offset that is free for its
lifetime (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference", arXiv 2001.03288, greedy
by size for offset calculation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GRANULE = 512  # bytes: CuPy's pool rounds sizes up to multiples of this
AHEAD = 8  # requests that a sweep may skip at a time and still be matched with the plan


@dataclass
class Request:
    """An allocation of a sweep.

    Parameters
    ----------
    size : int
        Bytes, in whole granules.
    begins : int
        Its number among the requests.
    ends : int
        The number of the first request after it is freed.
    """

    size: int
    begins: int
    ends: int


def granules(size: int) -> int:
    """Return bytes rounded up to whole granules, at least one."""
    return max(1, -(-size // GRANULE)) * GRANULE


def places(requests: Sequence[Request]) -> tuple[list[int], int]:
    """Give every request an offset, so that no two arrays that are allocated at the same time overlap.

    Parameters
    ----------
    requests : sequence of Request
        In the order of allocation.

    Returns
    -------
    offsets : list of int
        Offsets in bytes, one for each request.
    size : int
        Bytes of the whole plan.
    """
    offsets = [0] * len(requests)
    placed: list[int] = []
    for i in sorted(range(len(requests)), key=lambda i: -requests[i].size):
        mine, at = requests[i], 0
        # book: cuda-apart
        others = (j for j in placed if requests[j].begins < mine.ends and mine.begins < requests[j].ends)
        for j in sorted(others, key=offsets.__getitem__):
            if offsets[j] - at >= mine.size:
                break
            at = max(at, offsets[j] + requests[j].size)
        offsets[i] = at
        placed.append(i)
    return offsets, max((offsets[i] + request.size for i, request in enumerate(requests)), default=0)


class MemoryPlan:
    """The offsets of a sweep's arrays, and which of them are in use.

    A request is recognized by its size and its position in the order. One that the dry run did not make, or whose place
    is still in use, gets no place, and the device allocates it elsewhere: if a sweep differs from its dry run, it takes
    more memory and is still right.

    Parameters
    ----------
    requests : sequence of Request
        The allocations of the sweep, from a dry run.

    Attributes
    ----------
    size : int
        Bytes of the whole plan.
    base : array or None
        The memory itself, which the device allocates.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.sizes = [request.size for request in requests]
        self.offsets, self.size = places(requests)
        self.base: Any = None
        self._next = 0
        self._taken: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """Start a sweep: the next request is the first of the plan."""
        self._next = 0

    def take(self, size: int) -> "Slot | None":
        """Return a place for the next request, of `size` bytes, or None if the plan has none."""
        size = granules(size)
        for k in range(self._next, min(self._next + AHEAD, len(self.sizes))):
            if self.sizes[k] != size:
                continue
            self._next, start = k + 1, self.offsets[k]
            if any(start < stop and begin < start + size for begin, stop in self._taken):
                return None
            self._taken.add((start, start + size))
            return Slot(self, start, size)
        return None

    def leave(self, start: int, stop: int) -> None:
        """Mark a place as free."""
        self._taken.discard((start, stop))


class Slot:
    """A place in a memory plan, in use as long as this object exists; the array there holds it."""

    def __init__(self, plan: MemoryPlan, start: int, size: int) -> None:
        self.plan, self.start, self.size = plan, start, size

    def __del__(self) -> None:
        self.plan.leave(self.start, self.start + self.size)
