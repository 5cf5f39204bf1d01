"""A device that hands out addresses and computes nothing, and a sweep rehearsed on it.

Memory that is never touched costs nothing, so a rehearsal for a picture of 100 megapixels takes a tenth of a second.
"""

import mmap
import sys
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda import losses as cuda_losses
from handstyle.kernels.cuda.memory_plan import Request, granules
from handstyle.losses.gram import Moments
from handstyle.network.sequence import Cache, Convolution, Features, Layer
from handstyle.optimize.entering import Entering
from handstyle.optimize.terms import PICTURE

# Without it a system refuses more memory than it has, though nobody will touch it. Python names it from 3.13 on; the
# number is Linux's on nearly all processors (asm-generic/mman-common.h).
NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)


class DryDevice:
    """A `Device` that keeps count of what it is asked for, and does nothing else.

    Attributes
    ----------
    live, peak : int
        Bytes handed out and not let go, now and at most.
    requests : list of Request
        All that was asked for; what is not let go yet ends with the last of them.
    """

    products = "no products"

    def __init__(self, precision: str = "float32") -> None:
        self.xp: Any = np
        self.precision = precision
        self.live = self.peak = 0
        self._asked: list[tuple[int, list[int]]] = []  # size, and the end once it is known

    @property
    def requests(self) -> list[Request]:
        """See above."""
        last = len(self._asked)
        return [Request(size, k, ends[0] if ends else last) for k, (size, ends) in enumerate(self._asked)]

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an array of addresses without memory behind them."""
        dtype = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        taken = granules(count * dtype.itemsize)
        self.live += taken
        self.peak = max(self.peak, self.live)
        pages = mmap.mmap(-1, taken, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NORESERVE)
        base = np.frombuffer(pages, np.uint8)  # every view refers to this one
        ends: list[int] = []
        self._asked.append((taken, ends))
        if shape:  # a loss's value stays, on a GPU, until the host reads all of them at the end
            weakref.finalize(base, self._let_go, taken, ends)
        made: Array = base[: count * dtype.itemsize].view(dtype).reshape(shape)
        return made

    def _let_go(self, taken: int, ends: list[int]) -> None:
        self.live -= taken
        ends.append(len(self._asked))

    def copy(self, source: Array, target: Array) -> None:
        """Do nothing."""

    def free_memory(self) -> int:
        """Return more than any picture takes."""
        return 1 << 62

    def launch(self, kernel: str, grid: Any, block: Any, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Do nothing."""

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0, true: bool = False) -> None:
        """Do nothing."""


class Sweeper(Protocol):
    """An engine on a dry device."""

    device: Any

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]: ...  # noqa: D102
    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array: ...  # noqa: D102


def rehearse(
    engine: Sweeper,
    layers: tuple[Layer, ...],
    shape: tuple[int, int],
    losses: Mapping[str, Sequence[str]],
    dtype: DTypeLike,
) -> None:
    """Sweep forward and backward as an objective does, on a device that computes nothing.

    Parameters
    ----------
    engine : Sweeper
        On a `DryDevice`, which keeps what was asked for.
    layers : tuple of Layer
        Of their weights only the shapes matter.
    shape : (int, int)
        Height and width of the picture, px.
    losses : mapping of str to sequence of {"style", "content", "variation"}
        What looks at each tap, in the order of an objective's terms; the tap of a loss of the picture is `PICTURE`.
        A loss of another name is taken for a style's, which asks for at least as much.
    dtype : dtype
        Of weights and picture.
    """
    layers = bare(layers, dtype)
    picture = DryDevice().empty((*shape, 3), dtype)
    taps = [tap for tap in losses if tap != PICTURE]
    if taps:
        features, caches = engine.forward(layers, picture, taps)
        make = partial(_gradient_at, features, losses, engine.device)
        engine.backward(layers, Entering(features, make), caches)
    if "variation" in losses.get(PICTURE, ()):
        cuda_losses.total_variation(engine.device, picture)


def _gradient_at(features: Features, losses: Mapping[str, Sequence[str]], device: DryDevice, tap: str) -> Array:
    """Ask for what an objective asks for at a tap."""
    feature = features.pop(tap)
    C = feature.shape[2]
    target = Moments(1.0, np.zeros(C), np.zeros((C, C)))
    gradients = []
    for loss in losses[tap]:
        if loss == "content":
            gradients.append(cuda_losses.content_loss(device, feature, feature, 1.0)[1])
        else:
            spare = len(losses[tap]) == 1
            gradients.append(cuda_losses.gram_loss(device, feature, target, 1.0, spare=spare)[1])
    return gradients[0]


def bare(layers: tuple[Layer, ...], dtype: DTypeLike) -> tuple[Layer, ...]:
    """Return layers with weights of the same shapes on the host, and nothing in them, which takes no memory."""
    return tuple(
        replace(layer, w=np.empty(layer.w.shape, dtype), b=np.empty(layer.b.shape, dtype))
        if isinstance(layer, Convolution)
        else layer
        for layer in layers
    )
