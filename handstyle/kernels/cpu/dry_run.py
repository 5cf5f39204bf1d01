"""Run the engine of a processor dry: nothing is computed, and its arena returns addresses without memory.

The arena's peak is then that of a real run, including gaps between arrays. Memory from outside the arena is added, and
the cost of each layer is counted.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import (
    STRIP_VALUES,
    Cost,
    content_cost,
    convolution_cost,
    moments_cost,
    patches_cost,
    pool_cost,
)
from handstyle.kernels.cpu import losses
from handstyle.kernels.cpu.arena import SEGMENT, Arena
from handstyle.kernels.cpu.choose import scratch as scratch_of
from handstyle.kernels.cpu.choose import weights_cost
from handstyle.kernels.cpu.epilogues import ROWS
from handstyle.kernels.cpu.passes import MAX_PART_CHANNELS, CpuPasses, PartGradients
from handstyle.kernels.cpu.strips import ArraySource, Sink, Source
from handstyle.kernels.cpu.threads import pixel_strips
from handstyle.kernels.gradients import Gradients, has_plain_moments
from handstyle.kernels.patches import working_values
from handstyle.kernels.stages import Stage
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.losses.patches import PatchTerm
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.sequence import Convolution, Features, Pool
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Shape, taps_of

# Number of float64 copies that `moments_forward` makes of its features, at most `STRIP_VALUES` of them at a time.
MEASURED_MAPS = 2
# Arrays of its input's size that a term of unknown class allocates, in addition to its gradient.
UNKNOWN_MAPS = 3
# Arrays of the picture's size that a term on the picture itself allocates, its gradient included.
VARIATION_PICTURES = 5
ADDRESS = 1 << 40  # the first address returned; no memory is there


@dataclass(frozen=True)
class LayerForecast:
    """The method and the cost of one layer in one direction.

    Examples
    --------
    >>> cost = Cost(products=2 * 9 * 8 * 8 * 64 * 64)
    >>> LayerForecast("conv1_2", "forward", "im2col", (8, 8, 64), cost).cost.products
    4718592
    """

    layer: str
    direction: str  # forward, backward, or loss
    kernel: str
    shape: tuple[int, int, int]  # of the output
    cost: Cost


class DryArena(Arena):
    """An arena that returns arrays at addresses without memory.

    Examples
    --------
    >>> a = DryArena().take((1 << 20, 1 << 20), np.float32)  # takes no memory
    >>> a.nbytes / 2**40  # TiB
    4.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._highest: dict[int, int] = {}

    @property
    def touched(self) -> int:
        """Bytes that a real arena would have used so far: up to the highest address returned, in each segment.

        Examples
        --------
        >>> arena = DryArena()
        >>> a = arena.take((1000, 1000), np.float32)
        >>> del a
        >>> b, c = (arena.take((1000, 1000), np.float32) for _ in range(2))  # the first is where `a` was
        >>> arena.touched
        8000000
        """
        return sum(self._highest.values())

    def _find(self, size: int) -> tuple[Any, int]:
        if not any(stop - start >= size for places in self._free.values() for start, stop in places):
            segment: Any = SimpleNamespace(nbytes=max(size, SEGMENT), ctypes=SimpleNamespace(data=ADDRESS))
            self._segments.append(segment)
            self._free[id(segment)] = [(0, segment.nbytes)]
        found, start = super()._find(size)
        self._highest[id(found)] = max(self._highest.get(id(found), 0), start + size)
        return found, start


class DryPasses(CpuPasses):
    """`CpuPasses` that allocate from a `DryArena` and compute nothing.

    Attributes
    ----------
    rows : list of LayerForecast
        The layers that were run.
    peak : int
        The largest number of bytes in use, those outside the arena included.

    Examples
    --------
    >>> from handstyle.kernels.counting import LOWERED
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> dry = DryPasses("im2col", lambda H, W, C, K, adjoint: LOWERED)
    >>> layers, x = build_network(random_weights(deepest="conv2_1")).layers, dry.arena.take((64, 64, 3), np.float32)
    >>> stages = dry.run_forward(layers, x, ["relu2_1"], {})
    >>> [(row.layer, row.shape) for row in dry.rows]
    [('conv1_1', (64, 64, 16)), ('pool1', (64, 64, 16)), ('conv1_2', (64, 64, 16)), ('conv2_1', (32, 32, 32))]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.arena: DryArena = DryArena()
        self.rows: list[LayerForecast] = []
        self.peak = 0
        self.kept: dict[tuple[str, int, bool], int] = {}  # bytes of the transformed kernels

    def _add_outside(self, size: int) -> None:
        """Update the peak for `size` bytes that are in use for a moment outside the arena."""
        self.peak = max(self.peak, self.arena.touched + size)

    def _run(self, source: Source, layer: Convolution, b: Array | None, sink: Sink, adjoint: bool) -> None:
        H, W, _ = source.shape
        C, K = (layer.w.shape[3], layer.w.shape[2]) if adjoint else layer.w.shape[2:]
        tile, item = self.choose(H, W, C, K, adjoint), source.dtype.itemsize
        self.chosen[f"{layer.name} {'adjoint' if adjoint else 'forward'}"] = str(tile)
        keep = self._is_small and not layer.w.flags.writeable
        scratch, kept = scratch_of(H, W, C, K, tile, item, self.team.threads, adjoint, keep)
        key = layer.name, tile.down, adjoint
        if kept and key not in self.kept:  # transformed at the first call; the adjoint's are copied while transposed
            self.kept[key] = kept * item
            scratch += adjoint * [kept]
        # Array by array, as they are taken: they find room between the maps where one array of their sum would not.
        held = [self.arena.take((size,), source.dtype) for size in scratch]
        del held
        cost = convolution_cost(H, W, C, K, tile, item, keep)
        cost += weights_cost(H, W, C, K, tile, item, self.team.threads, adjoint)
        direction = "backward" if adjoint else "forward"
        self.rows.append(LayerForecast(layer.name, direction, str(tile), (H, W, K), cost))

    def _convolve(self, source: Source, layer: Convolution, sink: Sink, adjoint: bool) -> None:
        if layer.padding == "zero":
            self._run(source, layer, None, sink, adjoint)
            return
        H, W, C = source.shape
        K = layer.w.shape[2] if adjoint else layer.w.shape[3]
        padded = self.arena.take((H + 2, W + 2, C), source.dtype)
        made = self.arena.take((H + 2, W + 2, K), source.dtype)
        self._run(ArraySource(padded), layer, None, sink, adjoint)
        # The cropped map, and strips of `copy_map`.
        self._add_outside(made.nbytes + self.team.threads * ROWS * W * K * made.itemsize)

    def _stage_forward(self, stage: Stage, x: Array, wanted: set[str], features: Features) -> Array:
        pool = stage.layers[-1]
        if isinstance(pool, Pool):
            H, W, C = stage.shape if stage.convolution else x.shape
            cost = pool_cost(H, W, C, x.itemsize)
            self.rows.append(LayerForecast(pool.name, "forward", pool.kind, (H, W, C), cost))
        if stage.convolution:
            return super()._stage_forward(stage, x, wanted, features)
        # As in the reference: it keeps a mask, or the positions of the maxima, and copies its input.
        H, W, C = x.shape
        if isinstance(pool, Pool):
            H, W = pool.output_size(H, W)
            if not H * W:
                raise HandstyleError(f"a picture so small has nothing left at {pool.name}")
        stage.cache = x.shape, self.arena.take(x.shape, np.uint8)
        y = self.arena.take((H, W, C), x.dtype)
        self._add_outside(2 * x.nbytes)
        if stage.name in wanted:
            features[stage.name] = y
        return y

    def _stage_backward(self, stage: Stage, below: Stage | None, dx: Array, gradients: Gradients) -> Array:
        if stage.convolution:
            return super()._stage_backward(stage, below, dx, gradients)
        shape, _ = stage.cache
        out = self.arena.take(shape, dx.dtype)
        self._add_outside(2 * out.nbytes)
        return out if below is None else self._mask_gradient(below, out, gradients)

    def _mask_gradient(self, stage: Stage, dx: Array, gradients: Gradients | None = None) -> Array:
        tap_gradient = None if gradients is None else gradients.get(stage.name)
        out = self.arena.take(dx.shape, dx.dtype)
        self._add_outside(self.team.threads * ROWS * math.prod(dx.shape[1:]) * dx.itemsize)
        del tap_gradient
        return out

    def gradient_of(self, term: Term, f: Array, overwrite: bool) -> tuple[float, Array]:
        """Allocate as `handstyle.kernels.cpu.passes.gradient_of` does, and count its cost; compute nothing.

        Examples
        --------
        >>> dry = DryPasses("auto", lambda H, W, C, K, adjoint: None)
        >>> f = dry.arena.take((32, 32, 64), np.float32)
        >>> value, df = dry.gradient_of(ContentTerm("relu1_1", np.zeros((32, 32, 64)), scale=1.0), f, overwrite=False)
        >>> value, df.shape, dry.rows[0].cost == content_cost(32, 32, 64, itemsize=4)
        (0.0, (32, 32, 64), True)
        """
        if has_plain_moments(term):
            self._count_moments(term, f)
            return 0.0, f if overwrite else self.arena.take(f.shape, f.dtype)
        H, W, C = f.shape
        if isinstance(term, PatchTerm):
            self._count(term.tap, f, patches_cost(*term.counts(f.shape), f.itemsize))
            self._add_outside(f.itemsize * working_values(term, f.shape))
            return 0.0, self.arena.take(f.shape, f.dtype)
        self._count(term.tap, f, content_cost(H, W, C, f.itemsize))
        if type(term) is not ContentTerm:
            self._add_outside((UNKNOWN_MAPS + MEASURED_MAPS * 8 // f.itemsize) * f.nbytes)
        return 0.0, self.arena.take(f.shape, f.dtype)

    def _count_moments(self, term: Any, f: Array) -> None:
        """Count the cost and the temporary memory of a term's moments and their gradient."""
        H, W, C = f.shape
        self._count(term.tap, f, moments_cost(H, W, C, f.itemsize))
        self.arena.take((len(pixel_strips(H * W, strips=losses.MOMENTS_STRIPS)), C + 1, C), f.dtype)
        # Matrices: of `losses.style` the gradient and its transpose's sum, of other losses four in float64.
        self._add_outside((3 * f.itemsize if type(term).loss is StyleTerm.loss else 4 * 8) * C * (C + 1))

    def _count(self, tap: str, f: Array, cost: Cost) -> None:
        H, W, C = f.shape
        self.rows.append(LayerForecast(tap, "loss", "", (H, W, C), cost))


@dataclass(frozen=True)
class DryGradients(PartGradients):
    """`PartGradients` that allocate memory and compute nothing.

    Examples
    --------
    >>> dry = DryPasses("auto", lambda H, W, C, K, adjoint: None)
    >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(64), np.eye(64)), scale=1.0)
    >>> f = dry.arena.take((32, 32, 64), np.float32)
    >>> gradients = DryGradients(dry.gradient_of, [term], {"relu1_1": f}, {}, [None], dry)
    >>> gradients["relu1_1"] is f, [row.layer for row in dry.rows]  # written over the features
    (True, ['relu1_1'])
    """

    engine: DryPasses

    def parts(self, tap: str) -> losses.MomentsGradient | None:
        """Return a gradient of zeros if `PartGradients` computes that of the layer in parts; otherwise None.

        Examples
        --------
        >>> dry = DryPasses("auto", lambda H, W, C, K, adjoint: None)
        >>> channels = {"relu1_1": 64, "relu3_1": 256}  # the second has more than MAX_PART_CHANNELS
        >>> terms = [StyleTerm(tap, Moments(1.0, np.zeros(C), np.eye(C)), scale=1.0) for tap, C in channels.items()]
        >>> features = {tap: dry.arena.take((8, 8, C), np.float32) for tap, C in channels.items()}
        >>> gradients = DryGradients(dry.gradient_of, terms, features, {}, [None, None], dry)
        >>> gradients.parts("relu1_1") is None, gradients.parts("relu3_1") is None
        (False, True)
        """
        (_, term), *others = self._at(tap)
        if others or not has_plain_moments(term):
            return None
        f = self._take(tap)
        if f.shape[2] > MAX_PART_CHANNELS:
            self.features[tap] = f
            return None
        self.engine._count_moments(term, f)
        zeros = Moments(0.0, np.zeros(f.shape[2]), np.zeros((f.shape[2], f.shape[2])))
        return losses.MomentsGradient(zeros, f)

    def _add(self, total: Array, df: Array) -> Array:
        """Return `total` unchanged, since a dry run computes nothing."""
        return total


def dry_run(
    engine: CpuPasses, network: Network, terms: Sequence[Term], shape: Shape, gradient: bool = True
) -> DryPasses:
    """Do a dry run of two evaluations, the second while the first gradient is still in use, as by an optimizer.

    Parameters
    ----------
    engine, network, terms, shape, gradient
        See `forecast_evaluation`.

    Returns
    -------
    DryPasses
        An engine with the layers of the last evaluation and the peak memory.

    Examples
    --------
    >>> from handstyle.kernels.cpu.engine import im2col_engine
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = [ContentTerm("relu1_1", np.zeros((32, 32, 16), np.float32), scale=1.0)]
    >>> [(row.layer, row.direction) for row in dry_run(im2col_engine(), network, terms, (32, 32, 3)).rows]
    [('conv1_1', 'forward'), ('relu1_1', 'loss'), ('conv1_1', 'backward')]
    """
    dry = DryPasses(engine.name, engine.choose, engine.team)
    dry.chosen = engine.chosen  # so that the engine's `describe` reports these methods
    taps, item, n = taps_of(terms), network.dtype.itemsize, math.prod(shape)
    if not gradient:
        features: Features = {}
        if taps:
            dry.run_forward(network.layers, dry.arena.take(shape, network.dtype), taps, features)
        largest = max((f.size for f in features.values()), default=0)
        # Of the two copies in float64, one is where the forward pass had its scratch: measured from 64 to 1024 px.
        dry._add_outside(3 * item * n + 8 * min(largest, STRIP_VALUES))
        return dry
    held = None
    for _ in range(2):
        dry.rows.clear()
        dp = None
        if taps:
            features, recompute = {}, dict[str, Callable[[], Array]]()
            x = dry.arena.take(shape, network.dtype)
            stages = dry.run_forward(network.layers, x, taps, features, recompute)
            gradients = DryGradients(dry.gradient_of, terms, features, recompute, np.zeros(len(terms)), dry)
            dx = dry.run_backward(stages, gradients)
            dp = dry.arena.take(shape, network.dtype)
            del x, stages, gradients, dx
        dry._add_outside(item * n)  # the picture in the network's dtype
        for term in terms:
            if term.tap == PICTURE:
                pictures = VARIATION_PICTURES if type(term) is not ContentTerm else 1
                dry._add_outside((1 + pictures) * item * n)
        held = dry.arena.take((n,), np.float64)
        del dp
    del held
    return dry
