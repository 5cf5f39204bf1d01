"""VGG."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.vgg import ARCHITECTURES, build_network, random_weights, summary


def _fields(counts, grows=True, pools=True):
    found, field, stride = {}, 1, 1
    for block, count in enumerate(counts, 1):
        for i in range(1, count + 1):
            field += 2 * (stride if grows else 1)
            found[f"relu{block}_{i}"] = field, stride
        field, stride = field + (stride if pools else 0), 2 * stride
    return found


@exercise(
    "ch10-field",
    "the recursion",
    ["receptive_fields"],
    mistake(
        "every convolution adds two",
        "behind a pooling neighbors lie two pixels apart, and a convolution adds four",
        receptive_fields=lambda counts: _fields(counts, grows=False),
    ),
    mistake(
        "the pooling sees nothing",
        "a block of two by two sees one stride more than a single number",
        receptive_fields=lambda counts: _fields(counts, pools=False),
    ),
)
def _receptive(mine, judge):
    for architecture, last in (("vgg16", "conv5_3"), ("vgg19", "conv5_4")):
        found = mine.receptive_fields(ARCHITECTURES[architecture])
        rows = summary(build_network(random_weights(architecture, widths=(1, 1, 1, 1, 1), deepest=last)), 64, 64)
        expected = {row.name: (row.receptive_field, row.stride) for row in rows if row.name.startswith("relu")}
        judge.holds(f"a pair for each rectifier of {architecture}", set(found) == set(expected))
        pairs = [found[name] for name in expected]
        judge.equal(f"fields and strides of {architecture}", pairs, list(expected.values()), 0)
    found = mine.receptive_fields((1, 3))
    judge.equal("one convolution, then three", list(found.values()), [(3, 1), (8, 2), (12, 2), (16, 2)], 0)


def _width(g, absolute=True, centered=True):
    weight = (np.abs(g) if absolute else g).sum(axis=1)
    rows = np.arange(len(weight))
    mean = (weight * rows).sum() / weight.sum() if centered else 0.0
    return float(np.sqrt((weight * (rows - mean) ** 2).sum() / weight.sum()))


@exercise(
    "ch10-spread",
    "what counts",
    ["width_of"],
    mistake(
        "signs cancel",
        "influences of both signs are added, and cancel; how large they are is what counts",
        width_of=lambda g: _width(g, absolute=False),
    ),
    mistake(
        "about the first row",
        "the spread is taken about row 0, not about the mean",
        width_of=lambda g: _width(g, centered=False),
    ),
    mistake("variance", "the square of the deviation", width_of=lambda g: _width(g) ** 2),
)
def _spread(mine, judge):
    g = np.zeros((9, 4))
    g[2, 1], g[6, 3] = 1.0, -3.0
    judge.equal("two rows, four apart, one of them three times as strong", mine.width_of(g), np.sqrt(3.0))
    g = np.zeros((20, 8))
    g[4:9] = judge.rng.normal(size=(5, 8))
    judge.equal("noise in five rows", mine.width_of(g), _width(g))
    judge.equal("three times as strong and elsewhere", mine.width_of(3 * np.roll(g, 7, axis=0)), _width(g))
