"""Plan the GPU memory of an evaluation: one block, with a fixed offset for every array.

In a pool that finds memory for one array at a time, fragmentation wastes memory: the gaps between arrays in use are
often too small for the next one. But every evaluation allocates the same arrays. So a dry run records when each array
is allocated and freed, and each gets an offset: the largest array first, at the lowest offset that is free for its
lifetime (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference", arXiv 2001.03288, greedy
by size for offset calculation).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GRANULE = 512  # bytes: CuPy's pool rounds sizes up to multiples of this
LOOKAHEAD = 8  # requests of the plan that an evaluation may leave out at a time and still be matched with the plan


@dataclass
class Request:
    """The size and the lifetime of an array that an evaluation allocates.

    Parameters
    ----------
    size : int
        Size in bytes, rounded up to a multiple of `GRANULE`.
    begins : int
        The number of this request, in the order of allocation.
    ends : int
        The number of the first request after the array is freed.

    Examples
    --------
    >>> first, second = Request(1024, begins=0, ends=1), Request(512, begins=1, ends=2)
    >>> place_requests([first, second])  # the first is freed when the second is allocated, so they share memory
    ([0, 0], 1024)
    """

    size: int
    begins: int
    ends: int


def granules(size: int) -> int:
    """Return a size in bytes rounded up to a multiple of `GRANULE`, at least one.

    Examples
    --------
    >>> granules(0), granules(512), granules(513)
    (512, 512, 1024)
    """
    return max(1, -(-size // GRANULE)) * GRANULE


def place_requests(requests: Sequence[Request]) -> tuple[list[int], int]:
    """Compute an offset for every array, so that no two arrays overlap that are in use at the same time.

    Parameters
    ----------
    requests : sequence of Request
        The arrays in the order of allocation.

    Returns
    -------
    offsets : list of int
        Offsets in bytes, one for each request.
    size : int
        Bytes of the whole plan.

    Examples
    --------
    >>> place_requests([Request(1024, 0, 2), Request(512, 1, 3), Request(512, 2, 4)])
    ([0, 1024, 0], 1536)
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
    """The offsets of an evaluation's arrays in one block of memory, and which of them are in use.

    A request is recognized by its size and its position in the order of allocation. If the dry run did not have it, or
    its place is still in use, the device allocates the array outside the plan. So an evaluation that differs from its
    dry run takes more memory but has the right result.

    Parameters
    ----------
    requests : sequence of Request
        The allocations of the evaluation, from a dry run.

    Attributes
    ----------
    size : int
        Bytes of the whole plan.
    base : array or None
        The block of memory, which the device allocates.

    Examples
    --------
    >>> plan = MemoryPlan([Request(1024, 0, 2), Request(512, 1, 2)])
    >>> plan.size, plan.offsets
    (1536, [0, 1024])
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self.sizes = [request.size for request in requests]
        self.offsets, self.size = place_requests(requests)
        self.base: Any = None
        self._next = 0
        self._taken: set[tuple[int, int]] = set()

    def begin(self) -> None:
        """Start an evaluation: the next request is matched with the first of the plan.

        Examples
        --------
        >>> plan = MemoryPlan([Request(512, 0, 1), Request(1024, 1, 2)])
        >>> first = plan.take(512)
        >>> plan.take(512)  # the plan's next array has 1024 bytes
        >>> del first
        >>> plan.begin()
        >>> plan.take(512).start
        0
        """
        self._next = 0

    def take(self, size: int) -> "Slot | None":
        """Return the place of the next array, of `size` bytes, or None if the plan has no free place for it.

        Examples
        --------
        >>> plan = MemoryPlan([Request(1024, 0, 2), Request(512, 1, 2)])
        >>> first, second = plan.take(1000), plan.take(512)
        >>> first.start, second.start
        (0, 1024)
        >>> plan.take(4096)  # not in the plan
        """
        size = granules(size)
        for k in range(self._next, min(self._next + LOOKAHEAD, len(self.sizes))):
            if self.sizes[k] != size:
                continue
            self._next, start = k + 1, self.offsets[k]
            if any(start < stop and begin < start + size for begin, stop in self._taken):
                return None
            self._taken.add((start, start + size))
            return Slot(self, start, size)
        return None


class Slot:
    """A place in a memory plan. It is in use as long as this object exists, which its array refers to.

    Examples
    --------
    >>> plan = MemoryPlan([Request(512, 0, 1), Request(512, 1, 2)])  # both at the same place
    >>> slot = plan.take(512)
    >>> del slot  # or there would be no room for the next
    >>> plan.take(512).start
    0
    """

    def __init__(self, plan: MemoryPlan, start: int, size: int) -> None:
        self.plan, self.start, self.size = plan, start, size

    def __del__(self) -> None:
        self.plan._taken.discard((self.start, self.start + self.size))
