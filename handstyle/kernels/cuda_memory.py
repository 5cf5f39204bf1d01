"""How much memory an evaluation takes on a GPU, found out without one.

The engine itself is run, on a device that hands out addresses and computes nothing: what it asks for and lets go is
then what it will ask for and let go on a GPU, for any picture, on any machine. Memory that is never touched costs
nothing, so a forecast for a picture of 100 megapixels takes a tenth of a second.
"""

import mmap
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.threads import DEVICE_PIXELS
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.network.sequence import Convolution, Features, Layer
from handstyle.optimize.entering import Entering

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

    def free_memory(self) -> int:
        """Return more than any picture takes."""
        return 1 << 62

    def launch(self, kernel: str, grid: Any, block: Any, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Do nothing."""

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0) -> None:
        """Do nothing."""


def _gradient_at(features: Features, content: frozenset[str], device: DryDevice, tap: str) -> Array:
    """Ask for what an objective asks for at a tap."""
    feature = features.pop(tap)
    if tap not in content:  # a style's gradient is written over its features, strip by strip
        pixels, channels = feature.shape[0] * feature.shape[1], feature.shape[2]
        device.empty((min(pixels, DEVICE_PIXELS), channels), feature.dtype)
        return feature
    # `content_loss` has the difference and its square, or its multiple, at a time.
    within = device.empty(feature.shape, feature.dtype)
    made = device.empty(feature.shape, feature.dtype)
    del within
    return made


@dataclass(frozen=True)
class DryRun:
    """What an evaluation asks of a GPU: bytes at most, and each convolution's method."""

    peak: int
    chosen: dict[str, str]


def dry_run(
    layers: tuple[Layer, ...],
    shape: tuple[int, int],
    taps: Iterable[str],
    content: Iterable[str] = (),
    dtype: DTypeLike = np.float32,
    precision: str = "float32",
    workspace: int = 1 << 28,
) -> DryRun:
    """Run one evaluation on a device that computes nothing.

    Parameters
    ----------
    layers : tuple of Layer
        Of their weights only the shapes matter.
    shape : (int, int)
        Height and width of the picture, px.
    taps : iterable of str
        The layers that losses look at.
    content : iterable of str
        Those of them where a content loss does.
    dtype : dtype
        Of weights and picture.
    precision : {"float32", "tf32"}
        Of the products, which decides how a convolution is done.
    workspace : int
        Bytes of scratch a convolution may use; see `CudaEngine`.

    Returns
    -------
    DryRun
        Its peak holds picture, features, masks, gradients and scratch. Not the weights, the targets of content losses,
        the optimiser's vectors, or CUDA's own context.
    """
    device = DryDevice(precision)
    engine = CudaEngine(device, workspace=workspace)
    layers = tuple(_bare(layer, dtype) for layer in layers)
    picture = device.empty((*shape, 3), dtype)
    features, caches = engine.forward(layers, device.empty((*shape, 3), dtype), taps)
    engine.backward(layers, Entering(features, partial(_gradient_at, features, frozenset(content), device)), caches)
    del picture
    return DryRun(device.peak, engine.chosen)


def _bare(layer: Layer, dtype: DTypeLike) -> Layer:
    # The weights may be on a GPU, where a dry run has no business; memory that is not touched is not taken.
    if not isinstance(layer, Convolution):
        return layer
    return replace(layer, w=np.empty(layer.w.shape, dtype), b=np.empty(layer.b.shape, dtype))


def evaluation_memory(layers: tuple[Layer, ...], shape: tuple[int, int], taps: Iterable[str], **options: Any) -> int:
    """Return the bytes that one evaluation takes at most on a GPU; see `dry_run`."""
    return dry_run(layers, shape, taps, **options).peak


def largest(need: Callable[[int], int], available: int, step: int = 16) -> int:
    """Return the largest side, in steps, whose need does not exceed what is available; 0 if not even one step's.

    Parameters
    ----------
    need : callable
        Of the side: bytes, which grow with it.
    available : int
        Bytes.
    step : int
        Pixels.
    """
    low, high = 0, 1
    while need(step * high) <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(step * middle) <= available else (low, middle)
    return step * low


def largest_side(layers: tuple[Layer, ...], taps: Iterable[str], available: int, **options: Any) -> int:
    """Return the side, in steps of 16 px, of the largest square picture whose evaluation fits `available` bytes.

    Parameters
    ----------
    layers, taps, **options
        As in `dry_run`.
    available : int
        Bytes; leave out what the weights, targets and the optimiser will take.

    Returns
    -------
    int
        0 if not even 16 px fit.
    """
    wanted = tuple(taps)
    return largest(lambda side: evaluation_memory(layers, (side, side), wanted, **options), available)
