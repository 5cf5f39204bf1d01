"""The forward and the backward pass of a network on a CPU, in fused stages, with the losses on strips in the cache.

The layers are grouped into stages: a convolution with the rectifier and the pool that follow it, unless a term measures
the output between them. Each stage reads the previous one's output once and writes its own once. A layer that fits no
stage (a rectifier after a convolution whose output a term measures, a pool that rounds up an odd side) runs alone, as
in the reference.

The passes of an objective also save memory. Features are freed as soon as the gradient of their loss is computed. The
first feature map, the largest and the cheapest to compute, is computed again when the backward pass needs it. A style's
gradient at a map of few channels is computed strip by strip while the backward pass writes the map.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import FEW_PIXELS, Tile
from handstyle.kernels.cpu import losses
from handstyle.kernels.cpu.arena import default_arena
from handstyle.kernels.cpu.choose import convolve
from handstyle.kernels.cpu.epilogues import MaskSink, RectifyPoolSink, RectifySink, SpreadSource, bits_shape, copy_map
from handstyle.kernels.cpu.strips import ArraySource, Sink, Source, StoreSink
from handstyle.kernels.cpu.threads import Team, default_team
from handstyle.kernels.cpu.winograd_kernels import KernelCache
from handstyle.kernels.gradients import Gradients, TermGradients, has_plain_moments
from handstyle.kernels.patches import measure_map
from handstyle.kernels.stages import Stage, check_dtypes, split_stages
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.losses.terms import Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.sequence import POOLS, Convolution, Features, Layer, check_taps, deepest

# (H, W, C, K, adjoint) of a convolution -> the tile size of its method
Choose = Callable[[int, int, int, int, bool], Tile]
# Up to this many channels a style's gradient is computed strip by strip: a map is large then, and products of a few
# rows are as fast as those of many.
MAX_PART_CHANNELS = 128


@dataclass
class CpuPasses:
    """The passes through a network on NumPy arrays; `CpuEngine` adds what an objective needs.

    Parameters
    ----------
    name, choose, team
        See `CpuEngine`.

    Attributes
    ----------
    chosen : dict of str to str
        See `CpuEngine`.

    Examples
    --------
    >>> from handstyle.kernels.counting import LOWERED
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers, features = build_network(random_weights(deepest="conv1_1")).layers, {}
    >>> passes = CpuPasses("im2col", lambda H, W, C, K, adjoint: LOWERED)
    >>> stages = passes.run_forward(layers, np.zeros((8, 8, 3), np.float32), ["relu1_1"], features)
    >>> passes.chosen, features["relu1_1"].shape
    ({'conv1_1 forward': 'im2col'}, (8, 8, 16))
    """

    name: str
    choose: Choose
    team: Team = field(default_factory=default_team)
    poolings: ClassVar[tuple[str, ...]] = tuple(POOLS)
    tf32: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.arena = default_arena()
        self._last_input: tuple[Any, ...] = ()
        self._kernel_cache: KernelCache = {}
        self.chosen: dict[str, str] = {}

    @property
    def _is_small(self) -> bool:
        # The features of a small picture take little memory, so they are kept to save time.
        (H, W, _), _ = self._last_input
        return bool(H * W <= FEW_PIXELS)

    def run_forward(
        self,
        layers: tuple[Layer, ...],
        x: Array,
        taps: Iterable[str],
        features: Features,
        recompute: dict[str, Callable[[], Array]] | None = None,
    ) -> list[Stage]:
        """Run the layers up to the deepest of `taps`, and return the stages for `run_backward`.

        Parameters
        ----------
        layers, x, taps
            See `sequence_forward`.
        features : dict of str to array
            Receives the features at the layers `taps`.
        recompute : dict of str to callable, optional
            If given, the first feature map of a large picture is not kept in `features`; instead `recompute` receives a
            function that computes it again.

        Returns
        -------
        list of Stage

        Examples
        --------
        >>> from handstyle.kernels.counting import choose_kernel
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, x = build_network(random_weights(deepest="conv1_2")).layers, np.zeros((336, 336, 3), np.float32)
        >>> passes, features, recompute = CpuPasses("auto", choose_kernel), {}, {}
        >>> stages = passes.run_forward(layers, x, ["relu1_1", "relu1_2"], features, recompute)
        >>> [stage.name for stage in stages], list(features), list(recompute)
        (['relu1_1', 'relu1_2'], ['relu1_2'], ['relu1_1'])
        """
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        self._check(run, x)
        if (x.shape, x.dtype) != self._last_input:
            self._kernel_cache.clear()
            self.arena.trim()
            self._last_input = x.shape, x.dtype
        stages = split_stages(run, wanted, x.shape)
        self._allocate_bits(stages, wanted)
        picture, first = x, stages[0]
        with self.team.single_threaded_blas():
            for stage in stages:
                x = self._stage_forward(stage, x, wanted, features)
                is_recomputed = recompute is not None and stage is first and len(stages) > 1 and not self._is_small
                if is_recomputed and features.pop(first.name, None) is not None:
                    recompute[first.name] = partial(self._recompute_first, first, picture)  # type: ignore[index]
        return stages

    def _recompute_first(self, stage: Stage, picture: Array) -> Array:
        with self.team.single_threaded_blas():
            return self._stage_forward(replace(stage, bits=None), picture, set(), {})  # its bits were kept

    def run_backward(self, stages: list[Stage], gradients: Gradients) -> Array:
        """Return the gradient at the input, by a backward pass through the stages that `run_forward` returned.

        Parameters
        ----------
        stages : list of Stage
            The stages, with the masks that the forward pass stored.
        gradients : Gradients
            The gradients at the taps; that of the deepest layer must be among them.

        Returns
        -------
        (H, W, C) array

        Examples
        --------
        >>> from handstyle.kernels.counting import choose_kernel
        >>> from handstyle.kernels.gradients import GivenGradients
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, features = build_network(random_weights(deepest="conv1_2")).layers, {}
        >>> passes = CpuPasses("auto", choose_kernel)
        >>> stages = passes.run_forward(layers, np.zeros((8, 8, 3), np.float32), ["relu1_2"], features)
        >>> passes.run_backward(stages, GivenGradients(features)).shape
        (8, 8, 3)
        """
        with self.team.single_threaded_blas():
            dx = self._mask_gradient(stages[-1], gradients[stages[-1].name])
            for i in reversed(range(len(stages))):
                dx = self._stage_backward(stages[i], stages[i - 1] if i else None, dx, gradients)
        return dx

    def _check(self, layers: tuple[Layer, ...], x: Array) -> None:
        if not isinstance(x, np.ndarray):
            raise HandstyleError(f"kernels={self.name!r} run on NumPy arrays; use 'reference', or those of the backend")
        check_dtypes(self.name, layers, x)

    def _allocate_bits(self, stages: list[Stage], wanted: set[str]) -> None:
        # Allocated before any map: they live until the end, and would fragment the memory in which maps come and go.
        for stage in stages:
            if stage.relu is None:
                continue
            if stage.pool is None or stage.relu in wanted:
                stage.bits = self.arena.take(bits_shape(stage.shape), np.uint8)
            if stage.pool is not None:
                stage.pool_bits = self.arena.take(bits_shape(stage.shape), np.uint8)

    def _stage_forward(self, stage: Stage, x: Array, wanted: set[str], features: Features) -> Array:
        convolution, pool, take = stage.convolution, stage.pool, self.arena.take
        if convolution is None:
            x, stage.cache = stage.layers[0].forward(x)
            if stage.name in wanted:
                features[stage.name] = x
            return x
        H, W, K = stage.shape
        sink: Sink
        y: Array
        if stage.relu is None:
            y = take((H, W, K), x.dtype)
            sink = StoreSink(y)
        else:
            rectified = None
            if pool is None or stage.relu in wanted:
                y = take((H, W, K), x.dtype)
                sink = rectified = RectifySink(y, stage.bits)
                if stage.relu in wanted:
                    features[stage.relu] = y
            if pool is not None:
                assert stage.pool_bits is not None
                y = take((H // 2, W // 2, K), x.dtype)
                sink = RectifyPoolSink(y, stage.pool_bits, pool.kind == "average", rectified)
        self._convolve(ArraySource(x), convolution, sink, adjoint=False)
        if stage.name in wanted:
            features[stage.name] = y
        return y

    def _stage_backward(self, stage: Stage, below: Stage | None, dx: Array, gradients: Gradients) -> Array:
        # `dx` is the gradient at the stage's output. The gradient of a tap there is already added, and the mask of a
        # rectifier that ends the stage applied.
        convolution, pool = stage.convolution, stage.pool
        if convolution is None:
            dx = stage.layers[0].backward(dx, stage.cache)
            return dx if below is None else self._mask_gradient(below, dx, gradients)
        source: Source = ArraySource(dx)
        if pool is not None:
            assert stage.pool_bits is not None
            assert stage.relu is not None
            tap_gradient = gradients.get(stage.relu)
            share = 0.25 if pool.kind == "average" else 1.0
            source = SpreadSource(dx, stage.pool_bits, stage.shape, share, tap_gradient, stage.bits)
        H, W, _ = stage.shape
        shape, out = (H, W, convolution.w.shape[2]), None
        add: Array | losses.MomentsGradient | None = None
        if below is not None and below.name in gradients:
            add = parts = gradients.parts(below.name) if isinstance(gradients, PartGradients) else None
            # The result may be written over the features, each part of which is no longer needed once its gradient is
            # computed, or over a gradient that was computed for this sweep alone.
            if parts is not None:
                out = parts.f
            else:
                add = gradients[below.name]
                out = add if gradients.writable else None
        out = self.arena.take(shape, dx.dtype) if out is None else out
        sink: Sink = StoreSink(out) if below is None else MaskSink(out, _mask(below), add)
        self._convolve(source, convolution, sink, adjoint=True)
        return out

    def _mask_gradient(self, stage: Stage, dx: Array, gradients: Gradients | None = None) -> Array:
        # Does in a separate pass what `MaskSink` does at the end of a convolution.
        tap_gradient = None if gradients is None else gradients.get(stage.name)
        bits = _mask(stage)
        if bits is None:
            return dx if tap_gradient is None else dx + tap_gradient
        out = self.arena.take(dx.shape, dx.dtype)
        copy_map(ArraySource(dx), MaskSink(out, bits, tap_gradient), self.team, self.arena)
        return out

    def _convolve(self, source: Source, layer: Convolution, sink: Sink, adjoint: bool) -> None:
        b = None if adjoint else layer.b
        if layer.padding == "zero":
            self._run(source, layer, b, sink, adjoint)
            return
        # The slow way: pad, convolve the padded map, and crop. The adjoint of cropping adds a ring of zeros.
        H, W, _ = source.shape
        x = source.read(slice(0, H), slice(0, W)).reshape(source.shape)
        x, _ = pad_forward(x, "zero" if adjoint else layer.padding)
        K = layer.w.shape[2] if adjoint else layer.w.shape[3]
        ypad = self.arena.take((H + 2, W + 2, K), x.dtype)
        self._run(ArraySource(x), layer, b, StoreSink(ypad), adjoint)
        y = pad_backward(ypad, layer.padding if adjoint else "zero")
        copy_map(ArraySource(y), sink, self.team, self.arena)

    def _run(self, source: Source, layer: Convolution, b: Array | None, sink: Sink, adjoint: bool) -> None:
        w = layer.w
        C, K = (w.shape[3], w.shape[2]) if adjoint else w.shape[2:]
        tile = self.choose(*source.shape[:2], C, K, adjoint)
        self.chosen[f"{layer.name} {'adjoint' if adjoint else 'forward'}"] = str(tile)
        # For a small picture, transforming the kernels is a tenth of the work.
        cache = self._kernel_cache if self._is_small and not w.flags.writeable else None
        convolve(source, w, b, sink, tile, self.team, self.arena, adjoint, cache)


def _mask(stage: Stage) -> Array | None:
    # The bits of the rectifier that ends a stage; if a pool ends it, they are applied when the pool is undone.
    return stage.bits if stage.pool is None else None


@dataclass(frozen=True)
class PartGradients(TermGradients):
    """`TermGradients` that can compute a style's gradient part by part, while the backward pass writes the map.

    Examples
    --------
    >>> term = ContentTerm("relu4_2", np.zeros((1, 1, 2)), scale=1.0)
    >>> gradients = PartGradients(gradient_of, [term], {"relu4_2": np.ones((1, 1, 2))}, {}, [None])
    >>> gradients["relu4_2"]  # whole, as that of any term
    array([[[2., 2.]]])
    """

    def parts(self, tap: str) -> losses.MomentsGradient | None:
        """Return an object that computes the gradient at a layer part by part, or None.

        There is one if the layer has few channels and its only term is a style term.

        Examples
        --------
        >>> style = StyleTerm("relu1_1", Moments(1.0, np.zeros(2), np.eye(2)), scale=1.0)
        >>> content = ContentTerm("relu4_2", np.zeros((1, 1, 2)), scale=1.0)
        >>> features = {"relu1_1": np.ones((1, 1, 2)), "relu4_2": np.ones((1, 1, 2))}
        >>> gradients = PartGradients(gradient_of, [style, content], features, {}, [None, None])
        >>> gradients.parts("relu1_1").f.shape, gradients.parts("relu4_2") is None
        ((1, 1, 2), True)
        """
        (i, term), *others = self._at(tap)
        if others or not has_plain_moments(term):
            return None
        feature = self.features.get(tap)
        if feature is not None and feature.shape[2] > MAX_PART_CHANNELS:
            return None
        f = self._take(tap)
        if f.shape[2] > MAX_PART_CHANNELS:
            self.features[tap] = f
            return None
        self.values[i], gradient = moments_gradient(term, f)
        return gradient


def moments_gradient(term: Any, f: Array) -> tuple[float, losses.MomentsGradient]:
    """Return the weighted value of a style term, and an object that computes its gradient part by part.

    Examples
    --------
    >>> f = np.random.default_rng(0).uniform(0, 1, (4, 4, 2))
    >>> term = StyleTerm("relu1_1", Moments(1.0, np.zeros(2), np.eye(2)), scale=1.0)
    >>> value, gradient = moments_gradient(term, f)
    >>> df = np.empty_like(f)
    >>> gradient.write(df)
    >>> np.allclose(df, term.spread(term.loss(term.measure(f))[1], f))
    True
    """
    if type(term).loss is StyleTerm.loss:
        weighted, douter = losses.style(term, f)
        return weighted, losses.MomentsGradient(Moments(0.0, np.zeros(f.shape[2]), douter), f, term.mask)
    count = None if term.mask is None else term.mask_sum
    value, ds = term.loss(losses.moments(f, term.mask, count))
    return term.weight * float(value), losses.MomentsGradient(ds.scaled(float(term.weight)), f, term.mask)


def gradient_of(term: Term, f: Array, overwrite: bool) -> tuple[float, Array]:
    """Return the weighted value and the weighted gradient of a term, by the fastest code for its class.

    Parameters
    ----------
    term : Term
        A term of any class. If there is no fast code for the class, its methods `measure`, `loss` and `spread` are
        called.
    f : (h, w, C) array
        The term's features, or the picture.
    overwrite : bool
        Whether the gradient may be written over `f`.

    Returns
    -------
    (float, (h, w, C) array)
        The value and the gradient, in a new array or in `f`.

    Examples
    --------
    >>> import numpy as np
    >>> value, df = gradient_of(ContentTerm("relu4_2", np.zeros((1, 1, 2)), scale=1.0), np.array([[[1.0, 2.0]]]), False)
    >>> float(value), df
    (5.0, array([[[2., 4.]]]))
    """
    weight = float(term.weight)  # a NumPy scalar would promote float32 to float64
    if has_plain_moments(term):
        value, parts = moments_gradient(term, f)
        df = f if overwrite else default_arena().take(f.shape, f.dtype)
        parts.write(df)
        return value, df
    if type(term) is ContentTerm and f.shape == term.target.shape:
        distance, df = losses.content(f, term.target, term.mask, weight * term.factor)
        return weight * term.factor * float(distance), df
    if type(term) is VariationTerm:
        number, df = term.function(f)
        df *= weight * term.stretch
        return weight * float(number) * term.in_value, df
    result, ds = term.loss(measure_map(term, f))
    return weight * float(result), weight * term.spread(ds, f)
