"""The forward and the backward pass of a network on a GPU, by the CUDA kernels in ``src/``.

Layers are grouped into stages, a convolution with the rectifier and the pool that follow it. Each stage ends in one
`Epilogue`, which applies the bias, the rectifier and the pool while a value is in registers. In the backward pass, the
epilogue of the next stage's convolution adds the gradients of the terms at this stage and applies its rectifier's mask;
the adjoint of a pool is applied while the convolution before it reads its input. Because the weights are constant, only
one bit for each rectified value, or three bits for each pooled one, is kept for the backward pass.
"""

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import replace
from functools import partial
from typing import ClassVar, Self

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.choose import choose_method
from handstyle.kernels.cuda.convolution import METHODS, SCRATCH, Convolver, tensor_fits
from handstyle.kernels.cuda.device import CupyDevice, Device
from handstyle.kernels.cuda.epilogue import apply_epilogue, backward_epilogue
from handstyle.kernels.cuda.structs import POOL_CODES, Epilogue, Source, mask_words
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
        The method of each convolution that ran last, by name and direction, such as ``conv1_1 adjoint``.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = build_network(random_weights(deepest="conv2_1")).layers
    >>> passes = CudaPasses(DryDevice(), "winograd4")
    >>> stages = passes.run_forward(layers, np.zeros((8, 8, 3), np.float32), ["pool1"], {})
    >>> passes.chosen
    {'conv1_1 forward': 'first', 'conv1_2 forward': 'winograd4'}
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

    def _choose(self, name: str, epilogue: Epilogue, w: Array, source: Source, offset: int, adjoint: bool) -> str:
        """Return the method for the convolution `name` with `w` (3, 3, C, K) or its adjoint, and record it in `chosen`.

        With three channels of input it is ``first``; otherwise `self.method` if it can be applied; otherwise the one
        that is fastest by the counts of ``choose.py`` for this shape and precision.
        """
        C, K = (w.shape[3], w.shape[2]) if adjoint else w.shape[2:]
        plain = offset == 1 and not source.unpool
        tensor = self.tf32 and tensor_fits(C, K, w.dtype)
        applies = {"first": w.shape[2] == 3, "residue": plain, "tensor": tensor}
        method = "first" if applies["first"] else self.method
        if method is None or not applies.get(method, True):
            shape = epilogue.H, epilogue.W, C, K
            method = choose_method(shape, self.device.precision, self.workspace, plain, tensor=tensor)
        self.chosen[f"{name} {'adjoint' if adjoint else 'forward'}"] = method
        return method

    def _convolver(self, x: Array) -> Convolver:
        """Return a `Convolver` for the dtype of `x`."""
        return Convolver(self.device, x.dtype, self.workspace)

    def with_least_scratch(self) -> Self:
        """Return a copy whose convolutions take at most `LESS_SCRATCH` bytes of temporary memory.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> CudaPasses(DryDevice(), workspace=1 << 26).with_least_scratch().workspace >> 20  # MiB
        16
        """
        return self.with_scratch(min(LESS_SCRATCH, self.workspace))

    def with_scratch(self, workspace: int, device: Device | None = None) -> Self:
        """Return a copy with `workspace` bytes of temporary memory for a convolution, and on another device if given.

        What the copy chooses is entered in `chosen` of the original too.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> passes = CudaPasses(DryDevice())
        >>> copied = passes.with_scratch(1 << 20)
        >>> copied.workspace, copied.device is passes.device, copied.chosen is passes.chosen
        (1048576, True, True)
        """
        made = copy(self)
        made.workspace, made.device = workspace, device or self.device
        return made

    def sweep(  # (H, W, 3) -> (H, W, 3)
        self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str], gradients: TermGradients
    ) -> Array:
        """Return the gradient at the input of the layers, by a forward and a backward pass through them.

        Parameters
        ----------
        layers, x, taps
            See `sequence_forward`.
        gradients : TermGradients
            The gradients of the terms. The forward pass enters the features that they need; the backward pass has each
            computed when it reaches its layer, and the terms' values with it.

        Returns
        -------
        (H, W, 3) array

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, p = build_network(random_weights(deepest="conv1_1")).layers, np.zeros((8, 8, 3), np.float32)
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32))]
        >>> half_square = lambda term, f, overwrite: (0.5 * np.vdot(f, f), f)
        >>> gradients = TermGradients(half_square, terms, features={}, recompute={}, values=[None])
        >>> CudaPasses(DryDevice()).sweep(layers, p, ["relu1_1"], gradients).shape
        (8, 8, 3)
        """
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

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, features = build_network(random_weights(deepest="conv2_1")).layers, {}
        >>> x = np.zeros((8, 8, 3), np.float32)
        >>> stages = CudaPasses(DryDevice()).run_forward(layers, x, ["relu1_1", "pool1"], features)
        >>> [(stage.name, stage.output) for stage in stages]
        [('relu1_1', (8, 8, 16)), ('pool1', (4, 4, 16))]
        >>> {tap: f.shape for tap, f in features.items()}
        {'relu1_1': (8, 8, 16), 'pool1': (4, 4, 16)}
        """
        wanted = check_taps(layers, taps)
        run = layers[: deepest(layers, wanted)]
        self._check(run, x)
        stages = split_stages(run, set(), x.shape, odd_sides=True)
        for stage in stages:
            before, x = x, self._stage_forward(stage, x, wanted, features)
            if recompute is not None and self._is_cheap(stage, wanted) and stage is not stages[-1]:
                del features[stage.name]
                recompute[stage.name] = partial(self._recompute_first, stage, before)
            del before  # or the largest map of all would stay allocated during the next stage
        return stages

    def run_backward(self, stages: list[Stage], gradients: Gradients) -> Array:
        """Return the gradient at the input, by a backward pass through the stages that `run_forward` returned.

        `gradients` are those of the terms at the layers; the last stage's output must have one.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.kernels.gradients import GivenGradients
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, features = build_network(random_weights(deepest="conv1_1")).layers, {}
        >>> passes = CudaPasses(DryDevice())
        >>> stages = passes.run_forward(layers, np.zeros((8, 8, 3), np.float32), ["relu1_1"], features)
        >>> passes.run_backward(stages, GivenGradients({"relu1_1": features["relu1_1"]})).shape
        (8, 8, 3)
        """
        epilogue = backward_epilogue(stages[-1], gradients)
        dx, epilogue.relu_gradient = epilogue.relu_gradient, None
        assert dx is not None
        dx = apply_epilogue(self._convolver(dx), dx, epilogue)
        del epilogue  # or the gradient at the last layer would stay allocated
        for i in reversed(range(len(stages))):
            dx = self._stage_backward(stages[i], stages[i - 1] if i else None, dx, gradients)
        return dx

    def _is_cheap(self, stage: Stage, wanted: set[str]) -> bool:
        layer, tapped = stage.convolution, wanted.intersection(layer.name for layer in stage.layers)
        return layer is not None and layer.w.shape[2] == 3 and stage.pool is None and tapped == {stage.relu}

    def _recompute_first(self, stage: Stage, x: Array) -> Array:  # (H, W, 3) -> (H, W, K)
        y = self.device.empty(stage.shape, x.dtype)
        H, W, K = stage.shape
        self._convolve(stage, x, Epilogue(y=y, H=H, W=W, K=K, rectify=1))
        return y

    def _convolve(self, stage: Stage, x: Array, epilogue: Epilogue) -> None:
        layer, contiguous = stage.convolution, self.device.xp.ascontiguousarray
        assert layer is not None
        epilogue.bias = layer.b
        source, w = Source.of(contiguous(x), layer.padding), contiguous(layer.w)
        method = self._choose(layer.name, epilogue, w, source, 1, adjoint=False)
        self._convolver(x).convolve(method, source, w, epilogue, 1, adjoint=False)

    def _check(self, layers: tuple[Layer, ...], x: Array) -> None:
        if not isinstance(x, self.device.xp.ndarray):
            raise HandstyleError(f"kernels={self.name!r} run on {self.device.xp.__name__} arrays; use backend='cupy'")
        check_dtypes(self.name, layers, x)
        for layer in layers:
            if isinstance(layer, Pool) and layer.kind not in self.poolings:
                raise HandstyleError(f"pooling={layer.kind!r}: not with kernels={self.name!r}; use kernels='reference'")

    def _stage_forward(self, stage: Stage, x: Array, wanted: set[str], features: Features) -> Array:
        layer, relu, pool, empty = stage.convolution, stage.relu, stage.pool, self.device.empty
        if layer is None:
            x, stage.cache = stage.layers[0].forward(x)
            stage.output, stage.dtype = x.shape, x.dtype
            if stage.name in wanted:
                features[stage.name] = x
            return x
        H, W, K = stage.shape
        epilogue = Epilogue(H=H, W=W, K=K, rectify=int(relu is not None))
        if relu is None or pool is None or relu in wanted:
            epilogue.y = empty(stage.shape, x.dtype)
        if relu is not None and layer.name in wanted:
            epilogue.raw = features[layer.name] = empty(stage.shape, x.dtype)
        kept = epilogue.y is not None or epilogue.raw is not None
        if relu is not None and (kept or pool is None or pool.kind == "average"):
            epilogue.bits = stage.bits = empty((H, W, mask_words(K)), np.uint32)
        result = epilogue.y
        if pool is not None:
            h, w = pool.output_size(H, W)
            result = empty((h, w, K), x.dtype)
            stage.pool_bits = empty((h, w, 3, mask_words(K)), np.uint32) if pool.kind == "max" else None
            epilogue = replace(epilogue, pooled=result, planes=stage.pool_bits, pool=POOL_CODES[pool.kind], ph=h, pw=w)
        assert result is not None
        stage.output, stage.dtype = result.shape, x.dtype
        outputs = {relu or layer.name: epilogue.y, stage.name: result}
        features.update({name: y for name, y in outputs.items() if y is not None and name in wanted})
        self._convolve(stage, x, epilogue)
        return result

    def _stage_backward(self, stage: Stage, below: Stage | None, dx: Array, gradients: Gradients) -> Array:
        # `dx` is the gradient at the stage's output. Where the stage ends in a convolution or a rectifier, the gradient
        # of a tap there is already added, and the rectifier's mask applied.
        layer, convolver = stage.convolution, self._convolver(dx)
        if layer is None:
            dx = self.device.xp.ascontiguousarray(stage.layers[0].backward(dx, stage.cache))
            return dx if below is None else apply_epilogue(convolver, dx, backward_epilogue(below, gradients))
        source = Source.of(dx)
        if stage.pool is not None:
            codes = stage.pool_bits if stage.pool_bits is not None else stage.bits
            assert codes is not None
            source = Source.pooled(dx, codes, stage.shape, stage.pool.kind)
            inside = backward_epilogue(stage, gradients, under_the_pool=True)
            if inside.relu_gradient is not None or inside.conv_gradient is not None:
                source = Source.of(apply_epilogue(convolver, source, inside))
        H, W, _ = stage.shape
        C = layer.w.shape[2]
        # The gradient of a tap is computed before the result is allocated, because it holds its feature meanwhile.
        epilogue = Epilogue() if below is None else backward_epilogue(below, gradients)
        epilogue.H, epilogue.W, epilogue.K = H, W, C
        target, offset, w = epilogue, 1, self.device.xp.ascontiguousarray(layer.w)
        if layer.padding != "zero":  # the adjoint of the convolution of the padded map, then the adjoint of padding it
            dxpad, offset = self.device.empty((H + 2, W + 2, C), dx.dtype), 2
            target = Epilogue(y=dxpad, H=H + 2, W=W + 2, K=C)
        method = self._choose(layer.name, target, w, source, offset, adjoint=True)
        # The result is written over a gradient computed for this sweep alone: each value is read by the thread that
        # replaces it.
        over = epilogue.relu_gradient if gradients.writable and method != "first" else None
        epilogue.y = out = self.device.empty((H, W, C), dx.dtype) if over is None else over
        convolver.convolve(method, source, w, target, offset, adjoint=True)
        if target is not epilogue:
            convolver.fold(dxpad, layer.padding, epilogue)
        return out
