"""A prepared objective against `evaluate`: every kind of term, at every tap, alone and beside others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from handstyle.foundations.backend import Array
from handstyle.kernels.cpu import passes
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm, covariance_loss, mean_loss, std_loss
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.temporal import temporal_term
from handstyle.losses.terms import PICTURE, WHOLE, Term, Window
from handstyle.losses.total_variation import VariationTerm, absolute_variation, range_penalty
from handstyle.network.vgg import Network, build_network, random_weights
from handstyle.optimize.objective import Objective, evaluate, forward_to

SHAPE = (35, 44, 3)
TAPS = ("relu1_1", "conv1_2", "relu1_2", "pool1", "relu2_1", "relu3_1")


@dataclass(frozen=True)
class Contrast:
    """A term that no engine can have heard of: ``Σ f⁴``."""

    tap: str
    weight: float = 1e-9
    name: str = "contrast"

    def measure(self, f: Array, where: Window = WHOLE) -> Array:
        return (f**4).sum(dtype=np.float64)

    def loss(self, s: Array) -> tuple[Array, Array]:
        return s, np.ones_like(s)

    def spread(self, ds: Array, f: Array, where: Window = WHOLE) -> Array:
        return (4 * ds).astype(f.dtype) * f**3


@dataclass(frozen=True)
class DoubledStyle(StyleTerm):
    """A user's own style term, which changes one of the steps."""

    def spread(self, ds, f, where=WHOLE):
        return 2 * super().spread(ds, f, where)


@pytest.fixture(scope="module")
def network() -> Network:
    weights = random_weights(widths=(8, 16, 136, 24, 24), seed=3, deepest="conv3_1")  # more than 128 channels too
    return build_network(weights).astype("float64")


@pytest.fixture(scope="module")
def features(network: Network) -> dict[str, Array]:
    other = np.random.default_rng(1).uniform(0, 255, SHAPE)
    return forward_to(network, TAPS, other)[0]


def style(features: dict[str, Array], tap: str, masked: bool = False, **more: object) -> StyleTerm:
    mask = np.random.default_rng(2).uniform(0, 1, (*features[tap].shape[:2], 1)) if masked else None
    return StyleTerm(tap, moments_forward(features[tap]), 3.0, mask=mask, **more)  # type: ignore[arg-type]


def several(features: dict[str, Array], tap: str) -> list[Term]:
    """Return terms of every kind at one tap."""
    target = moments_forward(features[tap])
    losses = ((0.5, partial(mean_loss, target=target)), (0.25, partial(std_loss, target=target)))
    mask = np.random.default_rng(4).uniform(0, 1, (*features[tap].shape[:2], 1))
    return [
        style(features, tap),
        style(features, tap, True, name="masked"),
        style(features, tap, True, name="counts all", counts_all=True),
        DistributionTerm(tap, losses, 2.0, name="means"),
        DistributionTerm(tap, ((1e-6, partial(covariance_loss, target=target)),), 2.0, mask, "covariance"),
        ContentTerm(tap, features[tap], 1.5),
        ContentTerm(tap, features[tap], 1.5, mask=mask, name="content, masked"),
        NormalizedTerm(ContentTerm(tap, features[tap], name="normalized"), 2.0),
        Contrast(tap),
        DoubledStyle(tap, target, 2.0, name="doubled"),
    ]


def of_the_picture(features: dict[str, Array]) -> list[Term]:
    held = np.random.default_rng(5).uniform(0, 255, SHAPE)
    return [
        VariationTerm(1e-2),
        VariationTerm(1e-3, "absolute", absolute_variation),
        VariationTerm(1e-3, "not in the value", in_value=False, stretch=2.0),
        VariationTerm(1e-4, "range", range_penalty),
        ContentTerm(PICTURE, held, 0.1, 1 / held.size, name="held pixels"),
        temporal_term(held[::-1], (held[..., :1] > 100) * 1.0, 0.2),
        Contrast(PICTURE, 1e-12, "picture contrast"),
    ]


def compare(network: Network, kernels: str, terms: Sequence[Term]) -> None:
    p = np.random.default_rng(6).uniform(-20, 275, SHAPE)
    expected, dp = evaluate(network, terms, p)
    objective = Objective(network.with_kernels(kernels), terms, SHAPE)
    for _ in range(2):  # the second time with memory that was used before
        values, gradient = objective.prepared(p)
        np.testing.assert_allclose(values, expected, rtol=1e-11)
        assert np.abs(gradient - dp).max() <= 1e-10 * np.abs(dp).max()
        assert np.abs(dp).max() > 0
    kept = gradient.copy()
    value, from_host = objective(p.ravel())
    np.testing.assert_array_equal(gradient, kept)
    np.testing.assert_array_equal(from_host, gradient.ravel())
    assert value == pytest.approx(expected.sum(), rel=1e-12)


KERNELS = ("auto", "im2col", "winograd")


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("tap", TAPS)
@pytest.mark.parametrize("small", [True, False])
def test_each_kind_alone(kernels: str, tap: str, small: bool, network, features, monkeypatch) -> None:
    monkeypatch.setattr(passes, "FEW_PIXELS", 1 << 30 if small else 0)  # with and without the first map computed again
    for term in several(features, tap):
        compare(network, kernels, [term])


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("small", [True, False])
def test_all_at_once(kernels: str, small: bool, network, features, monkeypatch) -> None:
    monkeypatch.setattr(passes, "FEW_PIXELS", 1 << 30 if small else 0)
    styles = [style(features, tap) for tap in TAPS]
    compare(network, kernels, [*styles, *of_the_picture(features)])
    compare(
        network, kernels, [*several(features, "relu1_1"), *several(features, "relu3_1")[:1], style(features, "pool1")]
    )


@pytest.mark.parametrize("kernels", KERNELS)
def test_terms_of_the_picture_alone(kernels: str, network, features) -> None:
    for term in of_the_picture(features):
        compare(network, kernels, [term])
    compare(network, kernels, of_the_picture(features))


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_every_border_and_pool(pooling: str, padding: str, rounding: str) -> None:
    weights = random_weights(widths=(8, 16, 16, 24, 24), seed=3, deepest="conv3_1")
    network = build_network(weights, pooling, padding, rounding).astype("float64")
    features = forward_to(network, TAPS, np.random.default_rng(1).uniform(0, 255, SHAPE))[0]
    terms = [style(features, "relu1_1"), style(features, "relu2_1", True), ContentTerm("relu3_1", features["relu3_1"])]
    for kernels in KERNELS:
        compare(network, kernels, terms)
