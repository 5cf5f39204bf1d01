"""Normalize a network as Gatys did: rescale each filter so that its mean activation over given pictures is 1.

Gatys, Ecker and Bethge (2015, arXiv 1505.07376, section 2; 2016, section 2) rescale VGG so that the features of all
layers have the same size, and no weights are needed to balance the layers. The rectifier and both poolings commute with
positive factors, so the rescaled network computes the same features, each divided by its mean. Style weights for one of
the two networks are therefore not valid for the other.
"""

from collections.abc import Sequence

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, preprocess_forward
from handstyle.network.vgg import Weights, build_network


def mean_activations(weights: Weights, pictures: Sequence[Array]) -> dict[str, Array]:  # -> {conv: (K,) float64}
    """Return the mean activation of each filter after the rectifier, over all positions of all pictures.

    Parameters
    ----------
    weights : Weights
        The network.
    pictures : sequence of (H, W, 3) arrays
        The pictures, RGB, 0 to 255.

    Returns
    -------
    dict of str to (K,) array of float64
        The means of the filters of ``conv1_1`` and so on.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.network.vgg import random_weights
    >>> means = mean_activations(random_weights(deepest="conv1_2"), [np.full((32, 32, 3), 128.0)])
    >>> {name: mean.shape for name, mean in means.items()}
    {'conv1_1': (16,), 'conv1_2': (16,)}
    """
    network = build_network(weights)
    taps = [name.replace("conv", "relu") for name in weights.layers]
    sums = {name: np.zeros(b.shape) for name, (_, b) in weights.layers.items()}
    counts = dict.fromkeys(weights.layers, 0)
    for p in pictures:
        x = preprocess_forward(np.asarray(p, np.float32), CONVENTIONS[weights.convention])
        features, _ = network.forward(x, taps)
        for name in weights.layers:
            f = features[name.replace("conv", "relu")]
            sums[name] += f.sum(axis=(0, 1), dtype=np.float64)
            counts[name] += f.shape[0] * f.shape[1]
    return {name: sums[name] / counts[name] for name in weights.layers}


def normalize(weights: Weights, pictures: Sequence[Array], names: str) -> Weights:
    """Return a network with every filter rescaled to mean activation 1.

    Parameters
    ----------
    weights : Weights
        The network, which is not changed.
    pictures : sequence of (H, W, 3) arrays
        The pictures, RGB, 0 to 255, with sides of at least 16 pixels.
    names : str
        A description of the pictures, for the provenance.

    Returns
    -------
    Weights
        The rescaled network. In its provenance ``normalized`` describes the pictures, and has the number of filters
        that are zero for all of them and were not rescaled.

    Notes
    -----
    With m_l the means of layer l, ``w_l[..., c, k]`` becomes ``w_l[..., c, k] m_{l−1}[c] / m_l[k]``, and
    ``b_l[k]`` becomes ``b_l[k] / m_l[k]``: each layer multiplies by what the outputs of the one before were divided by.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> from weights_tools.fingerprint import picture
    >>> scaled = normalize(random_weights(), [picture()], "one picture")
    >>> means = mean_activations(scaled, [picture()])["conv3_1"]
    >>> bool(np.allclose(means[means > 0], 1, rtol=1e-4))
    True
    """
    if not pictures:
        raise HandstyleError("to normalize a network, give at least one picture")
    means = mean_activations(weights, pictures)
    layers, before, silent = {}, np.ones(3), 0
    for name, (w, b) in weights.layers.items():
        m = np.where(means[name] > 0, means[name], 1.0)
        silent += int((means[name] <= 0).sum())
        layers[name] = ((w * before[:, None] / m).astype(np.float32), (b / m).astype(np.float32))
        before = m
    said = f"each filter has mean activation 1 over {names}"
    if silent:
        said += f"; {silent} filters are zero on them and were not rescaled"
    provenance = {key: value for key, value in weights.provenance.items() if key != "fingerprint"}
    return Weights(weights.architecture, weights.convention, layers, {**provenance, "normalized": said})
