"""Determine the input convention of a network, Caffe's or torchvision's, and correct colors and kernels.

The two families share the names of their layers and the shapes of their first kernels, so neither distinguishes them. A
published network is recognized by the values of its first kernel. For any other network the size of the biases
decides: with training on pictures from 0 to 255, activations reach hundreds and the biases of blocks 3 and 4 are
negligible; with training on pictures of unit variance, biases and activations are of similar size.
"""

from typing import NamedTuple

import numpy as np

from handstyle.foundations.errors import HandstyleError, check_name
from handstyle.foundations.image import CONVENTIONS, TORCHVISION, preprocess_forward
from handstyle.network.vgg import WIDTHS, Weights, build_network
from weights_tools.fingerprint import picture
from weights_tools.first_layer import is_rescaled, recognize, transform_kernels
from weights_tools.readers.reading import Reading

# Bounds of `bias_share`. It is 0.0008 for the Caffe VGG-19 (measured). For torchvision's VGG-16 about 0.05 is expected,
# since its published biases of conv4_1 have a median of 0.055 and responses are near 1; that network was not available.
# Between the bounds, the user must name the convention.
CAFFE_BELOW = 0.007
TORCHVISION_ABOVE = 0.02
# Both bounds are for networks as they were trained. Pruned and refitted networks have larger biases, which replace the
# removed channels: 0.14 in the network included in the package, whose input is 0 to 255. So for networks of other
# widths large biases are no evidence.


class Decision(NamedTuple):
    """The weights of a file, with a known convention and this package's orientation, and a sentence on each finding.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv2_1")
    >>> reading = Reading("an example", "vgg19", weights.layers, order="BGR")
    >>> decide(reading, "caffe").findings[-1]
    'convention caffe, as given'
    """

    weights: Weights
    findings: list[str]


def bias_share(weights: Weights) -> float | None:
    """Return the size of the biases relative to the responses in blocks 3 and 4, on a picture of unit variance.

    Parameters
    ----------
    weights : Weights
        Any weights; their stated convention is not used.

    Returns
    -------
    float or None
        The geometric mean over the layers of the median over the channels of |b| / rms(response without b); None if
        blocks 3 and 4 are missing or have no biases. Rescaling filters does not change it.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> bias_share(random_weights()) is None  # their biases are zero
    True
    """
    network = build_network(weights)
    taps = [name for name in weights.layers if name[4] in "34"]
    if not taps:
        return None
    features, _ = network.forward(preprocess_forward(picture(), TORCHVISION), taps)
    logarithms = []
    for name in taps:
        b = weights.layers[name][1].astype(np.float64)
        response = np.sqrt(np.mean(np.square(features[name] - b), axis=(0, 1)))
        alive = response > 0
        share = float(np.median(np.abs(b[alive]) / response[alive])) if alive.any() else 0.0
        if share == 0:
            return None
        logarithms.append(np.log(share))
    return float(np.exp(np.mean(logarithms)))


def decide(reading: Reading, convention: str | None = None) -> Decision:
    """Determine the convention of the network in a file, and undo rotated kernels and exchanged colors.

    Parameters
    ----------
    reading : Reading
        The result of `read_any`.
    convention : {"caffe", "torchvision"}, optional
        The convention given by the user, for a network that is not recognized.

    Returns
    -------
    Decision

    Raises
    ------
    HandstyleError
        If the convention cannot be determined and is not given, or if the given one is not that of the network.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv2_1")
    >>> reading = Reading("an example", "vgg19", weights.layers, order="RGB")
    >>> decision = decide(reading, "caffe")
    >>> decision.findings[-1], decision.weights.convention
    ('colors are RGB in this format: exchanged to BGR', 'caffe')
    >>> w = decision.weights.layers["conv1_1"][0]
    >>> np.array_equal(w[:, :, ::-1], weights.layers["conv1_1"][0])
    True
    """
    if convention is not None:
        check_name("convention", convention, CONVENTIONS)
    weights = Weights(reading.architecture, "caffe", reading.layers)
    findings = [f"read as {reading.layout}"]
    if match := recognize(reading.layers, reading.architecture):
        known = match.known
        if convention not in (None, known.convention):
            raise HandstyleError(
                f"its first kernel is that of {known.title}: convention {known.convention}, not {convention}"
            )
        weights = transform_kernels(weights, match.orientation, match.exchanged)
        findings.append(f"recognized by its first kernel as {known.title}: convention {known.convention}")
        if match.orientation:
            findings.append(f"its kernels were {match.orientation} against the format's own rule: undone")
        if match.exchanged:
            findings.append(f"its colors were in the order {CONVENTIONS[known.convention].order[::-1]}: exchanged")
        provenance = {"network": known.title, "license": known.license}
        if is_rescaled(match.scale):
            findings.append(f"its first filter is {match.scale:.3g} times the published one: its filters were rescaled")
            provenance["normalized"] = "by its publisher"
        return Decision(Weights(weights.architecture, known.convention, weights.layers, provenance), findings)
    findings.append("not one of the networks that are recognized")
    if convention is None:
        convention, finding = decide_by_biases(weights)
        if convention is None:
            raise HandstyleError(
                f"{finding}: convert it with convention='caffe' or convention='torchvision' "
                "(handstyle weights convert SOURCE TARGET --convention caffe)"
            )
        findings.append(finding)
    else:
        findings.append(f"convention {convention}, as given")
    order = CONVENTIONS[convention].order
    if reading.order is None:
        findings.append(f"colors assumed to be {order}, as usual for {convention}: the format does not specify them")
    elif reading.order != order:
        weights = transform_kernels(weights, exchanged=True)
        findings.append(f"colors are {reading.order} in this format: exchanged to {order}")
    if reading.turned:
        findings.append("kernels assumed to be Theano's, and rotated by 180 degrees")
    provenance = {"network": f"{reading.architecture}, not recognized"}
    return Decision(Weights(weights.architecture, convention, weights.layers, provenance), findings)


def decide_by_biases(weights: Weights) -> tuple[str | None, str]:
    """Infer the convention from the relative size of the biases.

    Parameters
    ----------
    weights : Weights
        Any weights; their stated convention is not used.

    Returns
    -------
    convention : str or None
        None if the biases are not conclusive.
    found : str
        A sentence on the finding.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> weights = random_weights(deepest="conv3_1")
    >>> decide_by_biases(weights)  # they are zero
    (None, 'blocks 3 and 4 have no biases from which to determine the convention')
    >>> weights.layers["conv3_1"][1][:] = 1e-3
    >>> decide_by_biases(weights)[0]
    'caffe'
    """
    share = bias_share(weights)
    if share is None:
        return None, "blocks 3 and 4 have no biases from which to determine the convention"
    found = f"biases weigh {share:.2g} in blocks 3 and 4"
    if share < CAFFE_BELOW:
        return "caffe", f"{found}, as in caffe, where pictures are from 0 to 255"
    widths = tuple(w.shape[3] for name, (w, _) in weights.layers.items() if name.endswith("_1"))
    if share <= TORCHVISION_ABOVE:
        return None, f"{found}, between {CAFFE_BELOW} and {TORCHVISION_ABOVE}"
    if widths != WIDTHS[: len(widths)]:
        return None, f"{found}, which is inconclusive if the widths are not VGG's own, since pruning enlarges biases"
    return "torchvision", f"{found}, as in torchvision, where pictures are of unit variance"
