"""Compare two networks layer by layer: their values, and their features for one picture."""

from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, preprocess_forward
from handstyle.network.vgg import Weights, build_network
from weights_tools.fingerprint import picture


class Difference(NamedTuple):
    """The relative L2 distances of one convolution in two networks: of kernels, biases, and features after the ReLU.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> first, second = random_weights(deepest="conv1_1"), random_weights(deepest="conv1_1")
    >>> second.layers["conv1_1"][0][:] *= 1.5
    >>> round(compare(first, second)[0].kernel, 3)
    0.5
    """

    layer: str
    kernel: float
    bias: float
    features: float


def compare(first: Weights, second: Weights, p: Array | None = None) -> list[Difference]:
    """Compare two networks over the layers that both have.

    Parameters
    ----------
    first, second : Weights
        Two networks of the same architecture and widths; the input of each has its own convention.
    p : (H, W, 3) array, optional
        The picture for the features, RGB, 0 to 255; by default that of `weights_tools.fingerprint`.

    Returns
    -------
    list of Difference
        The distances ``‖first − second‖ / ‖first‖`` of each layer.

    Raises
    ------
    HandstyleError
        If the layers differ in shape.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> compare(random_weights(), random_weights())[0]
    Difference(layer='conv1_1', kernel=0.0, bias=0.0, features=0.0)
    """
    if first.architecture != second.architecture:
        raise HandstyleError(f"{first.architecture} and {second.architecture} cannot be compared layer by layer")
    p = picture() if p is None else p
    shared = [name for name in first.layers if name in second.layers]
    features = []
    for weights in (first, second):
        x = preprocess_forward(np.asarray(p, np.float32), CONVENTIONS[weights.convention])
        taps = [name.replace("conv", "relu") for name in shared]
        features.append(build_network(weights).forward(x, taps)[0])
    rows = []
    for name in shared:
        (w1, b1), (w2, b2) = first.layers[name], second.layers[name]
        if w1.shape != w2.shape:
            raise HandstyleError(f"layer {name} is {w1.shape} in one and {w2.shape} in the other")
        relu = name.replace("conv", "relu")
        rows.append(
            Difference(name, _distance(w1, w2), _distance(b1, b2), _distance(features[0][relu], features[1][relu]))
        )
    return rows


def _distance(a: Array, b: Array) -> float:
    size = float(np.linalg.norm(a.astype(np.float64)))
    apart = float(np.linalg.norm(a.astype(np.float64) - b))
    return apart / size if size else apart
