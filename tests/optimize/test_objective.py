"""The border between the optimizer's vector and the network: value, terms, gradient, and what is refused."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from support.differentiable_pairs import loss_of

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, gram_loss, moments_backward, moments_forward
from handstyle.losses.terms import WHOLE, Term, Window
from handstyle.losses.total_variation import VariationTerm, total_variation
from handstyle.network.vgg import Network, Weights, build_network
from handstyle.optimize.objective import NonFiniteError, Objective

SHAPE = (17, 20, 3)


@pytest.fixture
def network(tiny_weights: Weights) -> Network:
    return build_network(tiny_weights).astype("float64")


@pytest.fixture
def v(rng: np.random.Generator) -> Array:
    return rng.uniform(0, 255, SHAPE).ravel()


@pytest.fixture
def terms(network: Network, rng: np.random.Generator) -> list[Term]:
    features, _ = network.forward(rng.uniform(-100, 100, SHAPE), ["relu1_1", "relu3_1"])
    return [
        StyleTerm("relu1_1", moments_forward(features["relu1_1"]), 10.0),
        StyleTerm("relu3_1", moments_forward(features["relu3_1"]), 5.0),
        ContentTerm("relu3_1", features["relu3_1"], 2.0),
        VariationTerm(1e-3),
    ]


def make(network: Network, terms: list[Term]) -> Objective:
    return Objective(network, terms, SHAPE)


def test_the_value_is_the_sum_of_the_ledger_in_the_order_of_the_terms(
    network: Network, terms: list[Term], v: Array
) -> None:
    objective = make(network, terms)
    value, _ = objective(v)
    assert set(objective.terms) == {"style relu1_1", "style relu3_1", "content relu3_1", "total variation"}
    assert value == math.fsum(objective.terms.values())
    assert all(type(entry) is float for entry in objective.terms.values())


def test_assembled_by_hand(network: Network, terms: list[Term], v: Array) -> None:
    """Value and gradient from the pairs, without the objective's bookkeeping."""
    p = v.reshape(SHAPE)
    features, caches = network.forward(preprocess_forward(p, network.convention), ["relu1_1", "relu3_1"])
    value, entering = 0.0, {}
    for term in terms[:2]:
        loss, dmoments = gram_loss(moments_forward(features[term.tap]), term.target)
        value += term.weight * loss
        entering[term.tap] = term.weight * moments_backward(dmoments, features[term.tap])
    loss, df = loss_of(terms[2])(features["relu3_1"])
    value, entering["relu3_1"] = value + 2 * loss, entering["relu3_1"] + 2 * df
    loss, dp = total_variation(p)
    value += 1e-3 * loss
    dp = 1e-3 * dp + preprocess_backward(network.backward(entering, caches), network.convention)
    found, gradient = make(network, terms)(v)
    assert found == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(gradient, dp.ravel(), rtol=1e-11, atol=1e-13 * np.abs(dp).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_optimizer_gets(
    dtype: str, tiny_weights: Weights, terms: list[Term], v: Array, backend: Backend
) -> None:
    """A Python float and a host array in float64, of the vector's length, whatever the network works in."""
    network = build_network(tiny_weights).astype(dtype).to(backend)
    there = [
        replace(t, target=backend.asarray(t.target, dtype=dtype)) if isinstance(t, ContentTerm) else t for t in terms
    ]
    there = [
        replace(t, target=replace(t.target, sums=backend.asarray(t.target.sums), outer=backend.asarray(t.target.outer)))
        if isinstance(t, StyleTerm)
        else t
        for t in there
    ]
    v.flags.writeable = False
    value, gradient = make(network, there)(v)
    assert type(value) is float
    assert type(gradient) is np.ndarray
    assert gradient.dtype == np.float64
    assert gradient.shape == v.shape
    assert gradient.flags.c_contiguous


@pytest.mark.parametrize("only", [slice(0, 3), slice(3, 4), slice(0, 4)])
def test_the_gradient_is_fresh(only: slice, network: Network, terms: list[Term], v: Array) -> None:
    """The optimizer keeps the last gradient to form differences: it must not change under its hands."""
    objective = make(network, terms[only])
    _, first = objective(v)
    kept = first.copy()
    _, second = objective(v[::-1].copy())
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
    assert not np.shares_memory(first, v)
    first[...] = np.nan  # and what the optimizer does to it must not come back
    np.testing.assert_array_equal(objective(v)[1], kept)


def test_equal_pictures_give_equal_results(network: Network, terms: list[Term], v: Array) -> None:
    objective = make(network, terms)
    value, gradient = objective(v)
    objective(v[::-1].copy())
    again, gradient_again = objective(v)
    assert again == value
    np.testing.assert_array_equal(gradient_again, gradient)


def test_weights_multiply_value_and_gradient(network: Network, terms: list[Term], v: Array) -> None:
    one = make(network, terms)
    double = make(network, [replace(term, weight=2 * term.weight) for term in terms])
    assert double(v)[0] == pytest.approx(2 * one(v)[0], rel=1e-13)
    np.testing.assert_allclose(double(v)[1], 2 * one(v)[1], rtol=1e-10, atol=1e-15)


def test_a_weight_that_is_a_numpy_scalar_does_not_lift_the_dtype(tiny_weights: Weights, v: Array) -> None:
    network = build_network(tiny_weights)
    features, _ = network.forward(np.ones(SHAPE, np.float32), ["relu1_1"])
    terms = [
        ContentTerm("relu1_1", 0 * features["relu1_1"] + 1, np.float64(2)),
        StyleTerm("relu1_1", moments_forward(features["relu1_1"] + 1), np.float64(2)),
        VariationTerm(np.float64(2)),
    ]
    for kernels in ("reference", "auto"):
        _, dp = make(network.with_kernels(kernels), terms).prepared(v.reshape(SHAPE).astype(np.float32))
        assert dp.dtype == np.float32


# --- what is refused ----------------------------------------------------------------------------------------------


def test_terms_that_make_no_sense(network: Network, terms: list[Term]) -> None:
    with pytest.raises(HandstyleError, match="nothing to optimize"):
        make(network, [])
    with pytest.raises(HandstyleError, match="two terms share a name"):
        make(network, [terms[3], terms[3]])
    with pytest.raises(HandstyleError, match="unknown layer relu9_1: this network has conv1_1"):
        make(network, [replace(terms[0], tap="relu9_1")])


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_make_no_sense(weight: float, network: Network, terms: list[Term]) -> None:
    with pytest.raises(HandstyleError, match=r"weight of style relu1_1: .* is not a number of 0 or more"):
        make(network, [replace(terms[0], weight=weight)])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("culprit", [0, 2, 3])
def test_a_term_that_is_not_finite_is_named(
    culprit: int, bad: float, network: Network, terms: list[Term], v: Array
) -> None:
    @dataclass(frozen=True)
    class Bad:
        name: str
        tap: str
        weight: float = 1.0

        def measure(self, f: Array, where: Window = WHOLE) -> Array:
            return np.float64(bad)

        def loss(self, s: Array) -> tuple[Array, Array]:
            return s, s

        def spread(self, ds: Array, f: Array, where: Window = WHOLE) -> Array:
            return 0 * f

    terms[culprit] = Bad(terms[culprit].name, terms[culprit].tap)
    with pytest.raises(NonFiniteError, match=f"^{terms[culprit].name} is {bad}"):
        make(network, terms)(v)


def test_a_gradient_that_is_not_finite_is_told(network: Network, terms: list[Term], v: Array) -> None:
    @dataclass(frozen=True)
    class Bad:
        name: str = "sharp"
        tap: str = "relu1_1"
        weight: float = 1.0

        def measure(self, f: Array, where: Window = WHOLE) -> Array:
            return np.float64(1)

        def loss(self, s: Array) -> tuple[Array, Array]:
            return s, s

        def spread(self, ds: Array, f: Array, where: Window = WHOLE) -> Array:
            return f * np.inf

    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError, match="the gradient holds values"):
        make(network, [*terms, Bad()])(v)


def test_a_picture_that_is_not_finite_is_told(network: Network, terms: list[Term], v: Array) -> None:
    v[7] = np.nan
    with np.errstate(invalid="ignore"), pytest.raises(NonFiniteError, match="is nan"):
        make(network, terms)(v)
