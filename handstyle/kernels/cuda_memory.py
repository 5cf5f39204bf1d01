"""How much memory an evaluation takes on a GPU, found out without one.

The engine itself is run, on a device that hands out addresses and computes nothing: what it asks for and lets go is
then what it will ask for and let go on a GPU, for any picture, on any machine. Memory that is never touched costs
nothing, so a forecast for a picture of 100 megapixels takes a tenth of a second.
"""

import mmap
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.network.sequence import Features, Layer

GRANULE = 512  # bytes: what CuPy's pool rounds up to


class DryDevice:
    """A `Device` that keeps count of what it is asked for, and does nothing else.

    Attributes
    ----------
    live, peak : int
        Bytes handed out and not let go, now and at most.
    """

    def __init__(self, precision: str = "float32") -> None:
        self.xp: Any = np
        self.precision = precision
        self.live = self.peak = 0

    products = "no products"

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of addresses without memory behind them."""
        dtype = np.dtype(dtype)
        size = max(1, int(np.prod(shape, dtype=np.int64)) * dtype.itemsize)
        taken = -(-size // GRANULE) * GRANULE
        self.live += taken
        self.peak = max(self.peak, self.live)
        # Without MAP_NORESERVE the system would refuse more than it has, though nobody will touch it.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
        pages = mmap.mmap(-1, size, flags=flags)
        base = np.frombuffer(pages, np.uint8)  # every view refers to this one
        weakref.finalize(base, self._let_go, taken)
        count = size // dtype.itemsize if 0 not in shape else 0
        made: Array = base[: count * dtype.itemsize].view(dtype).reshape(shape)
        return made

    def _let_go(self, taken: int) -> None:
        self.live -= taken

    def launch(self, kernel: str, grid: Any, block: Any, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Do nothing."""

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0) -> None:
        """Do nothing."""


class _Entering(Mapping[str, Array]):
    """Gradients as an objective makes them: one tap's at a time, its feature let go with it."""

    def __init__(self, features: Features, device: DryDevice) -> None:
        self.features, self.device, self.taps = features, device, frozenset(features)

    def __getitem__(self, tap: str) -> Array:
        feature = self.features.pop(tap)
        return self.device.empty(feature.shape, feature.dtype)

    def __contains__(self, tap: object) -> bool:
        return tap in self.taps

    def __iter__(self) -> Iterator[str]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)


def evaluation_memory(
    layers: tuple[Layer, ...],
    shape: tuple[int, int],
    taps: Iterable[str],
    dtype: DTypeLike = np.float32,
    precision: str = "float32",
    workspace: int = 1 << 28,
) -> int:
    """Return the bytes that one evaluation takes at most on a GPU.

    Parameters
    ----------
    layers : tuple of Layer
        With weights on the host.
    shape : (int, int)
        Height and width of the picture, px.
    taps : iterable of str
        The layers that losses look at.
    dtype : dtype
        Of weights and picture.
    precision : {"float32", "tf32"}
        Of the products, which decides how a convolution is done.
    workspace : int
        Bytes of scratch a convolution may use; see `CudaEngine`.

    Returns
    -------
    int
        Picture, features, masks, gradients and scratch. Not the weights, the targets of content losses, the optimiser's
        vectors (22 pictures for L-BFGS with ten pairs), what a loss needs within itself, or CUDA's own context.
    """
    device = DryDevice(precision)
    engine = CudaEngine(device, workspace=workspace)
    picture = device.empty((*shape, 3), dtype)
    features, caches = engine.forward(layers, device.empty((*shape, 3), dtype), taps)
    engine.backward(layers, _Entering(features, device), caches)
    del picture
    return device.peak


def largest_side(layers: tuple[Layer, ...], taps: Iterable[str], available: int, **options: Any) -> int:
    """Return the side, in steps of 16 px, of the largest square picture whose evaluation fits `available` bytes.

    Parameters
    ----------
    layers, taps, **options
        As in `evaluation_memory`.
    available : int
        Bytes; leave out what the weights, targets and the optimiser will take.

    Returns
    -------
    int
        0 if not even 16 px fit.
    """
    wanted = tuple(taps)
    low, high = 0, 1
    while evaluation_memory(layers, (16 * high, 16 * high), wanted, **options) <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = evaluation_memory(layers, (16 * middle, 16 * middle), wanted, **options) <= available
        low, high = (middle, high) if fits else (low, middle)
    return 16 * low
