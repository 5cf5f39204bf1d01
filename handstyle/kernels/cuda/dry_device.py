"""A device for dry runs, which records allocations and computes nothing, and layers for such runs.

Its arrays are address ranges that are never written to, which takes no memory. A dry run for a picture of 100
megapixels takes a tenth of a second.
"""

import math
import mmap
import sys
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.memory_plan import Request, granules
from handstyle.network.sequence import Convolution, Layer

# Without this flag the system refuses to map more memory than it has, even if it is never written to. Python defines it
# from 3.13 on; the number is Linux's on nearly all processors (asm-generic/mman-common.h).
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
# Windows has no flags; there the memory is committed, though it is not used.
PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE} if hasattr(mmap, "MAP_PRIVATE") else {}


class DryDevice(Device):
    """A `Device` that records allocations and computes nothing.

    Parameters
    ----------
    precision : {"float32", "tf32"}
        The precision of products, on which the method of a convolution depends.
    free : int
        The bytes that `free_memory` returns.

    Attributes
    ----------
    requests : list of Request
        All allocations so far. An array still in use counts as freed after the last of them.

    Examples
    --------
    >>> device = DryDevice()
    >>> features = device.empty((7000, 5000, 64), "float32")  # of a poster
    >>> device.requests[0].size  # bytes; none of them are taken
    8960000000
    """

    products = "no products"

    def __init__(self, precision: str = "float32", free: int = 1 << 62) -> None:
        self.xp: Any = np
        self.precision, self.free = precision, free
        self._requests: list[tuple[int, list[int]]] = []  # size, and the end once it is known

    @property
    def requests(self) -> list[Request]:
        """All allocations so far; an array still in use counts as freed after the last of them.

        Examples
        --------
        >>> device = DryDevice()
        >>> first = device.empty((1000, 1000), "float32")
        >>> del first
        >>> second = device.empty((10, 10), "float32")  # 400 bytes, rounded up to 512
        >>> device.requests
        [Request(size=4000256, begins=0, ends=1), Request(size=512, begins=1, ends=2)]
        """
        last = len(self._requests)
        return [Request(size, k, ends[0] if ends else last) for k, (size, ends) in enumerate(self._requests)]

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array that takes no memory as long as it is not written to, and record the allocation.

        Examples
        --------
        >>> features = DryDevice().empty((7000, 5000, 64), "float32")
        >>> features.shape, features.dtype.name, features.nbytes
        ((7000, 5000, 64), 'float32', 8960000000)
        """
        size, ends = math.prod(shape) * np.dtype(dtype).itemsize, list[int]()
        base = np.frombuffer(mmap.mmap(-1, granules(size), **PRIVATE), np.uint8)  # every view refers to this one
        self._requests.append((granules(size), ends))
        if shape:  # the value of a loss stays allocated on a GPU until the host reads all values at the end
            weakref.finalize(base, lambda: ends.append(len(self._requests)))
        made: Array = base[:size].view(dtype).reshape(shape)
        return made

    def copy(self, source: Array, target: Array) -> None:
        """Copy nothing; `target` stays as it is.

        Examples
        --------
        >>> target = np.zeros(2)
        >>> DryDevice().copy(np.ones(2), target)
        >>> target
        array([0., 0.])
        """

    def free_memory(self) -> int:
        """Return the number of bytes that was given to the constructor; allocations do not reduce it.

        Examples
        --------
        >>> device = DryDevice(free=1 << 30)
        >>> y = device.empty((1000, 1000), "float32")
        >>> device.free_memory() == 1 << 30
        True
        """
        return self.free

    def launch(self, kernel: str, grid: Any, block: Any, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Run no kernel; the arrays among `arguments` stay as they are.

        Examples
        --------
        >>> y = np.zeros(2, np.float32)
        >>> DryDevice().launch("content", (1,), (256,), y, dtype="float32")
        >>> y
        array([0., 0.], dtype=float32)
        """

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0, true: bool = False) -> None:
        """Compute no product; `out` stays as it is.

        Examples
        --------
        >>> out = np.zeros((1, 1))
        >>> DryDevice().gemm(np.ones((1, 3)), np.ones((3, 1)), out)
        >>> out
        array([[0.]])
        """


def bare_layers(layers: tuple[Layer, ...], dtype: DTypeLike) -> tuple[Layer, ...]:
    """Return copies of layers whose weights have the same shapes but are uninitialized, and so take no memory.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = bare_layers(build_network(random_weights(deepest="conv1_1")).layers, "float32")
    >>> layers[0].w.shape, layers[0].name
    ((3, 3, 3, 16), 'conv1_1')
    """
    return tuple(
        replace(layer, w=np.empty(layer.w.shape, dtype), b=np.empty(layer.b.shape, dtype))
        if isinstance(layer, Convolution)
        else layer
        for layer in layers
    )
