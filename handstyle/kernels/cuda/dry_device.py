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
    >>> map_of_a_poster = device.empty((7000, 5000, 64), "float32")  # takes no memory
    >>> del map_of_a_poster
    >>> small = device.empty((10, 10), "float32")
    >>> device.requests
    [Request(size=8960000000, begins=0, ends=1), Request(size=512, begins=1, ends=2)]
    """

    products = "no products"

    def __init__(self, precision: str = "float32", free: int = 1 << 62) -> None:
        self.xp: Any = np
        self.precision, self.free = precision, free
        self._requests: list[tuple[int, list[int]]] = []  # size, and the end once it is known

    @property
    def requests(self) -> list[Request]:
        """All allocations so far; an array still in use counts as freed after the last of them."""
        last = len(self._requests)
        return [Request(size, k, ends[0] if ends else last) for k, (size, ends) in enumerate(self._requests)]

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array that takes no memory as long as it is not written to."""
        size, ends = math.prod(shape) * np.dtype(dtype).itemsize, list[int]()
        base = np.frombuffer(mmap.mmap(-1, granules(size), **PRIVATE), np.uint8)  # every view refers to this one
        self._requests.append((granules(size), ends))
        if shape:  # the value of a loss stays allocated on a GPU until the host reads all values at the end
            weakref.finalize(base, lambda: ends.append(len(self._requests)))
        made: Array = base[:size].view(dtype).reshape(shape)
        return made

    def copy(self, source: Array, target: Array) -> None:
        """Do nothing."""

    def free_memory(self) -> int:
        """Return the number of bytes that was given to the constructor."""
        return self.free

    def launch(self, kernel: str, grid: Any, block: Any, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Do nothing."""

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0, true: bool = False) -> None:
        """Do nothing."""


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
