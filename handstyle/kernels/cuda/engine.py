"""The engine for GPUs: it prepares an objective, forecasts its memory, and reports how it was computed.

An objective is evaluated in memory that is planned beforehand, and launched as one CUDA graph.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from handstyle.foundations.backend import Array, to_numpy
from handstyle.kernels.cuda import losses
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.forecast import evaluation_bytes, evaluation_requests, measuring_bytes, planned_forward
from handstyle.kernels.cuda.passes import LESS_SCRATCH, CudaPasses
from handstyle.kernels.cuda.transfer import Transfer
from handstyle.kernels.gradients import GivenGradients, TermGradients, scaled_terms
from handstyle.kernels.stages import describe_methods
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.sequence import Cache, Features, Layer, check_gradients
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Evaluate, Forecast, Shape, taps_of


class CudaEngine(CudaPasses):
    """The engine that runs a network on a GPU, or on another `Device`.

    Parameters
    ----------
    device : Device, optional
        The device; by default the GPU that CuPy uses.
    method : str, optional
        One of `METHODS`, for every convolution to which it can be applied; by default `choose_method` chooses for each.
    workspace : int
        Bytes of temporary memory of a convolution at most.

    Attributes
    ----------
    scratch : int
        Bytes of temporary memory of a convolution in the evaluation that was prepared or forecast last; less than
        `workspace` if memory is short.
    chosen : dict of str to str
        The method of each convolution of the last evaluation, by name and direction, such as ``conv1_1 adjoint``.

    Raises
    ------
    HandstyleError
        If no device is given and there is no GPU, or the method is unknown.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, engine = build_network(random_weights(deepest="conv1_2")), CudaEngine(DryDevice())
    >>> terms = [ContentTerm("relu1_2", np.zeros((64, 64, 16), np.float32), scale=1.0)]
    >>> forecast = engine.forecast(network, terms, (64, 64, 3))  # a dry run
    >>> engine.chosen["conv1_1 forward"], engine.chosen["conv1_2 forward"]
    ('first', 'mec')
    """

    def describe(self) -> str:
        """Return in words how products were computed, and the method of each convolution of the last evaluation.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, engine = build_network(random_weights(deepest="conv1_2")).layers, CudaEngine(DryDevice())
        >>> _ = engine.forward(layers, np.zeros((64, 64, 3), np.float32), ["relu1_2"])
        >>> engine.describe()
        'no products; first: conv1_1 forward; mec: conv1_2 forward'
        """
        note = [] if self.scratch >= self.workspace else [f"{self.scratch >> 20} MiB of scratch, for memory is short"]
        return "; ".join([self.device.products, *note, *describe_methods(self.chosen)])

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network`; see `handstyle.optimize.objective.Engine`.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, engine = build_network(random_weights(deepest="conv1_1")), CudaEngine(DryDevice())
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
        >>> evaluate = engine.prepare(network, terms, (8, 8, 3))
        >>> values, dp = evaluate(np.zeros((8, 8, 3), np.float32))  # on a dry device the numbers mean nothing
        >>> values.shape, dp.shape
        ((1,), (8, 8, 3))
        """
        with network.backend.separate_pool():  # scales are computed in memory of their own
            terms = scaled_terms(terms)
        network.backend.free_unused()  # frees the memory in which the targets were measured
        engine, _ = self._fitting_engine(network, terms, shape)
        return CudaEvaluation(engine, network, terms, shape)

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory of an evaluation, found by a dry run; the time is not estimated.

        If the evaluation would not fit the GPU's memory, it is that with the least temporary memory. See
        `handstyle.optimize.objective.Engine`.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, engine = build_network(random_weights(deepest="conv1_1")), CudaEngine(DryDevice())
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
        >>> forecast = engine.forecast(network, terms, (8, 8, 3))
        >>> forecast.bytes > 2 * 8 * 8 * 16 * 4, forecast.seconds  # the features and the target, at least
        (True, nan)
        """
        objective = network, terms, shape
        needed = self._fitting_engine(*objective)[1] if gradient else measuring_bytes(self, *objective)
        return Forecast(needed, network.weight_bytes, math.nan)

    def _fitting_engine(self, network: Network, terms: Sequence[Term], shape: Shape) -> tuple["CudaEngine", int]:
        """Return an engine whose evaluation fits the GPU's memory if possible, and the bytes that it needs.

        It is this engine or, if that needs too much memory, a copy with the least temporary memory. The bytes are those
        of `handstyle.kernels.cuda.forecast.evaluation_bytes`.
        """
        self.scratch = self.workspace
        needed = evaluation_bytes(self, network, terms, shape)
        if self.workspace <= LESS_SCRATCH or needed <= self.device.free_memory():
            return self, needed
        self.scratch, smaller = LESS_SCRATCH, self.with_least_scratch()
        return smaller, evaluation_bytes(smaller, network, terms, shape)

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """Return the features at the layers `taps` and the stages for `backward`; see `sequence_forward`.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, engine = build_network(random_weights(deepest="conv1_2")).layers, CudaEngine(DryDevice())
        >>> features, stages = engine.forward(layers, np.zeros((8, 6, 3), np.float32), ["relu1_1", "relu1_2"])
        >>> {tap: f.shape for tap, f in features.items()}
        {'relu1_1': (8, 6, 16), 'relu1_2': (8, 6, 16)}
        """
        features, taps = Features(), tuple(taps)
        if len(taps) != 1:
            return features, self.run_forward(layers, x, taps, features)
        # One tap, as when a target is measured: a memory plan and little scratch take the least memory.
        smaller = self.with_least_scratch()
        with self.device.within(planned_forward(smaller, layers, x.shape, taps[0], x.dtype)[0]):
            return features, smaller.run_forward(layers, x, taps, features)

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """Return the gradient at the input from those at the layers that were tapped; see `sequence_backward`.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers, engine = build_network(random_weights(deepest="conv1_1")).layers, CudaEngine(DryDevice())
        >>> features, stages = engine.forward(layers, np.zeros((8, 6, 3), np.float32), ["relu1_1"])
        >>> engine.backward(layers, {"relu1_1": features["relu1_1"]}, stages).shape
        (8, 6, 3)
        """
        check_gradients([layer.name for stage in caches for layer in stage.layers], dfeatures)
        return self.run_backward(caches, GivenGradients(dfeatures))


class CudaEvaluation:
    """An objective prepared by `CudaEngine`; see `handstyle.optimize.objective.Evaluate`.

    Parameters
    ----------
    engine : CudaEngine
        The engine.
    network, terms, shape
        See `Engine.prepare`.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
    >>> evaluation = CudaEvaluation(CudaEngine(DryDevice()), network, terms, (8, 8, 3))
    >>> values, dp = evaluation(np.zeros((8, 8, 3), np.float32))  # on a dry device the numbers mean nothing
    >>> values.shape, dp.shape
    ((1,), (8, 8, 3))
    """

    def __init__(self, engine: CudaEngine, network: Network, terms: Sequence[Term], shape: Shape) -> None:
        self.engine, self.network, self.terms, self.shape = engine, network, tuple(terms), shape
        self.taps = taps_of(terms)
        self._transfer: Transfer | None = None
        self.recording = engine.device.recording(partial(evaluation_requests, engine, network, terms, shape))

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient, by launching the CUDA graph if there is one."""
        return self.recording(self._sweep, p) if self.recording else self._sweep(p)

    def _sweep(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient, by launching one kernel after another."""
        device, dp = self.engine.device, None
        values = device.xp.empty((len(self.terms),), np.float64)
        gradients = TermGradients(partial(losses.gradient_of, device), self.terms, {}, {}, values)
        if self.taps:
            x = losses.preprocess(device.xp, p, self.network.convention)
            dx = self.engine.sweep(self.network.layers, x, self.taps, gradients)
            dp = losses.preprocess_adjoint(device.xp, dx, self.network.convention)
        return values, gradients.sum_at(PICTURE, p, dp)

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a picture given as a flat float64 vector, all on the host.

        If the device has a queue for copies, the vectors are copied in pieces through pinned memory.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, engine = build_network(random_weights(deepest="conv1_1")), CudaEngine(DryDevice())
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
        >>> evaluation = CudaEvaluation(engine, network, terms, (8, 8, 3))
        >>> values, dv = evaluation.host(np.zeros(8 * 8 * 3))  # on a dry device the numbers mean nothing
        >>> values.shape, dv.shape, dv.dtype.name
        ((1,), (192,), 'float64')
        """
        dtype = self.network.dtype
        if self._transfer is None and (link := self.engine.device.link()):
            self._transfer = Transfer(link, self.engine.device.xp, v.size, dtype)
        if self._transfer is None:
            values, dp = self(self.network.backend.asarray(v.reshape(self.shape), dtype=dtype))
            return to_numpy(values), to_numpy(dp).astype(np.float64).ravel()
        values, dp = self(self._transfer.upload(v).reshape(self.shape))
        download = self._transfer.download(dp.ravel())  # this copy runs while the host waits for the values
        return to_numpy(values), download()


def tf32_engine() -> CudaEngine:
    """Return the engine that computes products on tensor cores, with factors of ten bits (TF32).

    Examples
    --------
    .. code-block:: python

        network = load_network("vgg19", backend="cupy").with_kernels(tf32_engine())
    """
    return CudaEngine(CupyDevice("tf32"))
