"""The exercises of chapter 16."""

import itertools

import numpy as np
import pytest

from handstyle.losses.content import ContentTerm
from handstyle.losses.terms import PICTURE
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import evaluate

pytestmark = [pytest.mark.exercise, pytest.mark.ch16]


def honest(v):
    return float((v**4).sum()), 4 * v**3


def wrong_slope(v):
    return float((v**4).sum()), 3.9 * v**3


def live():
    buffer = np.zeros(5)

    def objective(v):
        buffer[...] = 4 * v**3
        return float((v**4).sum()), buffer

    return objective


def changing():
    calls = itertools.count()
    return lambda v: (float((v**4).sum()) + 1e-13 * next(calls), 4 * v**3)


def clipping(v):
    np.clip(v, 0.2, None, out=v)
    return honest(v)


V = np.array([0.1, 1.0, -2.0, 0.5, 3.0])


@pytest.mark.parametrize(
    ("objective", "broken"),
    [(honest, []), (wrong_slope, ["match"]), (live(), ["fresh"]), (changing(), ["repeat"])],
    ids=["honest", "wrong slope", "live buffer", "changing"],
)
def test_broken_promises_are_named(mine, objective, broken):
    assert mine.broken_promises(objective, V.copy()) == broken


def test_a_changed_argument_is_noticed(mine):
    assert "argument" in mine.broken_promises(clipping, V.copy())


def test_any_weights_agrees_with_the_objective(mine, rng):
    network = build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv1_2")).astype("float64")
    p = rng.uniform(0, 255, (8, 9, 3))
    features, _ = network.forward(rng.normal(0, 50, p.shape), ["relu1_1"])
    terms = [ContentTerm("relu1_1", features["relu1_1"], 3.0), ContentTerm(PICTURE, p / 2, 5.0), VariationTerm(0.5)]
    values, dp = evaluate(network, terms, p)
    value, gradient = mine.any_weights(network, terms, p)(np.array([3.0, 5.0, 0.5]))
    assert value == pytest.approx(float(values.sum()))
    assert np.allclose(gradient, dp)
