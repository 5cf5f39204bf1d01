"""The engine that runs VGG on a GPU by the kernels in ``cuda/``.

Layers are grouped into stages, a convolution with the rectifier and the pool that follow it, and each stage ends in one
`Finish`: what its layers do to a value is done while it is in registers. Backward, the finish of the stage above adds
what enters at this stage's taps and applies its rectifier's bits; a pool is undone while the next convolution reads.
What a frozen network must remember is one bit a rectified value, or three bits a pooled one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda import losses as cuda_losses
from handstyle.kernels.cuda.choose import choose_method
from handstyle.kernels.cuda.convolution import METHODS, SCRATCH, Convolver, pooled_finish, tensor_fits
from handstyle.kernels.cuda.device import CupyDevice, Device
from handstyle.kernels.cuda.dry_device import DryDevice, rehearse
from handstyle.kernels.cuda.epilogue import checked, land, landing
from handstyle.kernels.cuda.graph import Recording
from handstyle.kernels.cuda.stages import Stage, group
from handstyle.kernels.cuda.structs import Finish, Source, words
from handstyle.network.sequence import (
    Cache,
    Convolution,
    Features,
    Layer,
    check_gradients,
    check_taps,
    deepest,
    methods_in_words,
)
from handstyle.network.tapped import Tapped
from handstyle.optimize.terms import Kernels


class CudaEngine:
    """Runs a tuple of layers on a device; see `sequence_forward` for the contract.

    Parameters
    ----------
    device : Device, optional
        By default CuPy's current one.
    method : str, optional
        One of `METHODS` for every convolution that it fits; by default chosen for each by `choose`.
    workspace : int
        Bytes of scratch for a convolution.

    Attributes
    ----------
    chosen : dict of str to str
        The method of each convolution that has run, by ``conv1_1 forward`` or ``conv1_1 adjoint``.

    Raises
    ------
    HandstyleError
        If no device is given and none can be had, or the method is unknown.
    """

    def __init__(self, device: Device | None = None, method: str | None = None, workspace: int = SCRATCH) -> None:
        if method is not None and method not in METHODS:
            raise HandstyleError(f"unknown method {method!r}: use {', '.join(METHODS)}")
        self.device = CupyDevice() if device is None else device
        self.method, self.workspace = method, workspace
        self.chosen: dict[str, str] = {}
        self.name = "cuda" if self.device.precision == "float32" else f"cuda-{self.device.precision}"

    def choose(self, name: str, finish: Finish, w: Array, source: Source, offset: int, adjoint: bool) -> str:
        """Return the method for a convolution with `w` (3, 3, C, K) or its adjoint, and note it in `chosen`.

        Three channels have a way of their own. For the others the one that was asked for, or else the one that the
        counts of ``cuda_cost.py`` favour for this shape and precision.
        """
        C, K = (w.shape[3], w.shape[2]) if adjoint else w.shape[2:]
        plain = offset == 1 and not source.unpool
        method = self.method
        tensor = self.device.precision == "tf32" and tensor_fits(C, K, w.dtype)
        if w.shape[2] == 3:
            method = "first"
        elif method in (None, "first") or (method == "residue" and not plain) or (method == "tensor" and not tensor):
            shape = finish.H, finish.W, C, K
            method = choose_method(*shape, self.device.precision, self.workspace, plain, tensor=tensor)
        assert method is not None
        self.chosen[f"{name} {'adjoint' if adjoint else 'forward'}"] = method
        return method

    @property
    def losses(self) -> Kernels:
        """The losses that have kernels, by the readable functions they stand for."""
        return cuda_losses.kernels(self.device)

    def recording(
        self,
        layers: tuple[Layer, ...],
        shape: tuple[int, int],
        losses: Mapping[str, Sequence[str]],
        dtype: DTypeLike,
    ) -> Recording | None:
        """Return what launches whole sweeps, rehearsed here, on this engine's device, if it can; see `Recording`."""
        make = getattr(self.device, "recording", None)
        if make is None:
            return None
        dry = DryDevice(self.device.precision)
        rehearse(CudaEngine(dry, self.method, self.workspace), layers, shape, losses, dtype)
        made: Recording | None = make(dry.requests)
        return made

    @property
    def report(self) -> str:
        """What the last evaluation did, in words: products, and each convolution's method, forward and adjoint."""
        return "; ".join([self.device.products, *methods_in_words(self.chosen)])

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """See `sequence_forward`."""
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        self._check(run, x)
        convolver = Convolver(self.device, x.dtype, self.workspace)
        features = Tapped()
        stages = group(run, x.shape)
        for stage in stages:
            before, x = x, self._stage_forward(convolver, stage, x, wanted, features)
            if self._is_cheap(stage, wanted) and stage is not stages[-1]:
                assert stage.relu is not None
                features.make_again(stage.relu, partial(self._first_again, convolver, stage, before))
            del before  # or the largest map of all would live on through the next stage
        return features, stages  # type: ignore[return-value]  # a mapping that need not hold what it gives

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """See `sequence_backward`."""
        stages: list[Stage] = caches
        names = [layer.name for stage in stages for layer in stage.layers]
        check_gradients(names, dfeatures)
        dx = checked(self.device, names[-1], dfeatures[names[-1]], stages[-1].output, stages[-1].dtype)
        convolver = Convolver(self.device, dx.dtype, self.workspace)
        dx = land(convolver, dx, landing(self.device, stages[-1], dfeatures, except_for=names[-1]))
        for i in reversed(range(len(stages))):
            dx = self._stage_backward(convolver, stages[i], stages[i - 1] if i else None, dx, dfeatures)
        return dx

    def _is_cheap(self, stage: Stage, wanted: set[str]) -> bool:
        layer = stage.convolution
        rectified = layer is not None and layer.w.shape[2] == 3 and stage.pool is None and stage.relu in wanted
        return rectified and layer is not None and layer.name not in wanted

    def _first_again(self, convolver: Convolver, stage: Stage, x: Array) -> Array:  # (H, W, 3) -> (H, W, K)
        layer = stage.convolution
        assert layer is not None
        y = self.device.empty(stage.shape, x.dtype)
        H, W, K = stage.shape
        finish = Finish(bias=layer.b, y=y, H=H, W=W, K=K, rectify=1)
        source = Source.of(self.device.xp.ascontiguousarray(x), layer.padding)
        convolver.convolve("first", source, self.device.xp.ascontiguousarray(layer.w), finish, 1, adjoint=False)
        return y

    def _check(self, layers: tuple[Layer, ...], x: Array) -> None:
        if not isinstance(x, self.device.xp.ndarray):
            raise HandstyleError(f"kernels {self.name} run on {self.device.xp.__name__} arrays; use --backend cupy")
        if x.dtype not in (np.float32, np.float64):
            raise HandstyleError(f"kernels {self.name} compute in float32 or float64, not {x.dtype}")
        for layer in layers:
            if isinstance(layer, Convolution) and layer.w.dtype != x.dtype:
                raise HandstyleError(
                    f"{layer.name}: weights are {layer.w.dtype}, the picture is {x.dtype}; convert one with astype"
                )

    def _stage_forward(self, convolver: Convolver, stage: Stage, x: Array, wanted: set[str], features: Tapped) -> Array:
        layer = stage.convolution
        if layer is None:
            x, stage.cache = stage.layers[0].forward(x)
            stage.output, stage.dtype = x.shape, x.dtype
            if stage.layers[0].name in wanted:
                features[stage.layers[0].name] = x
            return x
        x, empty = self.device.xp.ascontiguousarray(x), self.device.empty
        H, W, _ = x.shape
        K = layer.w.shape[3]
        stage.shape = shape = (H, W, K)
        relu, pool = stage.relu, stage.pool
        finish = Finish(bias=layer.b, H=H, W=W, K=K, rectify=int(relu is not None))
        result: Array | None = None
        if relu is None or pool is None or relu in wanted:
            finish.y = result = empty(shape, x.dtype)
        if relu is not None and layer.name in wanted:
            finish.raw = features[layer.name] = empty(shape, x.dtype)
        if relu is not None and (
            finish.y is not None or finish.raw is not None or pool is None or pool.kind == "average"
        ):
            finish.bits = stage.bits = empty((H, W, words(K)), np.uint32)
        if relu in wanted:
            assert relu is not None
            assert result is not None
            features[relu] = result
        if pool is not None:
            up = pool.rounding == "up"
            h, w = (H + up) // 2, (W + up) // 2
            result = empty((h, w, K), x.dtype)
            stage.planes = empty((h, w, 3, words(K)), np.uint32) if pool.kind == "max" else None
            finish = pooled_finish(finish, result, stage.planes, pool.kind)
            if pool.name in wanted:
                features[pool.name] = result
        assert result is not None
        stage.output, stage.dtype = result.shape, x.dtype
        if relu is None and layer.name in wanted:
            features[layer.name] = result
        source, w = Source.of(x, layer.padding), self.device.xp.ascontiguousarray(layer.w)
        method = self.choose(layer.name, finish, w, source, 1, adjoint=False)
        convolver.convolve(method, source, w, finish, 1, adjoint=False)
        return result

    def _stage_backward(
        self, convolver: Convolver, stage: Stage, below: Stage | None, dx: Array, dfeatures: Mapping[str, Array]
    ) -> Array:
        # `dx` is the gradient at the stage's output. Where the stage ends in a convolution or a rectifier, what enters
        # there and the rectifier's mask are already in it.
        layer = stage.convolution
        if layer is None:
            dx = self.device.xp.ascontiguousarray(stage.layers[0].backward(dx, stage.cache))
            return dx if below is None else land(convolver, dx, landing(self.device, below, dfeatures))
        source = Source.of(dx)
        if stage.pool is not None:
            codes = stage.planes if stage.planes is not None else stage.bits
            assert codes is not None
            source = Source.pooled(dx, codes, stage.shape, stage.pool.kind)
            inside = landing(self.device, stage, dfeatures, under_the_pool=True)
            if inside.entering is not None or inside.after is not None:
                source = Source.of(land(convolver, source, inside))
        H, W, _ = stage.shape
        C = layer.w.shape[2]
        # What enters is asked for before there is a result: while it is made, its feature is still held.
        finish = Finish() if below is None else landing(self.device, below, dfeatures)
        finish.H, finish.W, finish.K = H, W, C
        w, zero = self.device.xp.ascontiguousarray(layer.w), layer.padding == "zero"
        method = self.choose(layer.name, finish, w, source, 1, adjoint=True) if zero else ""
        # A gradient made for this sweep alone is written on: each value is read by the thread that replaces it.
        in_place = getattr(dfeatures, "fresh", False) and finish.entering is not None and method != "first"
        finish.y = out = finish.entering if in_place else self.device.empty((H, W, C), dx.dtype)
        assert out is not None
        if zero:
            convolver.convolve(method, source, w, finish, 1, adjoint=True)
        else:
            # The adjoint of the convolution of the padded map, then the adjoint of padding it.
            dxpad = self.device.empty((H + 2, W + 2, C), dx.dtype)
            ring = Finish(y=dxpad, H=H + 2, W=W + 2, K=C)
            method = self.choose(layer.name, ring, w, source, 2, adjoint=True)
            convolver.convolve(method, source, w, ring, 2, adjoint=True)
            convolver.fold(dxpad, layer.padding, finish)
        return out
