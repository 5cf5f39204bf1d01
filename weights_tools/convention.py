"""Decide what a network expects of its input: Caffe's or torchvision's convention, BGR or RGB, kernels as they lie.

The two families share the names of their layers and the sizes of their first kernels, so neither a file's name nor
its first layer tells them apart. A network that is recognized by its first kernel is known. For any other, what
decides is how much its biases weigh: trained on pictures of 0 to 255, activations grow to hundreds and biases of
blocks 3 and 4 are lost beside them; trained on pictures of unit variance, both are of one size.
"""

from typing import NamedTuple

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, TORCHVISION, preprocess_forward
from handstyle.network.vgg import Weights, build_network
from weights_tools.fingerprint import picture
from weights_tools.first_layer import recognize, rescaled, turned
from weights_tools.readers.reading import Reading

# The share of the biases when the picture is fed with unit variance. Measured on the Caffe VGG-19: 0.0008, geometric
# mean over conv3_1 … conv4_4. For torchvision's VGG-16, whose published biases of conv4_1 have a median of 0.055 beside
# responses near 1, about 0.05 is expected; that network was not at hand. Between the two bounds, the user is asked.
CAFFE_BELOW = 0.007
TORCHVISION_ABOVE = 0.02
# Both are of networks as they were trained. What was pruned and refitted has larger biases, that stand for the channels
# left out: 0.14 in the network that ships, which takes 0 to 255. So large biases tell nothing of a network of other
# widths.
WIDTHS = (64, 128, 256, 512, 512)


class Decision(NamedTuple):
    """Weights in this package's orientation, and the findings that led there, one sentence each."""

    weights: Weights
    findings: list[str]


def bias_share(weights: Weights) -> float | None:
    """Return the size of the biases relative to the responses in blocks 3 and 4, on a picture of unit variance.

    Parameters
    ----------
    weights : Weights
        Any; the convention it claims is not looked at.

    Returns
    -------
    float or None
        The geometric mean over the layers of the median over the channels of |b| / rms(response without b). None
        where blocks 3 and 4 are missing or have no biases. It does not change when filters are rescaled.
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
    """Decide a file's convention, and undo rotations of its kernels and exchanges of its colors.

    Parameters
    ----------
    reading : Reading
        From `read_any`.
    convention : {"caffe", "torchvision"}, optional
        The user's word, for a network that is not recognized.

    Returns
    -------
    Decision

    Raises
    ------
    HandstyleError
        If the content does not decide and the user has not, or if the two contradict each other.
    """
    if convention is not None and convention not in CONVENTIONS:
        raise HandstyleError(f"unknown convention {convention!r}: use {', '.join(CONVENTIONS)}")
    weights = Weights(reading.architecture, "caffe", reading.layers)
    findings = [f"read as {reading.layout}"]
    if match := recognize(reading.layers, reading.architecture):
        known = match.known
        if convention not in (None, known.convention):
            raise HandstyleError(
                f"its first kernel is that of {known.title}: convention {known.convention}, not {convention}"
            )
        weights = turned(weights, match.orientation, match.exchanged)
        findings.append(f"recognized by its first kernel as {known.title}: convention {known.convention}")
        if match.orientation:
            findings.append(f"its kernels were {match.orientation} against the format's own rule: undone")
        if match.exchanged:
            findings.append(f"its colors were in the order {CONVENTIONS[known.convention].order[::-1]}: exchanged")
        provenance = {"network": known.title, "licence": known.licence}
        if rescaled(match.scale):
            findings.append(f"its first filter is {match.scale:.3g} times the published one: its filters were rescaled")
            provenance["normalized"] = "by whoever published it"
        return Decision(Weights(weights.architecture, known.convention, weights.layers, provenance), findings)
    findings.append("not one of the networks that are recognized")
    if convention is None:
        convention, told = by_biases(weights)
        if convention is None:
            raise HandstyleError(
                f"{told}: name it, handstyle weights convert SOURCE TARGET --convention caffe, or torchvision"
            )
        findings.append(told)
    else:
        findings.append(f"convention {convention}, as asked")
    order = CONVENTIONS[convention].order
    if reading.order is None:
        findings.append(f"colors taken to be {order}, as usual for {convention}: the format does not say")
    elif reading.order != order:
        weights = turned(weights, exchanged=True)
        findings.append(f"colors are {reading.order} in this format: exchanged to {order}")
    if reading.turned:
        findings.append("kernels taken to be Theano's, and rotated by 180 degrees")
    provenance = {"network": f"{reading.architecture}, not recognized"}
    return Decision(Weights(weights.architecture, convention, weights.layers, provenance), findings)


def by_biases(weights: Weights) -> tuple[str | None, str]:
    """Infer the convention from the relative size of the biases.

    Parameters
    ----------
    weights : Weights
        Any; the convention it claims is not looked at.

    Returns
    -------
    convention : str or None
        None where the biases do not tell.
    found : str
        What was found.
    """
    share = bias_share(weights)
    if share is None:
        return None, "blocks 3 and 4 have no biases to tell its convention by"
    found = f"biases weigh {share:.2g} in blocks 3 and 4"
    if share < CAFFE_BELOW:
        return "caffe", f"{found}, as in caffe, where pictures are from 0 to 255"
    widths = tuple(w.shape[3] for name, (w, _) in weights.layers.items() if name.endswith("_1"))
    if share <= TORCHVISION_ABOVE:
        return None, f"{found}, between {CAFFE_BELOW} and {TORCHVISION_ABOVE}"
    if widths != WIDTHS[: len(widths)]:
        return None, f"{found}, which tells nothing where the widths are not VGG's own, since pruning enlarges biases"
    return "torchvision", f"{found}, as in torchvision, where pictures are of unit variance"
