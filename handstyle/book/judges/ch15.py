"""Regions."""

from functools import cache

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.network.vgg import build_network, random_weights


@cache
def _network():
    return build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv3_1")).astype("float64")


def _sum(m):
    padded = np.pad(m, 1)
    H, W = m.shape
    return sum(padded[i : i + H, j : j + W] for i in range(3) for j in range(3))


def _carried(mask, steps, convolve=lambda m: _sum(m) / _sum(np.ones_like(m)), pool=None):
    m = mask
    for step in steps:
        if step == "conv":
            m = convolve(m)
        else:
            h, w = m.shape[0] // 2, m.shape[1] // 2
            blocks = m[: 2 * h, : 2 * w].reshape(h, 2, w, 2)
            m = pool(blocks) if pool else blocks.mean(axis=(1, 3))
    return m


@exercise(
    "ch15-carry",
    "carry a mask",
    ["carried"],
    mistake(
        "the border counts as outside",
        "divided by nine at the rim too, where the window holds six pixels or four",
        carried=lambda mask, steps: _carried(mask, steps, lambda m: _sum(m) / 9),
    ),
    mistake(
        "convolutions forgotten",
        "only the poolings change the mask; a convolution looks a pixel further",
        carried=lambda mask, steps: _carried(mask, steps, lambda m: m),
    ),
    mistake(
        "every second value",
        "the pooling keeps a pixel of four; the mean of the block is asked for",
        carried=lambda mask, steps: _carried(mask, steps, pool=lambda b: b[:, 0, :, 0]),
    ),
    mistake(
        "the largest of the block",
        "a maximum grows the region by a pixel at each pooling",
        carried=lambda mask, steps: _carried(mask, steps, pool=lambda b: b.max(axis=(1, 3))),
    ),
)
def _carry(mine, judge):
    mask = np.tile([1.0, 1, 1, 0, 0, 0], (4, 1))
    judge.equal("one convolution, by hand", mine.carried(mask, ["conv"])[1], [1, 1, 2 / 3, 1 / 3, 0, 0])
    judge.equal("and a pooling", mine.carried(mask, ["conv", "pool"])[1], [1, 0.5, 0])
    mask = judge.rng.uniform(0, 1, (21, 30))
    steps = ["conv", "conv", "pool", "conv", "conv", "pool", "conv"]
    expected = carry_mask(_network().layers, mask, ["conv3_1"])["conv3_1"][..., 0]
    judge.equal("a mask of noise down to conv3_1, odd sides", mine.carried(mask, steps), expected, 1e-12)


def _terms(network, painting, mask, weight, taps, name, share=True, carry=True, masked=False):
    x = preprocess_forward(painting, network.convention)
    features, _ = network.forward(x, taps)
    masks = carry_mask(network.layers, mask, taps)
    return [
        StyleTerm(
            tap,
            moments_forward(features[tap], masks[tap] if masked else None),
            weight * (mask.mean() if share else 1),
            mask=masks[tap] if carry else None,
            name=f"{name} {tap}",
        )
        for tap in taps
    ]


@exercise(
    "ch15-terms",
    "the terms of a region",
    ["region_terms"],
    mistake(
        "each region weighs the same",
        "the weight is not multiplied by the region's share of the picture",
        region_terms=lambda *a: _terms(*a, share=False),
    ),
    mistake(
        "mask not applied",
        "the terms have no mask: the style is asked of the whole picture",
        region_terms=lambda *a: _terms(*a, carry=False),
    ),
    mistake(
        "the painting masked",
        "the photograph's mask is laid on the painting, which has no such region",
        region_terms=lambda *a: _terms(*a, masked=True),
    ),
)
def _region_terms(mine, judge):
    network, taps = _network(), ("relu1_1", "relu2_1")
    painting, mask = judge.rng.uniform(0, 255, (16, 20, 3)), judge.rng.uniform(0, 1, (16, 20))
    terms = mine.region_terms(network, painting, mask, 7.0, taps, "garden")
    judge.holds("a term for each layer, by its name", [t.name for t in terms] == [f"garden {tap}" for tap in taps])
    expected = _terms(network, painting, mask, 7.0, taps, "garden")
    for term, right in zip(terms, expected, strict=True):
        judge.equal(f"the target at {right.tap}", term.target.outer, right.target.outer, 1e-10)
        judge.equal(f"the weight at {right.tap}", term.weight, right.weight)
        judge.equal(f"the mask at {right.tap}", 0 if term.mask is None else term.mask, right.mask, 1e-12)
