"""Scale a network's features to the root mean square for which a preset's loss weights were chosen.

Loss weights depend on the network: a Gram matrix grows with the square of the features, its squared distance with their
fourth power, and total variation does not depend on them. With a network whose features are of another scale, a preset
with published weights gives a picture with nothing but smoothness, or nothing but style. Rectifier and pooling are
positively homogeneous, ``relu(s x) = s relu(x)`` for ``s > 0``. So the weights of each layer can be multiplied by a
positive factor and those of the next layer divided by it: the network computes the same features, scaled.
"""

from dataclasses import replace

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import preprocess_forward
from handstyle.network.sequence import Convolution, Layer
from handstyle.network.vgg import WIDTHS, Network

# Root mean square of each rectified layer of VGG-19 (Simonyan and Zisserman's weights, Caffe's convention) on `noise`:
# a row for each block.
_RMS_OF_BLOCKS = (
    (53.34, 217.5),
    (318.3, 392.5),
    (380, 452.9, 839.6, 1374),
    (1338, 947.8, 509.7, 142.1),
    (107.6, 49.27, 16.99, 2.749),
)
FEATURE_RMS = {f"relu{i}_{j}": rms for i, row in enumerate(_RMS_OF_BLOCKS, 1) for j, rms in enumerate(row, 1)}


def noise(side: int = 128) -> Array:  # -> (side, side, 3) float64, 0 to 255
    """Return a picture of noise with amplitude 1 / frequency, as in photographs (Field 1987, J. Opt. Soc. Am. A 4).

    Examples
    --------
    >>> p = noise(64)
    >>> p.shape, bool(p.min() >= 0), bool(p.max() <= 255)
    ((64, 64, 3), True, True)
    """
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :])
    frequency[0, 0] = 1
    planes = np.fft.ifft2(np.fft.fft2(rng.standard_normal((3, side, side))) / frequency).real
    gray, color = planes[0], planes - planes.mean(axis=0)
    mixed = (gray + 0.5 * color).transpose(1, 2, 0)
    drawn: Array = np.clip(120 + 55 * mixed / mixed.std(), 0, 255)
    return drawn


def feature_rms(network: Network, power: int = 2) -> dict[str, float]:
    """Return the root mean square of the features of each rectifier, measured on the picture of `noise`.

    With ``power=1`` their mean is returned instead.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> list(feature_rms(network))
    ['relu1_1']
    """
    taps = [name for name in network.names if name.startswith("relu")]
    p = network.backend.asarray(noise(), dtype=network.dtype)
    features, _ = network.forward(preprocess_forward(p, network.convention), taps)
    return {tap: float((features[tap] ** power).mean()) ** (1 / power) for tap in taps}


def is_published(network: Network) -> bool:
    """Return whether the network has the numbers of channels of the published VGG networks.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> is_published(build_network(random_weights()))  # its first layer has 16 channels, not 64
    False
    """
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    return all(layer.b.size == WIDTHS[int(layer.name[4]) - 1] for layer in convolutions)


def match_features(network: Network, size: str) -> tuple[Network, str]:
    """Return a network whose features have the size that a preset requires.

    Parameters
    ----------
    network : Network
        The network as loaded.
    size : {"vgg19", "unit", "any"}
        The required size of the features, from `Preset.features`: the root mean squares of VGG-19, a mean of 1, or no
        requirement.

    Returns
    -------
    network : Network
        The network, with rescaled weights if needed.
    note : str
        A sentence on what was changed; empty if nothing was.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, note = match_features(build_network(random_weights(deepest="conv1_1")), "vgg19")
    >>> round(feature_rms(network)["relu1_1"], 2)  # VGG-19's
    53.34
    """
    if size == "vgg19" and not is_published(network):
        note = "the features of this network were rescaled to the size of VGG-19's, for which the weights were chosen"
        return set_feature_rms(network, FEATURE_RMS), note
    if size == "unit":
        unit = set_feature_rms(network, dict.fromkeys(FEATURE_RMS, 1.0), power=1)
        return unit, "every layer was rescaled to a mean activation of 1, on noise where the paper uses photographs"
    return network, ""


def set_feature_rms(network: Network, wanted: dict[str, float], power: int = 2) -> Network:
    """Return a rescaled network whose features on the picture of `noise` have a given root mean square at each layer.

    Parameters
    ----------
    network : Network
        A network with VGG's layer names.
    wanted : dict of str to float
        The root mean square for each rectified layer.
    power : int
        See `feature_rms`.

    Returns
    -------
    Network
        A network whose features are those of `network` times a positive factor for each layer.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = set_feature_rms(build_network(random_weights(deepest="conv1_2")), {"relu1_1": 5.0, "relu1_2": 7.0})
    >>> {tap: round(rms, 3) for tap, rms in feature_rms(network).items()}
    {'relu1_1': 5.0, 'relu1_2': 7.0}
    """
    measured, layers, before = feature_rms(network, power), list[Layer](), 1.0
    for layer in network.layers:
        if isinstance(layer, Convolution):
            tap = layer.name.replace("conv", "relu")
            factor = wanted[tap] / measured[tap] if measured.get(tap) and tap in wanted else before
            number = layer.w.dtype.type
            # book: preset-rescaled
            layer = replace(layer, w=layer.w * number(factor / before), b=layer.b * number(factor))
            before = factor
        layers.append(layer)
    return replace(network, layers=tuple(layers))
