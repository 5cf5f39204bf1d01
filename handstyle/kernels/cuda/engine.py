"""The engine for GPUs: it prepares an objective, forecasts its memory, and reports how it was computed."""

import math
from collections.abc import Iterable, Mapping, Sequence

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.evaluation import CudaEvaluation
from handstyle.kernels.cuda.forecast import evaluation_bytes, measuring_bytes, planned_forward
from handstyle.kernels.cuda.passes import LESS_SCRATCH, CudaPasses
from handstyle.kernels.gradients import GivenGradients, scaled_terms
from handstyle.kernels.stages import describe_methods
from handstyle.losses.terms import Term
from handstyle.network.sequence import Cache, Features, Layer, check_gradients
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Evaluate, Forecast, Shape


class CudaEngine(CudaPasses):
    """The engine that runs a network on a GPU, or on another `Device`.

    Parameters
    ----------
    device : Device, optional
        The device; by default the GPU that CuPy uses.
    method : str, optional
        One of `METHODS`, for every convolution to which it can be applied; by default `choose` chooses for each.
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
    """

    def describe(self) -> str:
        """Return in words how products were computed, and the method of each convolution of the last evaluation."""
        note = [] if self.scratch >= self.workspace else [f"{self.scratch >> 20} MiB of scratch, for memory is short"]
        return "; ".join([self.device.products, *note, *describe_methods(self.chosen)])

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network`; see `handstyle.optimize.objective.Engine`."""
        with network.backend.separate_pool():  # scales are computed in memory of their own
            terms = scaled_terms(terms)
        network.backend.free_unused()  # frees the memory in which the targets were measured
        engine, _ = self.fitting_engine(network, terms, shape)
        return CudaEvaluation(engine, network, terms, shape)

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory of an evaluation by the engine that `fitting_engine` returns; time is not estimated."""
        if not gradient:
            needed = measuring_bytes(self, network, terms, shape)
            return Forecast(needed, network.weight_bytes, math.nan)
        _, needed = self.fitting_engine(network, terms, shape)
        return Forecast(needed, network.weight_bytes, math.nan)

    def fitting_engine(self, network: Network, terms: Sequence[Term], shape: Shape) -> tuple["CudaEngine", int]:
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
        """Return the features at the layers `taps` and the stages for `backward`; see `sequence_forward`."""
        features: Features = {}
        taps = tuple(taps)
        if len(taps) != 1 or not self.device.plans_memory:
            return features, self.run_forward(layers, x, taps, features)
        # One tap, as when a target is measured: a memory plan and little scratch take the least memory.
        smaller = self.with_least_scratch()
        with self.device.within(planned_forward(smaller, layers, x.shape, taps[0], x.dtype)[0]):
            return features, smaller.run_forward(layers, x, taps, features)

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """Return the gradient at the input; see `sequence_backward`."""
        check_gradients([layer.name for stage in caches for layer in stage.layers], dfeatures)
        return self.run_backward(caches, GivenGradients(dfeatures))


def tf32_engine() -> CudaEngine:
    """Return the engine that computes products on tensor cores, with factors of ten bits (TF32)."""
    return CudaEngine(CupyDevice("tf32"))
