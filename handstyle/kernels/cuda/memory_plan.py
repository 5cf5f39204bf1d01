"""A memory plan: one piece of a GPU's memory for a whole sweep, in which every array has its place beforehand.

A pool that finds memory for one array at a time fragments: maps of a few sizes come and go, and between those that stay
no gap is large enough for the next. A sweep allocates the same arrays every time, so it is run once on a dry device,
which computes nothing, and each array gets an offset, given when all others begin and end. The largest goes first, as
low as it can (Pisarchyk and Lee 2020, "Efficient memory
management for deep neural net inference", arXiv 2001.03288, greedy by size for offset calculation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GRANULE = 512  # bytes: what CuPy's pool rounds up to
AHEAD = 8  # requests that a sweep may leave out at once and still find its places


@dataclass
class Request:
    """An array that a sweep asks for.

    Parameters
    ----------
    size : int
        Bytes, in whole granules.
    begins : int
        Which request it is.
    ends : int
        The first request made when it is gone.
    """

    size: int
    begins: int
    ends: int


def granules(size: int) -> int:
    """Return bytes rounded up to whole granules, at least one."""
    return max(1, -(-size // GRANULE)) * GRANULE


def places(requests: Sequence[Request]) -> tuple[list[int], int]:
    """Give every request a place that nobody has at the same time.

    Parameters
    ----------
    requests : sequence of Request
        In the order in which they are made.

    Returns
    -------
    offsets : list of int
        Bytes from the beginning, one for each request.
    size : int
        Bytes in all.
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
    """The places of a sweep's arrays, and which of them are taken.

    A request is recognized by its size and its turn. One that the dry run did not make, or whose place is still taken,
    gets none, and the device allocates it elsewhere: a sweep that differs from its dry run costs memory and nothing
    else.

    Parameters
    ----------
    requests : sequence of Request
        What the sweep will ask for.

    Attributes
    ----------
    size : int
        Bytes in all.
    base : array or None
        The memory, for the device that has it.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.sizes = [request.size for request in requests]
        self.offsets, self.size = places(requests)
        self.base: Any = None
        self._next = 0
        self._taken: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """Start a sweep: the next request is the first."""
        self._next = 0

    def take(self, size: int) -> "Slot | None":
        """Return the place of the next request, of `size` bytes, or None."""
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
        """Free a place."""
        self._taken.discard((start, stop))


class Slot:
    """A place in a memory plan, taken as long as this object lives: the array that lies there owns it."""

    def __init__(self, plan: MemoryPlan, start: int, size: int) -> None:
        self.plan, self.start, self.size = plan, start, size

    def __del__(self) -> None:
        self.plan.leave(self.start, self.start + self.size)
