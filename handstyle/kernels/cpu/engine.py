"""The engine for CPUs: it prepares an objective, forecasts its memory and time, and reports how it was computed."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import LOWERED, MIN_CHANNELS, Tile, choose_kernel
from handstyle.kernels.cpu import losses
from handstyle.kernels.cpu.forecast import forecast_evaluation
from handstyle.kernels.cpu.passes import CpuPasses, PartGradients, gradient_of
from handstyle.kernels.gradients import GivenGradients, scaled_terms
from handstyle.kernels.stages import describe_methods
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.sequence import Cache, Features, Layer, check_gradients
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Evaluate, Forecast, Shape, taps_of


class CpuEngine(CpuPasses):
    """The engine for NumPy arrays, which runs a network in fused stages.

    Parameters
    ----------
    name : str
        The engine's name in reports.
    choose : callable
        ``choose(H, W, C, K, adjoint)`` returns the tile size of a convolution, or `LOWERED`.
    team : Team
        The threads. Each matrix product runs in the thread that calls it.

    Attributes
    ----------
    chosen : dict of str to str
        The method of each convolution of the last evaluation, by name and direction, such as ``conv1_2 forward``.

    Notes
    -----
    Memory is reused from one evaluation to the next. A returned feature stays valid while the caller has a reference to
    it. For the backward pass no features are kept, only one bit for each value: whether its gradient passes.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_2")).with_kernels(auto_engine())
    >>> features, caches = network.forward(np.zeros((32, 32, 3), np.float32), ["relu1_2"])
    >>> network.backward(features, caches).shape
    (32, 32, 3)
    """

    def describe(self) -> str:
        """Return in words the method of each convolution of the last evaluation, forward and adjoint.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_2")).with_kernels(im2col_engine())
        >>> features, _ = network.forward(np.zeros((32, 32, 3), np.float32), ["relu1_2"])
        >>> network.engine.describe()
        'im2col: conv1_1 forward, conv1_2 forward'
        """
        return "; ".join(describe_methods(self.chosen))

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network`; see `handstyle.optimize.objective.Engine`.

        Examples
        --------
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
        >>> evaluate = auto_engine().prepare(network, terms, (8, 8, 3))
        >>> values, dp = evaluate(np.full((8, 8, 3), 128.0, np.float32))
        >>> values.shape, dp.shape  # a value of each term, and the gradient of their sum
        ((1,), (8, 8, 3))
        """
        return CpuEvaluation(self, network, terms, shape)

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory and the time of an evaluation; see `handstyle.kernels.cpu.forecast`.

        Examples
        --------
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((512, 512, 16), np.float32), scale=1.0)]
        >>> forecast = auto_engine().forecast(network, terms, (512, 512, 3))
        >>> forecast.bytes > 2 * 4 * 512 * 512 * 16  # the target and the feature map, at least
        True
        """
        return forecast_evaluation(self, network, terms, shape, gradient)

    def forward(self, layers: tuple[Layer, ...], x: Array, taps: Iterable[str]) -> tuple[Features, Cache]:
        """Return the features at the layers `taps` and the stages for `backward`; see `sequence_forward`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> layers = build_network(random_weights(deepest="conv2_1")).layers
        >>> features, stages = auto_engine().forward(layers, np.zeros((32, 48, 3), np.float32), ["relu2_1"])
        >>> features["relu2_1"].shape, [stage.name for stage in stages]
        ((16, 24, 32), ['relu1_1', 'pool1', 'relu2_1'])
        """
        features: Features = {}
        return features, self.run_forward(layers, x, taps, features)

    def backward(self, layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Cache) -> Array:
        """Return the gradient at the input; see `sequence_backward`.

        Examples
        --------
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> engine, layers = auto_engine(), build_network(random_weights(deepest="conv1_2")).layers
        >>> x = np.random.default_rng(0).normal(size=(16, 16, 3)).astype(np.float32)
        >>> features, stages = engine.forward(layers, x, ["relu1_1", "relu1_2"])
        >>> engine.backward(layers, {"relu1_2": features["relu1_2"]}, stages).shape  # a tap may have no gradient
        (16, 16, 3)
        """
        check_gradients([layer.name for stage in caches for layer in stage.layers], dfeatures)
        return self.run_backward(caches, GivenGradients(dfeatures))


class CpuEvaluation:
    """An objective prepared by `CpuEngine`; see `handstyle.optimize.objective.Evaluate`.

    Examples
    --------
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
    >>> values, dp = CpuEvaluation(auto_engine(), network, terms, (8, 8, 3))(np.zeros((8, 8, 3), np.float32))
    >>> values.shape, dp.shape
    ((1,), (8, 8, 3))
    """

    def __init__(self, engine: CpuEngine, network: Network, terms: Sequence[Term], shape: Shape) -> None:
        self.engine, self.network, self.shape = engine, network, shape
        self.terms, self.taps = scaled_terms(terms), taps_of(terms)

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient of their sum."""
        values, dp = np.zeros(len(self.terms)), None
        gradients = PartGradients(gradient_of, self.terms, {}, {}, values)
        if self.taps:
            x = losses.preprocess(p, self.network.convention)
            stages = self.engine.run_forward(self.network.layers, x, self.taps, gradients.features, gradients.recompute)
            dx = self.engine.run_backward(stages, gradients)
            dp = losses.preprocess_adjoint(dx, self.network.convention)
        return values, gradients.sum_at(PICTURE, p, dp)

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a picture given as a flat float64 vector.

        Examples
        --------
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights(deepest="conv1_1"))
        >>> terms = [ContentTerm("relu1_1", np.zeros((8, 8, 16), np.float32), scale=1.0)]
        >>> values, gradient = CpuEvaluation(auto_engine(), network, terms, (8, 8, 3)).host(np.zeros(8 * 8 * 3))
        >>> gradient.shape, gradient.dtype  # for SciPy; the network computes in float32
        ((192,), dtype('float64'))
        """
        values, dp = self(v.reshape(self.shape).astype(self.network.dtype))
        gradient = self.engine.arena.take((dp.size,), np.float64)
        gradient[...] = dp.ravel()
        return values, gradient


def _lowered(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    return LOWERED


def _four_by_four(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    return LOWERED if min(C, K) < MIN_CHANNELS else Tile(4, 4)


def auto_engine() -> CpuEngine:
    """Return the engine that chooses the method of each convolution by `choose_kernel`.

    Examples
    --------
    >>> auto_engine().name
    'auto'
    """
    return CpuEngine("auto", choose_kernel)


def winograd_engine() -> CpuEngine:
    """Return the engine that uses Winograd's F(4×4, 3×3) for every convolution of at least 8 channels.

    Examples
    --------
    >>> winograd_engine().name
    'winograd'
    """
    return CpuEngine("winograd", _four_by_four)


def im2col_engine() -> CpuEngine:
    """Return the engine that lowers every convolution to one matrix product.

    Examples
    --------
    >>> im2col_engine().name
    'im2col'
    """
    return CpuEngine("im2col", _lowered)
