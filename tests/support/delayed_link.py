"""A link to a device that makes each copy as late as is allowed, as early, or at a random moment between.

On a GPU a copy happens at some moment between its queueing and the end of a wait for it. A correct program gives the
same result for each such moment; one that lacks a wait does not. What is computed here is computed at once, so
`copies_follow_work` cannot show by its results that it was forgotten: it is counted instead, see `work`.
"""

import numpy as np
from support.strict_arrays import XP, StrictArray

POISON = -7.77e7


class LinkError(Exception):
    """A copy that on a GPU would have read or written too early."""


class DelayedLink:
    """A `Link` to strict arrays.

    Parameters
    ----------
    when : {"early", "late"} or int
        Copies are made when they are queued, when they are waited for, or, after a seed, at random between.
    """

    def __init__(self, when="late"):
        self.when, self.rng = when, np.random.default_rng(when if isinstance(when, int) else 0)
        self.queue = []  # copies not yet made, in their order
        self.queued = self.made = self.pinned_bytes = self.waits = 0
        self.worked = self.followed = 0

    def work(self):
        """Say that something has been computed on the device."""
        self.worked += 1

    def pinned(self, size, dtype):
        made = np.full(size, POISON, dtype)
        self.pinned_bytes += made.nbytes
        return made

    def upload(self, here, there):
        self._check()
        return self._queue(here, there._host)

    def download(self, there, here):
        self._check()
        return self._queue(there._host, here)

    def wait(self, mark):
        self.waits += 1
        self._make(mark)

    def copies_follow_work(self):
        self.followed = self.worked

    def work_follows_copies(self):
        self._make(self.queued)

    def _check(self):
        if self.followed != self.worked:
            raise LinkError("a copy was queued that does not wait for what is computed")

    def _queue(self, source, target):
        assert isinstance(source, np.ndarray)
        assert source.shape == target.shape
        assert source.dtype == target.dtype
        assert source.flags.c_contiguous
        assert target.flags.c_contiguous
        self.queue.append((source, target))
        self.queued += 1
        if self.when == "early":
            self._make(self.queued)
        elif self.when != "late":
            self._make(self.rng.integers(self.made, self.queued + 1))
        return self.queued

    def _make(self, mark):
        while self.made < mark:
            source, target = self.queue.pop(0)
            target[...] = source
            self.made += 1


class LinkedDevice:
    """A device of strict arrays behind a `DelayedLink`. It has no kernels: an objective takes the terms' own steps."""

    xp, precision, products = XP, "float32", "no products"

    def __init__(self, when="late"):
        self.through = DelayedLink(when)

    def free_memory(self):
        return 1 << 62

    def link(self):
        return self.through


def empty_poisoned(shape, dtype):
    """Return an array on the strict device whose values are absurd until they are written."""
    return StrictArray(np.full(shape, POISON, dtype))
