"""The chain: several taps, every border and pooling, and the whole objective, by differences in float64."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from handstyle.foundations.backend import Array, Backend, namespace
from handstyle.foundations.gradcheck import check_projection, check_taylor
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.terms import Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.sequence import Pool, ReLU, sequence_forward
from handstyle.network.vgg import Network, Weights, build_network
from handstyle.optimize.objective import Objective

TAPS = ("conv1_1", "relu1_2", "pool1", "relu2_1", "conv2_2", "conv3_1")
# Shorter steps than on one layer: the picture has thousands of rectifiers, and the nearest kink is near.
STEPS = (1e-5, 3e-6, 1e-6, 3e-7)


def kinks(network: Network, taps: tuple[str, ...], x: Array) -> Array:
    """Return all rectifier bits and pooling choices on the way to the taps, as one vector."""
    _, caches = sequence_forward(network.layers, x, taps)
    bits = [cache.ravel() for layer, cache in zip(network.layers, caches, strict=False) if isinstance(layer, ReLU)]
    bits += [
        cache[0].ravel()
        for layer, cache in zip(network.layers, caches, strict=False)
        if isinstance(layer, Pool) and layer.kind == "max"
    ]
    return namespace(x).concatenate(bits)


VARIANTS = list(itertools.product(("max", "average"), ("zero", "reflect", "replicate"), ("down", "up")))


@pytest.mark.parametrize(("pooling", "padding", "rounding"), VARIANTS)
def test_sequence_with_several_taps(
    pooling: str, padding: str, rounding: str, tiny_weights: Weights, rng: np.random.Generator
) -> None:
    network = build_network(tiny_weights, pooling, padding, rounding).astype("float64")
    x = rng.standard_normal((9, 11, 3))
    targets = {tap: rng.standard_normal(f.shape) for tap, f in network.forward(x, TAPS)[0].items()}

    def f(x: Array) -> float:
        features, _ = network.forward(x, TAPS)
        return sum(0.5 * float(((features[tap] - targets[tap]) ** 2).sum()) for tap in TAPS)

    features, caches = network.forward(x, TAPS)
    gradient = network.backward({tap: features[tap] - targets[tap] for tap in TAPS}, caches)
    for report in (
        check_projection(f, gradient, x, signature=lambda x: kinks(network, TAPS, x)),
        check_taylor(f, gradient, x, STEPS, signature=lambda x: kinks(network, TAPS, x)),
    ):
        assert report, str(report)


def build_objective(weights: Weights, backend: Backend, rng: np.random.Generator, variant: int) -> Objective:
    """Return an objective with every kind of term, some of them twice at a tap, some under a mask."""
    pooling, padding, rounding = VARIANTS[variant]
    convention = ("caffe", "torchvision")[variant % 2]
    if convention == "torchvision":  # weights made for inputs of about 100 meet inputs of about 1
        w, b = weights.layers["conv1_1"]
        weights = replace(weights, convention=convention, layers={**weights.layers, "conv1_1": (50 * w, b)})
    network = build_network(weights, pooling, padding, rounding).astype("float64").to(backend)
    shape = (13, 16, 3)
    taps = ("relu1_1", "relu2_1", "conv2_2", "relu3_1")
    features, _ = network.forward(backend.asarray(rng.uniform(-100, 100, shape)), taps)
    masks = {tap: backend.asarray(rng.uniform(0, 1, (*f.shape[:2], 1))) for tap, f in features.items()}
    terms: list[Term] = [
        ContentTerm("conv2_2", features["conv2_2"], 1.0),
        StyleTerm("conv2_2", moments_forward(features["conv2_2"][1:]), 3.0),
        VariationTerm(1e-3),
    ]
    for tap in ("relu1_1", "relu2_1", "relu3_1"):
        # A painting of another size than the picture, so that a wrong count cannot hide.
        terms.append(StyleTerm(tap, moments_forward(features[tap][:-1]), 10.0, mask=masks[tap]))
    terms.append(StyleTerm("relu1_1", moments_forward(features["relu1_1"][2:]), 2.0, name="a second painting"))
    return Objective(network, terms, shape)


@pytest.mark.parametrize("variant", [0, 3, 8, 11])
def test_objective(variant: int, tiny_weights: Weights, backend: Backend, rng: np.random.Generator) -> None:
    objective = build_objective(tiny_weights, backend, rng, variant)
    v = rng.uniform(-20, 275, objective.shape).ravel()  # the variable is not clipped, and neither is the test's
    _, gradient = objective(v)

    def f(v: Array) -> float:
        return objective(v)[0]

    def signature(v: Array) -> Array:
        x = preprocess_forward(backend.asarray(v.reshape(objective.shape)), objective.network.convention)
        return backend.to_numpy(kinks(objective.network, objective.taps, x))

    for report in (
        check_projection(f, gradient, v, signature=signature),
        check_taylor(f, gradient, v, STEPS, signature=signature),
    ):
        assert report, str(report)


def test_sum_over_taps_is_the_sum_of_the_gradients(tiny_weights: Weights, rng: np.random.Generator) -> None:
    """One sweep for all taps gives what a sweep for each tap gives, added up."""
    network = build_network(tiny_weights).astype("float64")
    x = rng.standard_normal((9, 11, 3))
    features, caches = network.forward(x, TAPS)
    entering = {tap: rng.standard_normal(f.shape) for tap, f in features.items()}
    together = network.backward(entering, caches)
    apart = sum(network.backward({tap: d}, network.forward(x, [tap])[1]) for tap, d in entering.items())
    np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12 * np.abs(together).max())
