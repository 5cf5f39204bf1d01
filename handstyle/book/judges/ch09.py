"""The chain rule as a program."""

from dataclasses import replace

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.convolution import conv3x3_forward
from handstyle.network.pooling import average_pool_forward
from handstyle.network.sequence import Convolution, ReLU, sequence_backward, sequence_forward
from handstyle.network.vgg import build_network, random_weights

TAPS = ("relu1_1", "pool1", "relu2_1")


def _layers(pooling="average"):
    weights = random_weights(widths=(4, 5, 5, 5, 5), seed=3, deepest="conv2_1")
    return build_network(weights, pooling=pooling).astype("float64").layers


class _Counted:
    def __init__(self, layer, crossed):
        self.layer, self.name, self.crossed = layer, layer.name, crossed

    def backward(self, dy, cache):
        self.crossed.append(self.name)
        return self.layer.backward(dy, cache)


def _first_only(layers, dfeatures, caches):
    names = [layer.name for layer in layers]
    tap = max(dfeatures, key=names.index)
    return sequence_backward(layers, {tap: dfeatures[tap]}, caches)


@exercise(
    "ch09-one-each",
    "one sweep a tap",
    ["one_sweep_a_tap"],
    mistake(
        "one sweep",
        "the right sum, by the one sweep that this exercise was to do without",
        one_sweep_a_tap=sequence_backward,
    ),
    mistake(
        "only the deepest tap",
        "the sweep starts at the deepest tap and never stops for another",
        one_sweep_a_tap=_first_only,
    ),
    mistake(
        "averaged over the taps",
        "a mean where the derivative of a sum is a sum",
        one_sweep_a_tap=lambda layers, d, caches: _each(layers, d, caches) / len(d),
    ),
)
def _one_each(mine, judge):
    layers = _layers()
    features, caches = sequence_forward(layers, judge.rng.normal(size=(7, 9, 3)), TAPS)
    dfeatures = {tap: judge.rng.normal(size=f.shape) for tap, f in features.items()}
    expected = sequence_backward(layers, dfeatures, caches)
    judge.equal("the sum of all sweeps", mine.one_sweep_a_tap(layers, dfeatures, caches), expected, 1e-12)
    crossed: list[str] = []
    mine.one_sweep_a_tap(tuple(_Counted(layer, crossed) for layer in layers), dfeatures, caches)
    names = [layer.name for layer in layers]
    whole = sum(names.index(tap) + 1 for tap in TAPS)
    judge.equal("how many layers the sweeps cross", len(crossed), whole, 0)
    judge.equal("how often they cross the first", crossed.count("conv1_1"), len(TAPS), 0)


def _each(layers, dfeatures, caches):
    names = [layer.name for layer in layers]
    return sum(sequence_backward(layers, {tap: df}, caches[: names.index(tap) + 1]) for tap, df in dfeatures.items())


def _tangent(layers, x, u, tap, bias=False, mask=True):
    for layer in layers:
        if isinstance(layer, Convolution):
            u, _ = conv3x3_forward(u, layer.w, layer.b if bias else np.zeros_like(layer.b), layer.padding)
        elif isinstance(layer, ReLU):
            u = np.where(x > 0 if mask else u > 0, u, 0)
        else:
            u, _ = average_pool_forward(u, layer.rounding)
        x, _ = layer.forward(x)
        if layer.name == tap:
            return u
    raise ValueError(f"no layer {tap}")


@exercise(
    "ch09-tangent",
    "forward mode",
    ["tangent"],
    mistake(
        "the bias moves along",
        "the bias is added to the tangent; a constant has no derivative",
        tangent=lambda layers, x, u, tap: _tangent(layers, x, u, tap, bias=True),
    ),
    mistake(
        "the tangent rectified",
        "the rectifier looks at the sign of the tangent, where the sign of the input decides",
        tangent=lambda layers, x, u, tap: _tangent(layers, x, u, tap, mask=False),
    ),
)
def _tangents(mine, judge):
    x, u = judge.rng.normal(size=(2, 7, 9, 3))
    layers = tuple(
        replace(layer, b=judge.rng.normal(0, 0.1, layer.b.shape)) if isinstance(layer, Convolution) else layer
        for layer in _layers()
    )
    for tap in TAPS:
        features, caches = sequence_forward(layers, x, [tap])
        v = judge.rng.normal(size=features[tap].shape)
        there = (mine.tangent(layers, x, u, tap) * v).sum()
        back = (u * sequence_backward(layers, {tap: v}, caches)).sum()
        judge.equal(f"⟨Ju, v⟩ against ⟨u, Jᵀv⟩ at {tap}", there, back, 1e-10)


def _bytes_of(cache, tuples):
    if isinstance(cache, tuple):
        return sum(_bytes_of(part, tuples) for part in cache) if tuples else 0
    return getattr(cache, "nbytes", 0)


@exercise(
    "ch09-terms",
    "what is kept",
    ["cache_bytes"],
    mistake(
        "tuples skipped",
        "a cache that is a tuple counts as nothing: the choices of a maximum pool are in one",
        cache_bytes=lambda layers, caches: {
            layer.name: 0 if isinstance(layer, Convolution) else _bytes_of(cache, False)
            for layer, cache in zip(layers, caches, strict=False)
        },
    ),
    mistake(
        "weights counted",
        "the convolutions' weights are the network's own, and kept anyway",
        cache_bytes=lambda layers, caches: {
            layer.name: _bytes_of(cache, True) for layer, cache in zip(layers, caches, strict=False)
        },
    ),
)
def _cache_bytes(mine, judge):
    x = judge.rng.normal(size=(8, 8, 3))
    for pooling, pooled in (("average", 4 * 4 * 8), ("max", 4 * 4 * 4)):  # a float64 a block; a byte a choice
        layers = _layers(pooling)
        _, caches = sequence_forward(layers, x, ["relu2_1"])
        found = mine.cache_bytes(layers, caches)
        expected = {"conv1_1": 0, "relu1_1": 8 * 8 * 4, "pool1": pooled, "conv2_1": 0, "relu2_1": 4 * 4 * 5}
        for name, size in expected.items():
            judge.equal(f"the bytes kept for {name}, {pooling} pooling", found[name], size, 0)
