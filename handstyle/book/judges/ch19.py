"""Counting."""

from functools import cache

from handstyle.book.grading import exercise, mistake
from handstyle.network.vgg import build_network, random_weights, summary


@cache
def _network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), deepest="conv3_1"))


def _operations(network, H, W, each=36, first=True):
    total, C = 0, 3
    for row in summary(network, H, W):
        h, w, K = row.shape
        if row.name.startswith("conv"):
            total += (each if first or C != 3 else each // 2) * h * w * C * K
        C = K
    return total


@exercise(
    "ch19-evaluation",
    "an evaluation",
    ["evaluation_operations"],
    mistake(
        "forward only",
        "half of it: the way back costs the same again, and an addition goes with each multiplication",
        evaluation_operations=lambda *a: _operations(*a, each=18),
    ),
    mistake(
        "the first layer only forward",
        "its adjoint leads to the picture, and is wanted",
        evaluation_operations=lambda *a: _operations(*a, first=False),
    ),
    mistake(
        "three times",
        "forward, gradient of the input, gradient of the weights: painting needs two of them",
        evaluation_operations=lambda *a: _operations(*a, each=54),
    ),
)
def _evaluation(mine, judge):
    pairs = [(32, 3, 4), (32, 4, 4), (16, 4, 6), (16, 6, 6), (8, 6, 8)]  # side, channels in and out
    expected = 2 * sum(2 * 9 * side * side * C * K for side, C, K in pairs)
    judge.equal("five convolutions, 32 by 32", mine.evaluation_operations(_network(), 32, 32), expected, 0)
    expected = _operations(_network(), 33, 21)
    judge.equal("odd sides, 33 by 21", mine.evaluation_operations(_network(), 33, 21), expected, 0)


def _kept(network, taps, side, bits=1 / 8, features=True, codes=1):
    total = 0.0
    for row in summary(network, side, side):
        total += bits * row.values if row.name.startswith("relu") else 0
        total += codes * row.values if row.name.startswith("pool") else 0
        total += 4 * row.values if row.name in taps and features else 0
    return total


def _largest(network, taps, budget, too_far=0, **options):
    side = 0
    while _kept(network, taps, side + 16, **options) <= budget:
        side += 16
    return side + too_far


@exercise(
    "ch19-largest",
    "the largest picture",
    ["largest_side"],
    mistake(
        "a byte a bit",
        "the rectifiers' bits are packed, eight to a byte",
        largest_side=lambda *a: _largest(*a, bits=1.0),
    ),
    mistake(
        "features forgotten",
        "the tapped features are kept until the way back",
        largest_side=lambda *a: _largest(*a, features=False),
    ),
    mistake("one too far", "the first that does not fit", largest_side=lambda *a: _largest(*a, too_far=16)),
    mistake(
        "codes forgotten",
        "the choices of the poolings are kept too",
        largest_side=lambda *a: _largest(*a, codes=0),
    ),
)
def _side(mine, judge):
    for taps in (["relu1_1"], ["relu2_1", "relu3_1"], []):
        for budget in (1000, 10**5, 10**6, 3 * 10**6):
            expected = _largest(_network(), taps, budget)
            found = mine.largest_side(_network(), taps, budget)
            judge.equal(f"{budget} bytes, layers {', '.join(taps) or 'none'}", found, expected, 0)
