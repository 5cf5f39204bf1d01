"""The objective: the weighted sum of the terms, and its gradient at the picture.

`evaluate` is the whole method in one function: forward through the network, the three steps of each loss (measure a
statistic, compare it with the target, spread the gradient over the features), and backward. An `Engine` may compute the
same faster. `Objective` is the function that an optimizer calls: it converts between SciPy's float64 vector on the host
and the picture in the network's dtype on its device.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.losses.terms import PICTURE, Term
from handstyle.network.sequence import POOLS, Cache, Features, LayerEngine, deepest, sequence_backward, sequence_forward
from handstyle.network.vgg import Network, summary

Shape = tuple[int, int, int]


def evaluate(network: Network, terms: Sequence[Term], p: Array) -> tuple[Array, Array]:
    # (H, W, 3) -> (n,), (H, W, 3)
    """Compute the values of an objective's terms at a picture, and the gradient of their sum.

    Parameters
    ----------
    network : Network
        The network whose features the terms measure.
    terms : sequence of Term
        The n losses.
    p : (H, W, 3) array
        The picture: RGB, 0 to 255, not clipped; on the network's device, in its dtype.

    Returns
    -------
    values : (n,) array of float64
        The weighted value of each term, on the device.
    dp : (H, W, 3) array
        The gradient of their sum, in the dtype of `p`.

    Notes
    -----
    Gatys, Ecker and Bethge (2016, eq. 7), with any number and kind of terms.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> values, dp = evaluate(build_network(random_weights()), [VariationTerm()], np.ones((16, 16, 3)))
    >>> values, dp.shape
    (array([0.]), (16, 16, 3))
    """
    features, caches = forward_to(network, taps_of(terms), p)
    features[PICTURE] = p
    values, dfeatures = [], dict[str, Array]()
    for term in terms:
        f, weight = features[term.tap], float(term.weight)  # a NumPy scalar would promote float32 to float64
        value, ds = term.loss(term.measure(f))
        df = weight * term.spread(ds, f)
        values.append(weight * value)
        dfeatures[term.tap] = df if term.tap not in dfeatures else dfeatures[term.tap] + df  # book: objective-sum
    dp = dfeatures.pop(PICTURE, 0 * p)
    if dfeatures:
        dp = dp + preprocess_backward(network.backward(dfeatures, caches), network.convention)
    return namespace(p).stack(values), dp


def forward_to(network: Network, taps: Iterable[str], p: Array) -> tuple[Features, Cache]:
    """Return the features of a picture at the layers `taps`, and the caches for the network's `backward`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> features, caches = forward_to(build_network(random_weights()), ["relu1_1"], np.zeros((16, 24, 3)))
    >>> features["relu1_1"].shape
    (16, 24, 16)
    """
    taps = set(taps)
    return network.forward(preprocess_forward(p, network.convention), taps) if taps else ({}, [])


def taps_of(terms: Iterable[Term]) -> tuple[str, ...]:
    """Return the layers whose features the terms measure, each once, in the order of the terms.

    Examples
    --------
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> taps_of([VariationTerm(), ContentTerm("relu4_2", np.ones((2, 2, 4)))])
    ('relu4_2',)
    """
    return tuple(tap for tap in dict.fromkeys(term.tap for term in terms) if tap != PICTURE)


class Evaluate(Protocol):
    """An objective prepared by an engine: a function from a picture to the terms' values and the gradient."""

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient, on the device, possibly before the device has computed them."""

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a picture given as a flat float64 vector, both on the host."""


@dataclass(frozen=True)
class Forecast:
    """The memory and the time that an evaluation will take.

    Parameters
    ----------
    bytes : int
        Peak memory on the engine's device without the weights: targets, features, gradients and scratch.
    weights : int
        Bytes of the weights.
    seconds : float
        Time of one evaluation; NaN if there is no estimate.
    operations, moved : float
        Multiplications and additions of one evaluation, and bytes that it moves to and from memory; NaN if they are
        not counted.

    Examples
    --------
    >>> Forecast(bytes=2 << 20, weights=1 << 20).seconds
    nan
    """

    bytes: int
    weights: int
    seconds: float = math.nan
    operations: float = math.nan
    moved: float = math.nan


class Engine(LayerEngine, Protocol):
    """A program that runs a network's layers and evaluates objectives on it.

    Attributes
    ----------
    poolings : collection of str
        The kinds of pooling that it can run.
    tf32 : bool
        Whether it rounds the factors of float32 products to ten bits.
    """

    @property
    def poolings(self) -> Collection[str]: ...  # noqa: D102
    @property
    def tf32(self) -> bool: ...  # noqa: D102

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network` at pictures of `shape`."""

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory and the time that an evaluation will take.

        With ``gradient=False`` they are those of measuring the terms' targets: forward only. Of the weights and of the
        targets only the shapes are used.
        """

    def describe(self) -> str:
        """Return in words which methods the last evaluation used, for the report."""


@dataclass(frozen=True)
class ReferenceEvaluation:
    """The function `evaluate` with a fixed network, terms and shape of the picture.

    Examples
    --------
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> evaluation = ReferenceEvaluation(build_network(random_weights()), [VariationTerm()], (1, 3, 3))
    >>> values, dp = evaluation(np.array([[[0.0] * 3, [3.0] * 3, [5.0] * 3]]))
    >>> values.tolist(), dp[0, :, 0].round(2).tolist()  # (3² + 2²) / 2; its derivatives in the first channel
    ([6.5], [-1.0, 0.33, 0.67])
    """

    network: Network
    terms: Sequence[Term]
    shape: Shape

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Return the terms' values and the gradient."""
        return evaluate(self.network, self.terms, p)

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Return the terms' values and the gradient at a picture given as a flat float64 vector, both on the host.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network = build_network(random_weights())  # in float32
        >>> values, gradient = ReferenceEvaluation(network, [VariationTerm()], (1, 3, 3)).host(np.zeros(9))
        >>> values, gradient.dtype, gradient.shape
        (array([0.]), dtype('float64'), (9,))
        """
        values, dp = self(self.network.backend.asarray(v.reshape(self.shape), dtype=self.network.dtype))
        return to_numpy(values), to_numpy(dp).astype(np.float64).ravel()


class ReferenceEngine:
    """The reference engine: every function as the book quotes it, without optimizations.

    Examples
    --------
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> evaluation = ReferenceEngine().prepare(network, [VariationTerm()], (1, 3, 3))
    >>> evaluation(np.zeros((1, 3, 3)))[0].tolist()  # a picture of one color does not vary
    [0.0]
    """

    name, poolings, tf32 = "reference", tuple(POOLS), False
    forward, backward = staticmethod(sequence_forward), staticmethod(sequence_backward)

    def prepare(self, network: Network, terms: Sequence[Term], shape: Shape) -> Evaluate:
        """Return a function that evaluates `terms` on `network` at pictures of `shape`.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> terms = [VariationTerm(weight=2.0)]
        >>> evaluation = ReferenceEngine().prepare(build_network(random_weights()), terms, (1, 2, 3))
        >>> evaluation(np.array([[[0.0] * 3, [3.0] * 3]]))[0]  # 2 · 3²
        array([18.])
        """
        return ReferenceEvaluation(network, terms, shape)

    def forecast(self, network: Network, terms: Sequence[Term], shape: Shape, *, gradient: bool = True) -> Forecast:
        """Return the memory of all features and caches up to the deepest layer used; time is not estimated.

        Examples
        --------
        >>> from handstyle.losses.content import ContentTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, terms = build_network(random_weights()), [ContentTerm("relu1_1", np.ones((8, 8, 16)))]
        >>> small, large = (ReferenceEngine().forecast(network, terms, (side, side, 3)) for side in (8, 16))
        >>> large.bytes / small.bytes, large.weights == small.weights
        (4.0, True)
        """
        item, run = network.dtype.itemsize, deepest(network.layers, taps_of(terms))
        values = sum(row.values for row in summary(network, *shape[:2])[:run])
        # A feature and its mask, as much again for the gradient, and four arrays of the picture's size.
        return Forecast((2 + 2 * gradient) * item * values + 4 * item * math.prod(shape), network.weight_bytes)

    def describe(self) -> str:
        """Return an empty string, since the reference always uses the same methods.

        Examples
        --------
        >>> ReferenceEngine().describe()
        ''
        """
        return ""


class NonFiniteError(HandstyleError):
    """Raised when a term of the objective, or the gradient, is NaN or infinite."""


def nothing(gradient: Array) -> Array:  # (n,) -> (0,)
    """Return no numbers: what `Evaluable.on_device` computes from the gradient unless it is told otherwise.

    Examples
    --------
    >>> nothing(np.array([1.0, 2.0]))
    array([], dtype=float64)
    """
    return gradient[:0]


class Evaluable(Protocol):
    """What an optimizer minimizes: a function of a flat vector, with its gradient.

    A class that is derived from this one needs `terms` and `__call__`.

    Attributes
    ----------
    terms : dict of str to float
        The weighted value of each term at the last evaluation.
    variables : str
        What the unknowns are if they are not pixels: a checkpoint of other unknowns is refused.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> Bowl().on_device(np.array([3.0]), extra=lambda gradient: gradient**2)
    (9.0, array([6.]), array([36.]))
    """

    terms: dict[str, float]
    variables: str = ""

    def __call__(self, v: Array) -> tuple[float, Array]:  # (n,) -> value, (n,)
        """Return value and gradient at a vector: of float64 on the host, unless `on_device` calls it."""

    def on_device(self, v: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        # (n,) -> value, (n,), extra
        """Return value and gradient at a vector on any device, where the gradient stays.

        Parameters
        ----------
        v : (n,) array
            Of any floating-point dtype.
        extra : callable, optional
            ``extra(gradient)`` returns an array of floats on the device, which is fetched together with the value, so
            that the host waits for the device once.

        Returns
        -------
        value : float
        gradient : (n,) array
            On the device, in the dtype of `v`.
        answer : array
            The result of `extra`, on the host.
        """
        value, gradient = self(v)
        gradient = gradient.astype(v.dtype, copy=False)
        return value, gradient, np.empty(0) if extra is nothing else to_numpy(extra(gradient))


class Objective(Evaluable):
    """The function that an optimizer minimizes: ``objective(v) -> (value, gradient)``.

    Parameters
    ----------
    network : Network
        The network; its engine evaluates the terms.
    terms : sequence of Term
        The losses whose weighted sum is minimized.
    shape : (H, W, 3)
        The shape of the picture.

    Attributes
    ----------
    terms : dict of str to float
        The weighted value of each term at the last evaluation; the objective's value is their sum.

    Raises
    ------
    HandstyleError
        If there is no term, two terms share a name, a weight is negative or not finite, or a tap is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> objective = Objective(build_network(random_weights()), [VariationTerm(2.0)], (16, 16, 3))
    >>> value, gradient = objective(np.arange(768.0))
    >>> value, objective.terms
    (2313.0, {'total variation': 2313.0})
    """

    def __init__(self, network: Network, terms: Sequence[Term], shape: Shape) -> None:
        names = [term.name for term in terms]
        if not terms:
            raise HandstyleError("nothing to optimize: every weight is zero")
        if len(set(names)) != len(names):
            raise HandstyleError(f"two terms share a name: {', '.join(sorted(names))}")
        for term in terms:
            if not (math.isfinite(term.weight) and term.weight >= 0):
                raise HandstyleError(f"weight of {term.name}: {term.weight} is not a number of 0 or more")
            if term.tap not in (*network.names, PICTURE):
                raise HandstyleError(f"unknown layer {term.tap}: this network has {', '.join(network.names)}")
        self.network, self.shape, self.names, self.taps = network, shape, names, taps_of(terms)
        self.terms = {}
        self.prepared = engine_of(network).prepare(network, tuple(terms), shape)

    def __call__(self, v: Array) -> tuple[float, Array]:  # (3HW,) float64 -> value, (3HW,)
        """Return the objective's value and gradient at the picture `v`.

        Parameters
        ----------
        v : (3HW,) array of float64
            The picture, flattened: RGB, 0 to 255, not clipped; on the host.

        Returns
        -------
        value : float
        gradient : (3HW,) array of float64
            A new array, which the optimizer may keep.

        Raises
        ------
        NonFiniteError
            If a term or the gradient is NaN or infinite; the message names the first such term.
        """
        values, gradient = self.prepared.host(np.asarray(v, np.float64))
        return self._total(values, bool(all_finite(gradient))), gradient

    def on_device(self, v: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        # (3HW,) -> value, (3HW,), extra
        """Return value and gradient at a picture on the network's device; see `Evaluable.on_device`.

        Raises
        ------
        NonFiniteError
            If a term or the gradient is not finite.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.total_variation import VariationTerm
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (1, 2, 3))
        >>> v = np.array([0.0, 0.0, 0.0, 3.0, 3.0, 3.0], np.float32)
        >>> value, gradient, square = objective.on_device(v, lambda g: (g * g).sum().reshape(1))
        >>> value, gradient, square  # the gradient is float32, as the picture; its square came with the value
        (9.0, array([-2., -2., -2.,  2.,  2.,  2.], dtype=float32), array([24.]))
        """
        values, dp = self.prepared(v.reshape(self.shape).astype(self.network.dtype, copy=False))
        xp, gradient = namespace(dp), dp.ravel().astype(v.dtype, copy=False)
        answer, finite = extra(gradient), all_finite(dp).astype(xp.float64)
        n, fetched = len(values), to_numpy(xp.concatenate([values, finite.reshape(1), answer.ravel()]))
        return self._total(fetched[:n], bool(fetched[n])), gradient, fetched[n + 1 :].reshape(answer.shape)

    def _total(self, values: Array, finite: bool) -> float:
        self.terms = dict(zip(self.names, values.tolist(), strict=True))
        for name, value in self.terms.items():
            if not math.isfinite(value):
                raise NonFiniteError(f"{name} is {value}: lower its weight, or start from the photograph")
        if not finite:
            raise NonFiniteError("the gradient holds values that are not finite, though all terms are: lower weights")
        return math.fsum(self.terms.values())


def all_finite(a: Array) -> Array:  # -> () of bool
    """Return whether every value of an array is finite.

    Examples
    --------
    >>> bool(all_finite(np.array([1.0, 2.0]))), bool(all_finite(np.array([1.0, np.nan])))
    (True, False)
    """
    xp = namespace(a)  # minimum and maximum are finite only if all values are: both are NaN if there is one
    return xp.isfinite(a.min()) & xp.isfinite(a.max())


def engine_of(network: Network) -> Engine:
    """Return the network's engine, typed as an `Engine`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> engine_of(build_network(random_weights())).name
    'reference'
    """
    return cast(Engine, network.engine)
