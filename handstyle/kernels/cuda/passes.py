"""The forward and the backward pass of a network on a GPU, by the CUDA kernels in ``src/``.

Layers are grouped into stages, a convolution with the rectifier and the pool that follow it. Each stage ends in one
`Epilogue`, which applies the bias, the rectifier and the pool while a value is in registers. In the backward pass, the
epilogue of the next stage's convolution adds the gradients of the terms at this stage and applies its rectifier's mask;
the adjoint of a pool is applied while the convolution before it reads its input. Because the weights are constant, only
one bit for each rectified value, or three bits for each pooled one, is kept for the backward pass.
"""

from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import ClassVar, Self

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.choose import choose_method
from handstyle.kernels.cuda.convolution import METHODS, SCRATCH, Convolver, pooled_epilogue, tensor_fits
from handstyle.kernels.cuda.device import CupyDevice, Device
from handstyle.kernels.cuda.epilogue import apply_epilogue, backward_epilogue, check_gradient
from handstyle.kernels.cuda.structs import Epilogue, Source, mask_words
from handstyle.kernels.gradients import Gradients, TermGradients
from handstyle.kernels.stages import Stage, check_dtypes, split_stages
from handstyle.network.sequence import Features, Layer, Pool, check_taps, deepest

LESS_SCRATCH = 1 << 24  # bytes of temporary memory of a convolution if memory is short; it is then slower


class CudaPasses:
    """The passes through a network on a GPU, or on another `Device`; `CudaEngine` adds what an objective needs.

    Parameters
    ----------
    device, method, workspace
        See `CudaEngine`.

    Attributes
    ----------
    chosen : dict of str to str
        See `CudaEngine`.
    """

    poolings: ClassVar[tuple[str, ...]] = ("max", "average")

    def __init__(self, device: Device | None = None, method: str | None = None, workspace: int = SCRATCH) -> None:
        if method is not None and method not in METHODS:
            raise HandstyleError(f"unknown method {method!r}: use {', '.join(METHODS)}")
        self.device = CupyDevice() if device is None else device
        self.method, self.workspace, self.scratch = method, workspace, workspace
        self.chosen: dict[str, str] = {}
        self.tf32 = self.device.precision == "tf32"
        self.name = "cuda-tf32" if self.tf32 else "cuda"

    def choose(self, name: str, epilogue: Epilogue, w: Array, source: Source, offset: int, adjoint: bool) -> str:
        """Return the method for a convolution with `w` (3, 3, C, K) or its adjoint, and record it in `chosen`.

        With three channels of input it is ``first``; otherwise `self.method` if it can be applied; otherwise the one
        that is fastest by the counts of ``choose.py`` for this shape and precision.
        """
        C, K = (w.shape[3], w.shape[2]) if adjoint else w.shape[2:]
        plain = offset == 1 and not source.unpool
        method = self.method
        tensor = self.tf32 and tensor_fits(C, K, w.dtype)
        if w.shape[2] == 3:
            method = "first"
        elif method in (None, "first") or (method == "residue" and not plain) or (method == "tensor" and not tensor):
            shape = epilogue.H, epilogue.W, C, K
            method = choose_method(*shape, self.device.precision, self.workspace, plain, tensor=tensor)
        assert method is not None
        self.chosen[f"{name} {'adjoint' if adjoint else 'forward'}"] = method
        return method

    def with_least_scratch(self) -> Self:
        """Return a copy with the least temporary memory."""
        return self.with_scratch(min(LESS_SCRATCH, self.workspace))

    def with_scratch(self, workspace: int, device: Device | None = None) -> Self:
        """Return a copy with another amount of temporary memory, or on another device.

        Both share the dictionary `chosen`.
        """
        made = copy(self)
        made.workspace, made.device = workspace, device or self.device
        return made

    def sweep(  # (H, W, 3) -> (H, W, 3)
        self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str], gradients: TermGradients
    ) -> Array:
        """Return the gradient at the input of the layers, by a forward and a backward pass through them."""
        return self.run_backward(self.run_forward(layers, x, taps, gradients.features, gradients.recompute), gradients)

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
            If given, the first feature map is not kept in `features`; instead `recompute` receives a function that
            computes it again.

        Returns
        -------
        list of Stage
        """
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        self._check(run, x)
        convolver = Convolver(self.device, x.dtype, self.workspace)
        stages = split_stages(run, set(), x.shape, odd_sides=True)
        for stage in stages:
            before, x = x, self._stage_forward(convolver, stage, x, wanted, features)
            if recompute is not None and self._is_cheap(stage, wanted) and stage is not stages[-1]:
                assert stage.relu is not None
                del features[stage.relu]
                recompute[stage.relu] = partial(self._recompute_first, convolver, stage, before)
            del before  # or the largest map of all would stay allocated during the next stage
        return stages

    def run_backward(self, stages: list[Stage], gradients: Gradients) -> Array:
        """Return the gradient at the input, by a backward pass through the stages that `run_forward` returned."""
        last = stages[-1]
        dx = check_gradient(self.device, last.name, gradients[last.name], last.output, last.dtype)
        convolver = Convolver(self.device, dx.dtype, self.workspace)
        dx = apply_epilogue(convolver, dx, backward_epilogue(self.device, last, gradients, except_for=last.name))
        for i in reversed(range(len(stages))):
            dx = self._stage_backward(convolver, stages[i], stages[i - 1] if i else None, dx, gradients)
        return dx

    def _is_cheap(self, stage: Stage, wanted: set[str]) -> bool:
        layer = stage.convolution
        rectified = layer is not None and layer.w.shape[2] == 3 and stage.pool is None and stage.relu in wanted
        return rectified and layer is not None and layer.name not in wanted

    def _recompute_first(self, convolver: Convolver, stage: Stage, x: Array) -> Array:  # (H, W, 3) -> (H, W, K)
        layer = stage.convolution
        assert layer is not None
        y = self.device.empty(stage.shape, x.dtype)
        H, W, K = stage.shape
        epilogue = Epilogue(bias=layer.b, y=y, H=H, W=W, K=K, rectify=1)
        source = Source.of(self.device.xp.ascontiguousarray(x), layer.padding)
        convolver.convolve("first", source, self.device.xp.ascontiguousarray(layer.w), epilogue, 1, adjoint=False)
        return y

    def _check(self, layers: tuple[Layer, ...], x: Array) -> None:
        if not isinstance(x, self.device.xp.ndarray):
            raise HandstyleError(f"kernels={self.name!r} run on {self.device.xp.__name__} arrays; use backend='cupy'")
        check_dtypes(self.name, layers, x)
        for layer in layers:
            if isinstance(layer, Pool) and layer.kind not in self.poolings:
                raise HandstyleError(f"pooling={layer.kind!r}: not with kernels={self.name!r}; use kernels='reference'")

    def _stage_forward(
        self, convolver: Convolver, stage: Stage, x: Array, wanted: set[str], features: Features
    ) -> Array:
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
        epilogue = Epilogue(bias=layer.b, H=H, W=W, K=K, rectify=int(relu is not None))
        result: Array | None = None
        if relu is None or pool is None or relu in wanted:
            epilogue.y = result = empty(shape, x.dtype)
        if relu is not None and layer.name in wanted:
            epilogue.raw = features[layer.name] = empty(shape, x.dtype)
        kept = epilogue.y is not None or epilogue.raw is not None
        if relu is not None and (kept or pool is None or pool.kind == "average"):
            epilogue.bits = stage.bits = empty((H, W, mask_words(K)), np.uint32)
        if relu in wanted:
            assert relu is not None
            assert result is not None
            features[relu] = result
        if pool is not None:
            h, w = pool.output_size(H, W)
            result = empty((h, w, K), x.dtype)
            stage.pool_bits = empty((h, w, 3, mask_words(K)), np.uint32) if pool.kind == "max" else None
            epilogue = pooled_epilogue(epilogue, result, stage.pool_bits, pool.kind)
            if pool.name in wanted:
                features[pool.name] = result
        assert result is not None
        stage.output, stage.dtype = result.shape, x.dtype
        if relu is None and layer.name in wanted:
            features[layer.name] = result
        source, w = Source.of(x, layer.padding), self.device.xp.ascontiguousarray(layer.w)
        method = self.choose(layer.name, epilogue, w, source, 1, adjoint=False)
        convolver.convolve(method, source, w, epilogue, 1, adjoint=False)
        return result

    def _stage_backward(
        self, convolver: Convolver, stage: Stage, below: Stage | None, dx: Array, gradients: Gradients
    ) -> Array:
        # `dx` is the gradient at the stage's output. Where the stage ends in a convolution or a rectifier, the gradient
        # of a tap there is already added, and the rectifier's mask applied.
        layer = stage.convolution
        if layer is None:
            dx = self.device.xp.ascontiguousarray(stage.layers[0].backward(dx, stage.cache))
            if below is None:
                return dx
            return apply_epilogue(convolver, dx, backward_epilogue(self.device, below, gradients))
        source = Source.of(dx)
        if stage.pool is not None:
            codes = stage.pool_bits if stage.pool_bits is not None else stage.bits
            assert codes is not None
            source = Source.pooled(dx, codes, stage.shape, stage.pool.kind)
            inside = backward_epilogue(self.device, stage, gradients, under_the_pool=True)
            if inside.relu_gradient is not None or inside.conv_gradient is not None:
                source = Source.of(apply_epilogue(convolver, source, inside))
        H, W, _ = stage.shape
        C = layer.w.shape[2]
        # The gradient of a tap is computed before the result is allocated, because it holds its feature meanwhile.
        epilogue = Epilogue() if below is None else backward_epilogue(self.device, below, gradients)
        epilogue.H, epilogue.W, epilogue.K = H, W, C
        w, zero = self.device.xp.ascontiguousarray(layer.w), layer.padding == "zero"
        method = self.choose(layer.name, epilogue, w, source, 1, adjoint=True) if zero else ""
        # The result is written over a gradient computed for this sweep alone: each value is read by the thread that
        # replaces it.
        in_place = gradients.writable and epilogue.relu_gradient is not None and method != "first"
        epilogue.y = out = epilogue.relu_gradient if in_place else self.device.empty((H, W, C), dx.dtype)
        assert out is not None
        if zero:
            convolver.convolve(method, source, w, epilogue, 1, adjoint=True)
        else:
            # The adjoint of the convolution of the padded map, then the adjoint of padding it.
            dxpad = self.device.empty((H + 2, W + 2, C), dx.dtype)
            ring = Epilogue(y=dxpad, H=H + 2, W=W + 2, K=C)
            method = self.choose(layer.name, ring, w, source, 2, adjoint=True)
            convolver.convolve(method, source, w, ring, 2, adjoint=True)
            convolver.fold(dxpad, layer.padding, epilogue)
        return out
