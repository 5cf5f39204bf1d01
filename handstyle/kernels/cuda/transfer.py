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

    def upload(self, host_array: Array, device_array: Array) -> Any:
        """Start a copy to the device, and return its event; until it occurs, `host_array` must not change."""

    def download(self, device_array: Array, host_array: Array) -> Any:
        """Start a copy from the device to the host, and return its event."""

    def wait(self, event: Any) -> None:
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

    def upload(self, host_array: Array, device_array: Any) -> Any:
        """Start a copy to the device, and return its event; until it occurs, `host_array` must not change."""
        device_array.set(host_array, stream=self.stream)
        return self._record_event(self.stream)

    def download(self, device_array: Any, host_array: Array) -> Any:
        """Start a copy from the device to the host, and return its event."""
        device_array.get(stream=self.stream, out=host_array, blocking=False)
        return self._record_event(self.stream)

    def wait(self, event: Any) -> None:
        """Wait for an event."""
        event.synchronize()

    def copies_follow_work(self) -> None:
        """Make later copies wait for the device's computations queued so far."""
        self.stream.wait_event(self._record_event(self.cuda.get_current_stream()))

    def work_follows_copies(self) -> None:
        """Make later computations of the device wait for the copies queued so far."""
        self.cuda.get_current_stream().wait_event(self._record_event(self.stream))

    def _record_event(self, stream: Any) -> Any:
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
        self._upload_buffer = link.pinned(self.slots * length, self.dtype).reshape(self.slots, length)
        self._download_buffer = link.pinned(self.slots * length, self.dtype).reshape(self.slots, length)
        self._uploads: list[Any] = [None] * self.slots  # the event of the last copy from each slot of `_upload_buffer`

    def upload(self, v: Array) -> Array:  # (n,) float64 on the host -> (n,) on the device
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
        device_array: Array = self.xp.empty((self.size,), self.dtype)
        self.link.copies_follow_work()  # earlier computations may still use this memory
        for k, part in enumerate(self.pieces):
            slot = k % self.slots
            if self._uploads[slot] is not None:
                self.link.wait(self._uploads[slot])
            host_array = self._upload_buffer[slot, : part.stop - part.start]
            host_array[...] = v[part]
            self._uploads[slot] = self.link.upload(host_array, device_array[part])
        self.link.work_follows_copies()
        return device_array

    def download(self, device_array: Array) -> "Download":  # (n,) on the device
        """Start copying a vector from the device to the host.

        Parameters
        ----------
        device_array : (n,) array
            The vector on the device, contiguous, in this transfer's dtype. The device may still be computing it.

        Returns
        -------
        Download
            The copy; its method `result` waits for it. The next call of `download` reuses its buffer.
        """
        if device_array.shape != (self.size,) or device_array.dtype != self.dtype:
            got = f"{device_array.shape} {device_array.dtype}"
            raise ValueError(f"transfer: {got}, expected {(self.size,)} {self.dtype}")
        self.link.copies_follow_work()
        return Download(self, device_array)


class Download:
    """An unfinished copy from the device to the host; see `Transfer.download`."""

    def __init__(self, transfer: Transfer, device_array: Array) -> None:
        self.transfer, self.device_array = transfer, device_array  # keeps the device's memory until it has been read
        self.events = [self._queue(k) for k in range(transfer.slots)]

    def _queue(self, k: int) -> Any:
        part = self.transfer.pieces[k]
        host_array = self.transfer._download_buffer[k % self.transfer.slots, : part.stop - part.start]
        return self.transfer.link.download(self.device_array[part], host_array)

    def result(self) -> Array:  # -> (n,) float64 on the host
        """Wait for the copy, and return the vector in a new array; pieces are converted while the next are copied."""
        transfer = self.transfer
        out = np.empty(transfer.size)
        for k, part in enumerate(transfer.pieces):
            transfer.link.wait(self.events[k])
            out[part] = transfer._download_buffer[k % transfer.slots, : part.stop - part.start]
            if k + transfer.slots < len(transfer.pieces):  # its slot has just been emptied
                self.events.append(self._queue(k + transfer.slots))
        return out
