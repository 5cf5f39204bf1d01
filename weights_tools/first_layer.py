"""Identify a published network, the orientation of its kernels and its input convention by the layer conv1_1.

A published network is recognized by its first kernel, in every orientation and both color orders. If the statistics of
a first layer deviate from the expected ones, each common mistake is corrected in turn, and the statistics are compared
again.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import CONVENTIONS
from handstyle.network.vgg import Weights
from weights_tools.fingerprint import Statistics, deviation, fingerprint
from weights_tools.known import KNOWN, Known
from weights_tools.readers.reading import Layers

# Each is its own inverse, and acts on the first two axes of (3, 3, C, K).
ORIENTATIONS: dict[str, Callable[[Array], Array]] = {
    "": lambda w: w,
    "rotated by 180 degrees": lambda w: w[::-1, ::-1],
    "transposed (width and height exchanged)": lambda w: w.swapaxes(0, 1),
    "transposed (width and height exchanged) and rotated by 180 degrees": lambda w: w[::-1, ::-1].swapaxes(0, 1),
    "mirrored left to right": lambda w: w[:, ::-1],
    "mirrored top to bottom": lambda w: w[::-1],
}

# Largest relative difference from a published kernel, whose values have four decimals; float16 adds an error of 5e-4.
MATCH_TOLERANCE = 2e-3


class Match(NamedTuple):
    """A recognized network, and how the kernels of the file differ from the published ones.

    Attributes
    ----------
    known : Known
        The network.
    orientation : str
        The transformation of the kernels in the file: a key of `ORIENTATIONS`, empty for none.
    exchanged : bool
        Whether the colors are in the reverse order.
    scale : float
        The factor of the first filter: 1, or 255 if the network expects pictures from 0 to 1, any other number if
        filters were rescaled.

    Examples
    --------
    >>> w = np.nan_to_num(KNOWN[0].landmark)[..., None]
    >>> match = recognize({"conv1_1": (w[::-1, ::-1] / 2, np.zeros(1))}, "vgg19")
    >>> match.known.title, match.orientation, match.exchanged, match.scale
    ('VGG-19 of the Visual Geometry Group (Caffe)', 'rotated by 180 degrees', False, 0.5)
    """

    known: Known
    orientation: str
    exchanged: bool
    scale: float


def recognize(layers: Layers, architecture: str) -> Match | None:
    """Return the published network that has the first kernel of `layers`, or None.

    Notes
    -----
    A kernel w matches a published one l if ‖w − s l‖ ≤ 0.002 ‖w‖ over the known values for the best positive factor s.
    So a network with rescaled filters, such as Gatys' normalized one, is recognized too.

    Examples
    --------
    >>> w = KNOWN[0].landmark[..., None]  # the first of the 64 kernels of VGG-19
    >>> match = recognize({"conv1_1": (w[:, :, ::-1], np.zeros(1))}, "vgg19")
    >>> match.known.title, match.exchanged
    ('VGG-19 of the Visual Geometry Group (Caffe)', True)
    """
    if "conv1_1" not in layers:
        return None
    kernel = layers["conv1_1"][0][..., :1].astype(np.float64)
    candidates = [known for known in KNOWN if known.architecture == architecture]
    for known, (orientation, turn), exchanged in product(candidates, ORIENTATIONS.items(), (False, True)):
        mask = np.isfinite(known.landmark)
        candidate, expected = turn(kernel)[..., 0], known.landmark[mask]
        found = (candidate[..., ::-1] if exchanged else candidate)[mask]
        scale = float(found @ expected / (expected @ expected))
        if scale > 0 and np.linalg.norm(found - scale * expected) <= MATCH_TOLERANCE * np.linalg.norm(found):
            return Match(known, orientation, exchanged, scale)
    return None


def is_rescaled(scale: float) -> bool:
    """Return whether filters were rescaled, given the ratio of the first filter to the published one.

    A ratio of 255 or 1/255 is not a rescaling of filters, but shows that the network expects another range of pictures.

    Examples
    --------
    >>> is_rescaled(0.37), is_rescaled(255.0)
    (True, False)
    """
    return all(abs(scale / mistaken - 1) >= 0.01 for mistaken in (1, 255, 1 / 255))


def transform_kernels(weights: Weights, orientation: str = "", exchanged: bool = False) -> Weights:
    """Return weights with all kernels transformed and, if `exchanged`, the colors of conv1_1 in the reverse order.

    Applied twice, it returns the original weights.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv1_1")
    >>> turned = transform_kernels(weights, "rotated by 180 degrees")
    >>> w, b = turned.layers["conv1_1"]
    >>> np.array_equal(w[0, 0], weights.layers["conv1_1"][0][2, 2])
    True
    """
    turn = ORIENTATIONS[orientation]
    layers = {name: (np.ascontiguousarray(turn(w)), b) for name, (w, b) in weights.layers.items()}
    if exchanged and "conv1_1" in layers:
        w, b = layers["conv1_1"]
        layers["conv1_1"] = np.ascontiguousarray(w[:, :, ::-1]), b
    return Weights(weights.architecture, weights.convention, layers, dict(weights.provenance))


def find_orientation(weights: Weights, expected: Statistics, most: float) -> tuple[str, bool] | None:
    """Find the orientation and color order of conv1_1 for which its statistics are the expected ones.

    Parameters
    ----------
    weights : Weights
        The network.
    expected : Statistics
        The statistics of relu1_1 in the published network.
    most : float
        The largest allowed deviation.

    Returns
    -------
    orientation : str
        The transformation of the kernels: a key of `ORIENTATIONS`, empty for none.
    exchanged : bool
        Whether the colors are in the reverse order. If no combination gives the expected statistics, the function
        returns None instead of both.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv1_1")
    >>> expected = fingerprint(weights)["relu1_1"]
    >>> find_orientation(transform_kernels(weights, "mirrored top to bottom", exchanged=True), expected, 1e-4)
    ('mirrored top to bottom', True)
    """
    first = _first(weights)
    tried = ((orientation, exchanged) for exchanged in (False, True) for orientation in ORIENTATIONS)
    return next((lies for lies in tried if _has_statistics(transform_kernels(first, *lies), expected, most)), None)


def find_input_mismatch(weights: Weights, expected: Statistics, most: float) -> str | None:
    """Return a sentence on the input that conv1_1 expects, if that explains its statistics, or None.

    Parameters
    ----------
    weights : Weights
        The network.
    expected : Statistics
        The statistics of relu1_1 in the published network.
    most : float
        The largest allowed deviation.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv1_1")
    >>> expected = fingerprint(weights)["relu1_1"]
    >>> w, b = weights.layers["conv1_1"]
    >>> find_input_mismatch(replace(weights, layers={"conv1_1": (255 * w, b)}), expected, 1e-4)
    'conv1_1 expects pictures from 0 to 1, not 0 to 255'
    """
    first, convention = _first(weights), CONVENTIONS[weights.convention]
    w, b = first.layers["conv1_1"]
    other, factor = ("0 to 1, not 0 to 255", 255) if convention.scale == 255 else ("0 to 255, not 0 to 1", 1 / 255)
    if _has_statistics(_with_first_layer(first, w / factor, b), expected, most):
        return f"conv1_1 expects pictures from {other}"
    # In a first layer whose input has its mean not subtracted, the mean is part of the biases.
    mean = np.asarray(convention.mean) / convention.std
    if _has_statistics(_with_first_layer(first, w, b + w.sum(axis=(0, 1)).T @ mean), expected, most):
        return "conv1_1 expects pictures whose mean is not subtracted"
    for name in CONVENTIONS:
        if name != weights.convention and _has_statistics(replace(first, convention=name), expected, most):
            return f"conv1_1 expects the convention {name}, not {weights.convention}"
    return None


def _first(weights: Weights) -> Weights:
    return replace(weights, layers={"conv1_1": weights.layers["conv1_1"]})


def _with_first_layer(weights: Weights, w: Array, b: Array) -> Weights:
    return replace(weights, layers={"conv1_1": (w.astype(np.float32), b.astype(np.float32))})


def _has_statistics(first: Weights, expected: Statistics, most: float) -> bool:
    return deviation(fingerprint(first)["relu1_1"], expected) <= most
