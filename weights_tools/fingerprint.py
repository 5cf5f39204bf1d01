"""Compute the fingerprint of a network: statistics of every layer's activations for one small synthetic picture.

Two networks with the same fingerprint are the same function for all practical purposes. If colors, kernels, layers or
the convention are wrong, the fingerprint differs from the first wrong layer on. The picture must never change: one
different pixel would invalidate every stored fingerprint.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, Convention, preprocess_forward
from handstyle.network.sequence import ReLU
from handstyle.network.vgg import Weights, build_network

HEIGHT, WIDTH = 80, 96


class Statistics(NamedTuple):
    """Statistics of the output of one ReLU.

    Attributes
    ----------
    zeros : float
        The fraction of zeros, the only statistic that rescaling filters does not change.
    mean, rms : float
        Mean and root mean square over positions and channels.
    signature : float
        The sum over channels k of their means times cos(2.4 k), divided by the root of the sum of the squared means.
        Mirrored kernels hardly change the other three statistics; they change this one, since other channels respond.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> statistics = fingerprint(random_weights())["relu1_1"]
    >>> round(statistics.zeros, 2)  # about half of the values of random filters are negative
    0.5
    """

    zeros: float
    mean: float
    rms: float
    signature: float


Fingerprint = dict[str, Statistics]


def picture() -> Array:  # -> (80, 96, 3)
    """Return the synthetic picture of the fingerprints: RGB, 0 to 255, float32.

    No flip, rotation, transposition or exchange of colors maps the picture or one of its textures to itself: a warm sky
    above a cold ground, oblique stripes, a sawtooth ramp to the right, discs lit from the upper left.

    Examples
    --------
    >>> p = picture()
    >>> p.shape, p.dtype.name, float(p.min()), float(p.max())
    ((80, 96, 3), 'float32', 10.0, 255.0)
    """
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    red = 220 - 1.4 * y + 0.3 * x
    green = 150 - 0.2 * y + 0.5 * x
    blue = 60 + 1.9 * y - 0.2 * x
    p = np.stack([red, green, blue], -1)
    lean = (3 * x + 5 * y) % 23  # stripes, steep on one side
    p[44:, :56] += (4 * (lean - 11))[44:, :56, None] * [0.5, 1.0, 0.2]
    ramp = (x * 7) % 40
    p[50:, 56:] += (3 * (ramp - 20))[50:, 56:, None] * [1.0, -0.3, 0.6]
    discs = (
        (16, 22, 13, (230, 60, 30)),
        (26, 66, 17, (40, 90, 200)),
        (58, 40, 9, (250, 220, 90)),
        (64, 78, 11, (20, 140, 60)),
    )
    for cy, cx, radius, color in discs:
        inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        light = 1 - ((y - cy) + 0.6 * (x - cx)) / (2.2 * radius)
        p[inside] = (np.asarray(color) * light[..., None])[inside]
    p[8:12, 40:94] = (20, 10, 30)  # a bar, and a post that meets it at its right end
    p[8:44, 90:93] = (245, 240, 220)
    drawn: Array = np.clip(np.rint(p), 0, 255).astype(np.float32)
    return drawn


def fingerprint(weights: Weights, convention: Convention | None = None) -> Fingerprint:
    """Return the fingerprint of a network.

    Parameters
    ----------
    weights : Weights
        The network.
    convention : Convention, optional
        The input convention, by default that of the weights.

    Returns
    -------
    dict of str to Statistics
        The statistics of ``relu1_1`` and so on, computed in float32 with max pooling and zero padding.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> found = fingerprint(random_weights())
    >>> deviation(found["relu1_1"], found["relu1_1"])
    0.0
    """
    network = build_network(weights)
    x = preprocess_forward(picture(), convention or CONVENTIONS[weights.convention])
    features, _ = network.forward(x, [layer.name for layer in network.layers if isinstance(layer, ReLU)])
    return {name: _statistics(f) for name, f in features.items()}


def _statistics(f: Array) -> Statistics:  # (H, W, C) -> Statistics
    channels = f.mean(axis=(0, 1), dtype=np.float64)
    mean = float(channels.mean())
    rms = float(np.sqrt(np.mean(np.square(f, dtype=np.float64))))
    wave = np.cos(2.4 * np.arange(channels.size))
    signature = float(channels @ wave / np.linalg.norm(channels)) if mean > 0 else 0.0
    return Statistics(float(np.mean(f == 0)), mean, rms, signature)


def deviation(found: Statistics, expected: Statistics) -> float:
    """Return the largest deviation between two statistics.

    The deviation is relative for mean and rms, absolute for zeros and signature.

    Examples
    --------
    >>> expected = Statistics(zeros=0.5, mean=2.0, rms=3.0, signature=0.1)
    >>> deviation(expected._replace(mean=2.5), expected)  # 2.5 is 25 % more than 2
    0.25
    >>> deviation(expected._replace(zeros=0.75), expected)
    0.25
    """
    ratios = [
        max(a, b) / min(a, b) - 1 if min(a, b) > 0 else float(a != b)
        for a, b in ((found.mean, expected.mean), (found.rms, expected.rms))
    ]
    return max(*ratios, abs(found.zeros - expected.zeros), abs(found.signature - expected.signature))


def describe_deviation(found: Fingerprint, expected: Fingerprint, most: Callable[[str], float]) -> str | None:
    """Return a sentence on the first layer whose statistics deviate too much, or None.

    Parameters
    ----------
    found, expected : Fingerprint
        The fingerprints to compare; every layer of the first must be in the second.
    most : callable
        Returns the largest allowed deviation of a layer, by its name.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> stored = fingerprint(random_weights(deepest="conv2_1"))
    >>> describe_deviation(stored, stored, lambda layer: 1e-3) is None
    True
    """
    for name, statistics in found.items():
        if name not in expected:
            return f"it has {name}, which it should not have"
        off = deviation(statistics, expected[name])
        if off > most(name):
            means = f"mean {statistics.mean:.4g}, expected {expected[name].mean:.4g}"
            return f"from {name} on its activations differ ({means}; deviation {off:.2g})"
    return None


def stored_fingerprint(weights: Weights) -> Fingerprint:
    """Return the fingerprint stored in the provenance of weights; empty if there is none.

    Examples
    --------
    >>> provenance = {"fingerprint": '{"relu1_1": [0.5, 2, 3, 0.1]}'}
    >>> stored_fingerprint(Weights("vgg19", "caffe", {}, provenance))["relu1_1"]
    Statistics(zeros=0.5, mean=2.0, rms=3.0, signature=0.1)
    """
    try:
        stored = json.loads(weights.provenance.get("fingerprint", "{}"))
        return {name: Statistics(*map(float, values)) for name, values in stored.items()}
    except (ValueError, TypeError, AttributeError):
        raise HandstyleError("weights: the stored fingerprint is damaged") from None


def with_fingerprint(weights: Weights, dtype: DTypeLike = np.float32) -> Weights:
    """Return weights with the fingerprint of their values, rounded to `dtype`, in the provenance.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = with_fingerprint(random_weights(deepest="conv1_1"))
    >>> describe_deviation(fingerprint(weights), stored_fingerprint(weights), lambda layer: 1e-6) is None
    True
    """
    layers = {name: (_rounded(w, dtype), _rounded(b, dtype)) for name, (w, b) in weights.layers.items()}
    found = fingerprint(replace(weights, layers=layers)).items()
    text = json.dumps({name: [float(f"{value:.7g}") for value in values] for name, values in found})
    return replace(weights, provenance={**weights.provenance, "fingerprint": text})


def _rounded(a: Array, dtype: DTypeLike) -> Array:
    return a.astype(dtype).astype(np.float32)
