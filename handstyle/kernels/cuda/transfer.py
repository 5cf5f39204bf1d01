"""Copy vectors between the host and the GPU in pieces, while both compute.

SciPy's vector is float64 on the host, the network's picture float32 on the device. While the host converts one piece of
a vector, the piece before it is copied. A GPU can copy and compute at the same time only if the host's memory is
pinned, which means that the operating system cannot move it. Pinning is slow, so it is done once, and each buffer is
reused as soon as its last copy has finished.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array

PIECE = 1 << 20  # values: long enough for a copy at full speed, short enough that several run at the same time
SLOTS = 3  # pieces in a buffer: one being converted, one being copied, one waiting


class Link(Protocol):
    """A queue of copies between host and device, which run at the same time as the device's computations.

    `upload` and `download` return an event that occurs when the copy has finished; `wait` waits for it.
    """

    def pinned(self, size: int, dtype: DTypeLike) -> Array:
        """Return an uninitialized vector in pinned memory of the host."""

    def upload(self, here: Array, there: Array) -> Any:
        """Start a copy to the device, and return its event; until it occurs, `here` must not change."""

    def download(self, there: Array, here: Array) -> Any:
        """Start a copy from the device to the host, and return its event."""

    def wait(self, mark: Any) -> None:
        """Wait for an event."""

    def copies_follow_work(self) -> None:
        """Make later copies wait for the device's computations queued so far."""

    def work_follows_copies(self) -> None:
        """Make later computations of the device wait for the copies queued so far."""


class CupyLink:
    """The `Link` of a GPU: a separate CUDA stream; pinned memory comes from CuPy's pool."""

    def __init__(self, cupy: Any) -> None:
        self.cuda = cupy.cuda
        self.stream = cupy.cuda.Stream(non_blocking=True)

    def pinned(self, size: int, dtype: DTypeLike) -> Array:
        """Return an uninitialized vector in pinned memory of the host."""
        memory = self.cuda.alloc_pinned_memory(size * np.dtype(dtype).itemsize)
        return np.ndarray((size,), dtype, buffer=memory)

    def upload(self, here: Array, there: Any) -> Any:
        """Start a copy to the device, and return its event; until it occurs, `here` must not change."""
        there.set(here, stream=self.stream)
        return self._now(self.stream)

    def download(self, there: Any, here: Array) -> Any:
        """Start a copy from the device to the host, and return its event."""
        there.get(stream=self.stream, out=here, blocking=False)
        return self._now(self.stream)

    def wait(self, mark: Any) -> None:
        """Wait for an event."""
        mark.synchronize()

    def copies_follow_work(self) -> None:
        """Make later copies wait for the device's computations queued so far."""
        self.stream.wait_event(self._now(self.cuda.get_current_stream()))

    def work_follows_copies(self) -> None:
        """Make later computations of the device wait for the copies queued so far."""
        self.cuda.get_current_stream().wait_event(self._now(self.stream))

    def _now(self, stream: Any) -> Any:
        return stream.record(self.cuda.Event(disable_timing=True))


class Transfer:
    """Buffers for copying vectors of one length to the device and back.

    Parameters
    ----------
    link : Link
        The queue of copies.
    xp : module
        The array library of the device.
    size : int
        Number of values of a vector.
    dtype : dtype
        The dtype on the device; on the host vectors are float64.
    piece, slots : int
        Number of values of a piece, and of pieces in the pinned buffer of each direction.
    """

    def __init__(
        self, link: Link, xp: Any, size: int, dtype: DTypeLike, piece: int = PIECE, slots: int = SLOTS
    ) -> None:
        self.link, self.xp, self.size, self.dtype = link, xp, size, np.dtype(dtype)
        self.pieces = [slice(a, min(a + piece, size)) for a in range(0, size, piece)]
        self.slots = min(slots, len(self.pieces))
        length = min(piece, size)
        self._up = link.pinned(self.slots * length, self.dtype).reshape(self.slots, length)
        self._down = link.pinned(self.slots * length, self.dtype).reshape(self.slots, length)
        self._leaving: list[Any] = [None] * self.slots  # the mark of the last copy from each slot of `_up`

    def up(self, v: Array) -> Array:  # (n,) float64 on the host -> (n,) on the device
        """Copy a vector to the device, converting it piece by piece.

        Parameters
        ----------
        v : (n,) array
            The vector on the host.

        Returns
        -------
        (n,) array
            The vector on the device. The host does not wait for the copies, but the device's next computation does.
        """
        there: Array = self.xp.empty((self.size,), self.dtype)
        self.link.copies_follow_work()  # earlier computations may still use this memory
        for k, part in enumerate(self.pieces):
            slot = k % self.slots
            if self._leaving[slot] is not None:
                self.link.wait(self._leaving[slot])
            here = self._up[slot, : part.stop - part.start]
            here[...] = v[part]
            self._leaving[slot] = self.link.upload(here, there[part])
        self.link.work_follows_copies()
        return there

    def down(self, there: Array) -> "Download":  # (n,) on the device
        """Start copying a vector from the device to the host.

        Parameters
        ----------
        there : (n,) array
            The vector on the device, contiguous, in this transfer's dtype. The device may still be computing it.

        Returns
        -------
        Download
            The copy; its method `result` waits for it. The next call of `down` reuses its buffer.
        """
        if there.shape != (self.size,) or there.dtype != self.dtype:
            raise ValueError(f"transfer: {there.shape} {there.dtype}, expected {(self.size,)} {self.dtype}")
        self.link.copies_follow_work()
        return Download(self, there)


class Download:
    """An unfinished copy from the device to the host; see `Transfer.down`."""

    def __init__(self, transfer: Transfer, there: Array) -> None:
        self.transfer, self.there = transfer, there  # keeps the device's memory until it has been read
        self.marks = [self._queue(k) for k in range(transfer.slots)]

    def _queue(self, k: int) -> Any:
        part = self.transfer.pieces[k]
        here = self.transfer._down[k % self.transfer.slots, : part.stop - part.start]
        return self.transfer.link.download(self.there[part], here)

    def result(self) -> Array:  # -> (n,) float64 on the host
        """Wait for the copy, and return the vector in a new array; pieces are converted while the next are copied."""
        transfer = self.transfer
        out = np.empty(transfer.size)
        for k, part in enumerate(transfer.pieces):
            transfer.link.wait(self.marks[k])
            out[part] = transfer._down[k % transfer.slots, : part.stop - part.start]
            if k + transfer.slots < len(transfer.pieces):  # its slot has just been emptied
                self.marks.append(self._queue(k + transfer.slots))
        return out
