"""Content."""

from functools import cache

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.foundations.image import preprocess_forward
from handstyle.network.vgg import build_network, random_weights


def _cosine(f, target, through_length=True, absolute=True):
    length, other = np.sqrt((f * f).sum()), np.sqrt((target * target).sum())
    cosine = (f * target).sum() / (length * other)
    df = (cosine * f / length * through_length - target / other) / length
    return (1 - cosine if absolute else -cosine), df


@exercise(
    "ch12-cosine",
    "only the direction",
    ["cosine_content"],
    mistake(
        "the length taken for a constant",
        "the norm of f depends on f, and its share is missing from the gradient",
        cosine_content=lambda f, target: _cosine(f, target, through_length=False),
    ),
    mistake(
        "uphill",
        "the gradient's sign is the other way",
        cosine_content=lambda f, target: (_cosine(f, target)[0], -_cosine(f, target)[1]),
    ),
    mistake(
        "the cosine itself",
        "minus the cosine: 0 is to be what agrees, and this says −1",
        cosine_content=lambda f, target: _cosine(f, target, absolute=False),
    ),
)
def _cosines(mine, judge):
    f, target = np.array([[[3.0, 0.0]]]), np.array([[[3.0, 4.0]]])
    judge.equal("by hand: 1 − 9/15", mine.cosine_content(f, target)[0], 1 - 9 / 15)
    judge.equal("seven times the target", mine.cosine_content(7 * target, target)[0], 0.0)
    f, target = judge.rng.normal(size=(2, 4, 5, 3))
    gradient = mine.cosine_content(f, target)[1]
    judge.gradient("the gradient against differences", lambda f: mine.cosine_content(f, target)[0], gradient, f)


@cache
def _network():
    return build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv2_1")).astype("float64")


def _blindness(network, photo, delta, tap, small=1000.0, relative=True, reference=None):
    x, step = preprocess_forward(photo, network.convention), delta / small
    y = preprocess_forward(photo + step, network.convention)
    f, g = network.forward(x, [tap])[0][tap], network.forward(y, [tap])[0][tap]
    base = (photo**2).sum() if reference == "picture" else (x**2).sum()
    return float(((g - f) ** 2).sum() / (f**2).sum() / ((step**2).sum() / base if relative else 1))


@exercise(
    "ch12-blind",
    "which changes are free",
    ["blindness"],
    mistake(
        "not shrunk",
        "the change itself, in which more than the first order is there",
        blindness=lambda network, photo, delta, tap: _blindness(network, photo, delta, tap, small=1.0),
    ),
    mistake(
        "relative to the picture",
        "divided by the norm of the photograph, not of the preprocessed one",
        blindness=lambda network, photo, delta, tap: _blindness(network, photo, delta, tap, reference="picture"),
    ),
    mistake(
        "not relative",
        "what arrives, not divided by what was sent",
        blindness=lambda network, photo, delta, tap: _blindness(network, photo, delta, tap, relative=False),
    ),
)
def _blind(mine, judge):
    network = _network()
    photo, delta = judge.rng.uniform(0, 255, (12, 14, 3)), judge.rng.normal(size=(12, 14, 3))
    for tap in ("conv1_1", "relu1_2", "relu2_1"):
        expected = _blindness(network, photo, delta, tap)
        judge.equal(f"a change of noise at {tap}", mine.blindness(network, photo, delta, tap), expected, 1e-6)
    expected = _blindness(network, photo, delta, "conv1_1")
    found = mine.blindness(network, photo, 90 * delta, "conv1_1")
    judge.equal("ninety times as much, at a layer that is linear", found, expected, 1e-6)
