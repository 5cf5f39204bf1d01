"""A link to a device that makes its copies as late as it may, as early, or whenever it likes.

On a GPU a copy happens at some moment between its queueing and the end of a wait for it. A right program is right
whenever that is; one that forgets a wait is right only when it is lucky. What is computed here is computed at once, so
`copies_follow_work` cannot show by its results that it was forgotten: it is counted instead, see `work`.
"""

import numpy as np
from support.emulated_device import EmulatedDevice
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

    def upload(self, host_array, device_array):
        self._check()
        return self._queue(host_array, device_array._host)

    def download(self, device_array, host_array):
        self._check()
        return self._queue(device_array._host, host_array)

    def wait(self, event):
        self.waits += 1
        self._make(event)

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

    def _make(self, event):
        while self.made < event:
            source, target = self.queue.pop(0)
            target[...] = source
            self.made += 1


class StrictDevice(EmulatedDevice):
    """A `Device` of strict arrays, whose kernels run on the processor: the whole engine as on a GPU, to the last copy.

    Parameters
    ----------
    link : DelayedLink, optional
        By default there is none, and vectors go the slow way.
    """

    xp = XP

    def __init__(self, link=None, **options):
        super().__init__(**options)
        if link is not None:
            self.link = lambda: link

    def empty(self, shape, dtype):
        return StrictArray(super().empty(shape, dtype))

    def gemm(self, a, b, out, beta=0.0, true=False):
        super().gemm(a._host, b._host, out._host, beta, true)

    def _address(self, array):
        return super()._address(None if array is None else array._host)


def empty_poisoned(shape, dtype):
    """Return an array on the strict device whose values are absurd until they are written."""
    return StrictArray(np.full(shape, POISON, dtype))
