"""The engine that runs VGG fast: the same layers, fewer passes over memory.

The layers are grouped into stages: a convolution with the rectifier and the pool that follow it, as far as no tap needs
what lies between. Each stage reads the previous one's output once and writes its own once. What does not fit a
stage (a rectifier after a tapped convolution, a pool that rounds up over an odd side) runs as the
reference does, as a layer of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.threads import Team, default_team
from handstyle.foundations.workspace import default_arena
from handstyle.kernels.convolutions import convolve
from handstyle.kernels.cost import FEW_PIXELS, Tile
from handstyle.kernels.fused import MaskSink, RectifyPoolSink, RectifySink, SpreadSource, bits_shape, pour
from handstyle.kernels.grid import ArraySource, Sink, Source, StoreSink
from handstyle.kernels.stages import Stage, split_stages
from handstyle.kernels.tile_kernels import Kept
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.sequence import (
    Cache,
    Convolution,
    Features,
    Layer,
    Pointwise,
    Pool,
    ReLU,
    check_gradients,
    check_taps,
    deepest,
    methods_in_words,
    pointwise_at,
)
from handstyle.network.tapped import Tapped

# (H, W, C, K, adjoint) of a convolution -> its kernel
Choice = Callable[[int, int, int, int, bool], Tile]


@dataclass
class FusedEngine:
    """Runs a tuple of layers in fused stages; see `sequence_forward` for the contract.

    Parameters
    ----------
    name : str
        In reports.
    choose : callable
        Which kernel a convolution is given.
    team : Team
        Threads. Matrix products stay in the thread that asks for them.

    Attributes
    ----------
    chosen : dict of str to str
        The kernel of each convolution of the last evaluation, such as ``conv1_2 forward``.

    Notes
    -----
    The memory of one evaluation is kept for the next. A tapped feature is the caller's for as long as it
    is held; the sweep itself keeps bits, no features.
    """

    name: str
    choose: Choice
    team: Team = field(default_factory=default_team)

    def __post_init__(self) -> None:
        self.arena = default_arena()
        self._last: tuple[Any, ...] = ()
        self._kept: Kept = {}
        self.chosen: dict[str, str] = {}

    def kernel_of(self, H: int, W: int, C: int, K: int, adjoint: bool) -> str:
        """Return the name of the kernel that a convolution of a (H, W, C) map to K channels is given."""
        return str(self.choose(H, W, C, K, adjoint))

    @property
    def _is_small(self) -> bool:
        # Of a small picture the features take little memory, so time comes first.
        (H, W, _), _ = self._last
        return bool(H * W <= FEW_PIXELS)

    @property
    def report(self) -> str:
        """What the last evaluation did, in words: each convolution's kernel, forward and adjoint."""
        return "; ".join(methods_in_words(self.chosen))

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """See `sequence_forward`."""
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        self._check(run, x)
        if (x.shape, x.dtype) != self._last:
            self._kept.clear()
            self.arena.trim()
            self._last = x.shape, x.dtype
        stages = split_stages(run, wanted, x.shape)
        self._take_bits(stages, wanted)
        picture, first = x, stages[0]
        features = Tapped()
        with self.team.single_threaded_blas():
            for stage in stages:
                x = self._stage_forward(stage, x, wanted, features)
                if stage is first and len(stages) > 1 and first.name in features and not self._is_small:
                    features.make_again(first.name, partial(self._first_again, first, picture))
        return features, stages  # type: ignore[return-value]  # a mapping that need not hold what it gives

    def _first_again(self, stage: Stage, picture: Array) -> Array:
        with self.team.single_threaded_blas():
            return self._stage_forward(replace(stage, bits=None), picture, set(), Tapped())  # they are there

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """See `sequence_backward`."""
        stages: list[Stage] = caches
        names = [layer.name for stage in stages for layer in stage.layers]
        check_gradients(names, dfeatures)
        with self.team.single_threaded_blas():
            dx = self._below_tap(stages[-1], dfeatures[names[-1]])
            for i in reversed(range(len(stages))):
                dx = self._stage_backward(stages[i], stages[i - 1] if i else None, dx, dfeatures)
        return dx

    def _check(self, layers: tuple[Layer, ...], x: Array) -> None:
        if not isinstance(x, np.ndarray):
            raise HandstyleError(
                f"kernels {self.name} run on NumPy arrays; use kernels reference, or the backend's own"
            )
        for layer in layers:
            if isinstance(layer, Convolution) and layer.w.dtype != x.dtype:
                raise HandstyleError(
                    f"{layer.name}: weights are {layer.w.dtype}, the picture is {x.dtype}; convert one with astype"
                )
        if x.dtype not in (np.float32, np.float64):
            raise HandstyleError(f"kernels {self.name} compute in float32 or float64, not {x.dtype}")

    def _take_bits(self, stages: list[Stage], wanted: set[str]) -> None:
        # Before any map: they stay until the end, and would lie in the way between maps that come and go.
        for stage in stages:
            if stage.is_bare:
                continue
            pooled, rectifier = isinstance(stage.layers[-1], Pool), stage.layers[1].name
            if not pooled or rectifier in wanted:
                stage.bits = self.arena.take(bits_shape(stage.shape), np.uint8)
            if pooled:
                stage.pool_bits = self.arena.take(bits_shape(stage.shape), np.uint8)

    def _stage_forward(self, stage: Stage, x: Array, wanted: set[str], features: Tapped) -> Array:
        if not stage.is_fused:
            x, stage.cache = stage.layers[0].forward(x)
            if stage.name in wanted:
                features[stage.name] = x
            return x
        convolution, take = stage.layers[0], self.arena.take
        assert isinstance(convolution, Convolution)
        H, W, K = stage.shape
        names = [layer.name for layer in stage.layers]
        pool = stage.layers[-1]
        sink: Sink
        y: Array
        if stage.is_bare:
            y = take((H, W, K), x.dtype)
            sink = StoreSink(y)
        else:
            rectified = None
            if not isinstance(pool, Pool) or names[1] in wanted:
                y = take((H, W, K), x.dtype)
                sink = rectified = RectifySink(y, stage.bits)
                if names[1] in wanted:
                    features[names[1]] = y
            if isinstance(pool, Pool):
                assert stage.pool_bits is not None
                y = take((H // 2, W // 2, K), x.dtype)
                sink = RectifyPoolSink(y, stage.pool_bits, pool.kind == "average", rectified)
        self._convolve(ArraySource(x), convolution, sink, adjoint=False)
        if stage.name in wanted:
            features[stage.name] = y
        return y

    def _stage_backward(self, stage: Stage, below: Stage | None, dx: Array, dfeatures: Mapping[str, Array]) -> Array:
        # `dx` is the gradient at the stage's output, with what enters there and, after a bare rectifier, its mask.
        if not stage.is_fused:
            dx = stage.layers[0].backward(dx, stage.cache)
            return dx if below is None else self._below_tap(below, dx, dfeatures)
        convolution = stage.layers[0]
        assert isinstance(convolution, Convolution)
        source: Source = ArraySource(dx)
        pool = stage.layers[-1]
        if isinstance(pool, Pool):
            assert stage.pool_bits is not None
            rectifier = stage.layers[1].name
            entering = dfeatures[rectifier] if rectifier in dfeatures and pool.name != rectifier else None
            share = 0.25 if pool.kind == "average" else 1.0
            source = SpreadSource(dx, stage.pool_bits, stage.shape, share, entering, stage.bits)
        H, W, _ = stage.shape
        shape, out = (H, W, convolution.w.shape[2]), None
        add: Array | Pointwise | None = None
        if below is not None and below.name in dfeatures:
            add = made = pointwise_at(dfeatures, below.name)
            # A part of the features has served when its gradient is made, and the result may take its place; so may it
            # that of a gradient made for this sweep alone.
            if made is not None:
                out = made.f
            else:
                add = whole = dfeatures[below.name]
                out = whole if getattr(dfeatures, "fresh", False) else None
        out = self.arena.take(shape, dx.dtype) if out is None else out
        sink: Sink = StoreSink(out) if below is None else MaskSink(out, _mask(below), add)
        self._convolve(source, convolution, sink, adjoint=True)
        return out

    def _below_tap(self, stage: Stage, dx: Array, dfeatures: Mapping[str, Array] | None = None) -> Array:
        # What `MaskSink` does at the end of a convolution, where there is none.
        entering = dfeatures[stage.name] if dfeatures is not None and stage.name in dfeatures else None
        bits = _mask(stage)
        if bits is None:
            return dx if entering is None else dx + entering
        out = self.arena.take(dx.shape, dx.dtype)
        pour(ArraySource(dx), MaskSink(out, bits, entering), self.team, self.arena)
        return out

    def _convolve(self, source: Source, layer: Convolution, sink: Sink, adjoint: bool) -> None:
        b = None if adjoint else layer.b
        if layer.padding == "zero":
            self._run(source, layer, b, sink, adjoint)
            return
        # The slow way, in the open: pad, convolve the padded map, and cut. The adjoint of cutting is a ring of zeros.
        H, W, _ = source.shape
        x = source.read(slice(0, H), slice(0, W)).reshape(source.shape)
        x = pad_forward(x, "zero" if adjoint else layer.padding)
        K = layer.w.shape[2] if adjoint else layer.w.shape[3]
        ypad = self.arena.take((H + 2, W + 2, K), x.dtype)
        self._run(ArraySource(x), layer, b, StoreSink(ypad), adjoint)
        y = pad_backward(ypad, layer.padding if adjoint else "zero")
        pour(ArraySource(y), sink, self.team, self.arena)

    def _run(self, source: Source, layer: Convolution, b: Array | None, sink: Sink, adjoint: bool) -> None:
        w = layer.w
        C, K = (w.shape[3], w.shape[2]) if adjoint else w.shape[2:]
        tile = self.choose(*source.shape[:2], C, K, adjoint)
        self.chosen[f"{layer.name} {'adjoint' if adjoint else 'forward'}"] = str(tile)
        # In a small picture transforming the kernels is a tenth of the work.
        keep = self._kept if self._is_small and not w.flags.writeable else None
        convolve(source, w, b, sink, tile, self.team, self.arena, adjoint, keep)


def _mask(stage: Stage) -> Array | None:
    # The bits that lie directly below a stage's output; those of a pool are applied when the pool is undone.
    return stage.bits if isinstance(stage.layers[-1], ReLU) and stage.is_fused else None
