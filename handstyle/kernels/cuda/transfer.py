"""Copy vectors between the host and the GPU in pieces, while both compute.

SciPy's vector is float64 on the host, the network's picture float32 on the device. While the host converts one piece of
a vector, the piece before it is copied. A GPU can copy and compute at the same time only if the host's memory is
pinned, which means that the operating system cannot move it. Pinning is slow, so it is done once, and each buffer is
reused as soon as its last copy has finished.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array

PIECE = 1 << 20  # values: long enough for a copy at full speed, short enough that several run at the same time
SLOTS = 3  # pieces in a buffer: one being converted, one being copied, one waiting


class Link:
    """A queue of copies between host and device, which run at the same time as the device's computations.

    It is a separate CUDA stream; pinned memory comes from CuPy's pool.

    Parameters
    ----------
    cupy : module
        The module CuPy.

    Examples
    --------
    On a machine with a GPU, copy a vector there and back:

    .. code-block:: python

        import cupy

        link = Link(cupy)
        host_array, device_array = link.pinned(1000, "float32"), cupy.empty(1000, "float32")
        host_array[...] = 1
        link.upload(host_array, device_array)
        link.wait(link.download(device_array, host_array))
    """

    def __init__(self, cupy: Any) -> None:
        self.cuda = cupy.cuda
        self.stream = cupy.cuda.Stream(non_blocking=True)

    def pinned(self, size: int, dtype: DTypeLike) -> Array:
        """Return an uninitialized vector of `size` values in pinned memory of the host.

        Examples
        --------
        .. code-block:: python

            host_array = Link(cupy).pinned(1000, "float32")
            host_array[...] = 1  # a NumPy array
        """
        memory = self.cuda.alloc_pinned_memory(size * np.dtype(dtype).itemsize)
        return np.ndarray((size,), dtype, buffer=memory)

    def upload(self, host_array: Array, device_array: Any) -> Any:
        """Start a copy to the device, and return the event of its end; until then `host_array` must not change.

        Examples
        --------
        .. code-block:: python

            event = link.upload(host_array, device_array)  # `host_array` is pinned, or the copy is not asynchronous
            link.wait(event)
            host_array[...] = 2
        """
        device_array.set(host_array, stream=self.stream)
        return self._record_event(self.stream)

    def download(self, device_array: Any, host_array: Array) -> Any:
        """Start a copy from the device to the host, and return the event of its end.

        Examples
        --------
        .. code-block:: python

            link.copies_follow_work()  # `device_array` may still be being computed
            event = link.download(device_array, host_array)
            link.wait(event)  # now `host_array` can be read
        """
        device_array.get(stream=self.stream, out=host_array, blocking=False)
        return self._record_event(self.stream)

    def wait(self, event: Any) -> None:
        """Make the host wait for the end of a copy, and of all copies queued before it.

        Examples
        --------
        .. code-block:: python

            events = [link.upload(host, device) for host, device in pairs]
            link.wait(events[-1])
        """
        event.synchronize()

    def copies_follow_work(self) -> None:
        """Make later copies wait for the device's computations queued so far; the host does not wait.

        Examples
        --------
        .. code-block:: python

            device_array *= 2
            link.copies_follow_work()
            event = link.download(device_array, host_array)  # the doubled values
        """
        self.stream.wait_event(self._record_event(self.cuda.get_current_stream()))

    def work_follows_copies(self) -> None:
        """Make later computations of the device wait for the copies queued so far; the host does not wait.

        Examples
        --------
        .. code-block:: python

            link.upload(host_array, device_array)
            link.work_follows_copies()
            device_array *= 2  # doubles the uploaded values
        """
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

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> no = lambda *event: None
    >>> link = SimpleNamespace(pinned=np.empty, wait=no, copies_follow_work=no, work_follows_copies=no)
    >>> link.upload = link.download = lambda source, target: np.copyto(target, source)  # the device is the host itself
    >>> transfer = Transfer(link, np, size=5, dtype="float32", piece=2)
    >>> transfer.pieces
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    >>> transfer.download(2 * transfer.upload(np.arange(5.0)))()
    array([0., 2., 4., 6., 8.])
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

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> no = lambda *event: None
        >>> link = SimpleNamespace(pinned=np.empty, wait=no, copies_follow_work=no, work_follows_copies=no)
        >>> link.upload = lambda source, target: np.copyto(target, source)  # the device is the host itself
        >>> Transfer(link, np, size=3, dtype="float32").upload(np.array([1.0, 2.0, 4.0]))
        array([1., 2., 4.], dtype=float32)
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

    def download(self, device_array: Array) -> Callable[[], Array]:  # (n,) on the device
        """Start copying a vector from the device to the host.

        Parameters
        ----------
        device_array : (n,) array
            The vector on the device, contiguous, in this transfer's dtype. The device may still be computing it.

        Returns
        -------
        callable
            Waits for the copy, and returns the vector in a new float64 array; pieces are converted while the next are
            copied. It must be called before the next call of `download`, which reuses its buffer.

        Raises
        ------
        ValueError
            If the length or the dtype is not this transfer's.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> no = lambda *event: None
        >>> link = SimpleNamespace(pinned=np.empty, wait=no, copies_follow_work=no)
        >>> link.download = lambda source, target: np.copyto(target, source)  # the device is the host itself
        >>> finish = Transfer(link, np, size=3, dtype="float32").download(np.array([1, 2, 4], np.float32))
        >>> finish()  # in float64
        array([1., 2., 4.])
        """
        if device_array.shape != (self.size,) or device_array.dtype != self.dtype:
            got = f"{device_array.shape} {device_array.dtype}"
            raise ValueError(f"transfer: {got}, expected {(self.size,)} {self.dtype}")

        def queue(k: int) -> Any:  # it keeps the memory of `device_array` until all has been read
            part = self.pieces[k]
            return self.link.download(device_array[part], self._downloaded(k))

        def result() -> Array:
            out = np.empty(self.size)
            for k, part in enumerate(self.pieces):
                self.link.wait(events[k])
                out[part] = self._downloaded(k)
                if k + self.slots < len(self.pieces):  # its slot has just been emptied
                    events.append(queue(k + self.slots))
            return out

        self.link.copies_follow_work()
        events = [queue(k) for k in range(self.slots)]
        return result

    def _downloaded(self, k: int) -> Array:
        part = self.pieces[k]
        return self._download_buffer[k % self.slots, : part.stop - part.start]
