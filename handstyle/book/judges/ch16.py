"""One number, one vector."""

import itertools
from dataclasses import replace

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.losses.content import ContentTerm
from handstyle.losses.terms import PICTURE
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import evaluate

V = np.array([0.1, 1.0, -2.0, 0.5, 3.0])


def _honest(v):
    return float((v**4).sum()), 4 * v**3


def _live():
    buffer = np.zeros(5)

    def objective(v):
        buffer[...] = 4 * v**3
        return float((v**4).sum()), buffer

    return objective


def _changing():
    calls = itertools.count()
    return lambda v: (float((v**4).sum()) + 1e-13 * next(calls), 4 * v**3)


def _clipping(v):
    np.clip(v, 0.2, None, out=v)
    return _honest(v)


def _broken(objective, v, tolerance=1e-4, copies=True, repeats=True, ones=False):
    given, h = v.copy(), 1e-6
    direction = np.ones(v.size) if ones else np.random.default_rng(0).normal(size=v.size)
    value, gradient = objective(v)
    kept = gradient.copy() if copies else gradient
    up, down = objective(given + h * direction)[0], objective(given - h * direction)[0]
    slope = (up - down) / (2 * h)
    fresh = np.array_equal(gradient, kept)
    again, once_more = objective(given.copy())
    promises = {
        "match": abs(slope - kept @ direction) <= tolerance * abs(slope) + 1e-9,
        "repeat": not repeats or (again == value and np.array_equal(once_more, kept)),
        "fresh": fresh,
        "argument": np.array_equal(v, given),
    }
    return [name for name, holds in promises.items() if not holds]


@exercise(
    "ch16-promises",
    "four promises",
    ["broken_promises"],
    mistake(
        "live buffer returned",
        "the first gradient is compared with itself: keep a copy of it before the next call",
        broken_promises=lambda objective, v: _broken(objective, v, copies=False),
    ),
    mistake(
        "believes everything",
        "an empty list, whatever is asked",
        broken_promises=lambda objective, v: [],
    ),
    mistake(
        "a few percent forgiven",
        "the tolerance of the slope is so wide that a slope wrong by 2.5 percent passes",
        broken_promises=lambda objective, v: _broken(objective, v, tolerance=0.1),
    ),
    mistake(
        "asked once",
        "the same vector is not tried again",
        broken_promises=lambda objective, v: _broken(objective, v, repeats=False),
    ),
)
def _promises(mine, judge):
    for what, objective, right in (
        ("an honest objective", _honest, []),
        ("a slope wrong by 2.5 percent", lambda v: (_honest(v)[0], 0.975 * _honest(v)[1]), ["match"]),
        ("a gradient whose sum is right", lambda v: (_honest(v)[0], np.roll(_honest(v)[1], 1)), ["match"]),
        ("a live buffer", _live(), ["fresh"]),
        ("a value that changes", _changing(), ["repeat"]),
    ):
        found = list(mine.broken_promises(objective, V.copy()))
        judge.holds(f"{what}: {right or 'nothing'} is broken", found == right)
    judge.holds("an argument that is changed", "argument" in mine.broken_promises(_clipping, V.copy()))


def _any(network, terms, p, values=True, gradients=True):
    single = [evaluate(network, [replace(term, weight=1.0)], p) for term in terms]
    numbers = np.array([value[0] for value, _ in single])
    slopes = np.array([gradient for _, gradient in single])

    def of(weights):
        w, ones = np.asarray(weights, float), np.ones(len(terms))
        return float(numbers @ (w if values else ones)), np.tensordot(w if gradients else ones, slopes, axes=1)

    return of


def _with_own_weights(network, terms, p):
    single = [evaluate(network, [term], p) for term in terms]
    return lambda w: (
        float(sum(a * v[0][0] for a, v in zip(w, single, strict=True))),
        sum(a * v[1] for a, v in zip(w, single, strict=True)),
    )


@exercise(
    "ch16-weights",
    "every weight from one set of sweeps",
    ["any_weights"],
    mistake(
        "weight on the value only",
        "the weights multiply the value and not the gradient",
        any_weights=lambda network, terms, p: _any(network, terms, p, gradients=False),
    ),
    mistake(
        "weight counted twice",
        "the term's own weight is in what is kept, and the slider multiplies it again",
        any_weights=_with_own_weights,
    ),
)
def _weights(mine, judge):
    network = build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv1_2")).astype("float64")
    p = judge.rng.uniform(0, 255, (8, 9, 3))
    features, _ = network.forward(judge.rng.normal(0, 50, p.shape), ["relu1_1"])

    def terms(a, b, c):
        return [ContentTerm("relu1_1", features["relu1_1"], a), ContentTerm(PICTURE, p / 2, b), VariationTerm(c)]

    of = mine.any_weights(network, terms(3.0, 5.0, 0.5), p)
    for weights in ((3.0, 5.0, 0.5), (1.0, 0.0, 2.0)):
        values, dp = evaluate(network, terms(*weights), p)
        value, gradient = of(np.array(weights))
        judge.equal(f"the value with weights {weights}", value, values.sum())
        judge.equal("the gradient", gradient, dp)
