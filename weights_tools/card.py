"""Describe a network by a card: its architecture, convention and provenance, and a picture of its first filters."""

import math

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import CONVENTIONS
from handstyle.network.vgg import Weights

PIXEL_SIZE = 18  # px of the sheet for one value of a kernel
GAP = 6  # px between filters


def describe(weights: Weights) -> list[tuple[str, str]]:
    """Return the rows of the card as names and values: properties of the arrays, then the provenance.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> describe(random_weights())[0]
    ('architecture', 'vgg19, to conv5_1')
    """
    widths = [weights.layers[name][0].shape[3] for name in weights.layers if name.endswith("_1")]
    parameters = sum(w.size + b.size for w, b in weights.layers.values())
    convention = CONVENTIONS[weights.convention]
    expects = f"{convention.order}, 0 to {convention.scale:g}, minus {convention.mean}"
    if set(convention.std) != {1.0}:
        expects += f", over {convention.std}"
    rows = [
        ("architecture", f"{weights.architecture}, to {list(weights.layers)[-1]}"),
        ("widths", ", ".join(map(str, widths))),
        ("parameters", f"{parameters:,}"),
        ("convention", f"{weights.convention}: {expects}"),
    ]
    return rows + [(key, value) for key, value in sorted(weights.provenance.items()) if key != "fingerprint"]


def filters_sheet(weights: Weights) -> Array:  # -> (H, W, 3) uint8
    """Return a picture of the kernels of conv1_1, in which colors are values and gray is zero.

    All kernels have the same scale, so that filters can be compared; it is set by the 99.5th percentile of the absolute
    values.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> filters_sheet(random_weights()).shape  # 16 filters: 4 rows of 54 px and 5 gaps of 6 px
    (246, 246, 3)
    >>> filters_sheet(random_weights())[0, 0]  # a gap is white
    array([255, 255, 255], dtype=uint8)
    """
    w = weights.layers["conv1_1"][0]
    if CONVENTIONS[weights.convention].order == "BGR":
        w = w[:, :, ::-1]
    scale = float(np.percentile(np.abs(w), 99.5)) or 1.0
    colors = np.clip(127.5 + 127.5 * w / scale, 0, 255).round().astype(np.uint8)
    count = w.shape[3]
    columns = math.ceil(math.sqrt(count))
    side = 3 * PIXEL_SIZE
    rows = math.ceil(count / columns)
    sheet = np.full((GAP + rows * (side + GAP), GAP + columns * (side + GAP), 3), 255, np.uint8)
    for k in range(count):
        y, x = GAP + (k // columns) * (side + GAP), GAP + (k % columns) * (side + GAP)
        sheet[y : y + side, x : x + side] = colors[..., k].repeat(PIXEL_SIZE, 0).repeat(PIXEL_SIZE, 1)
    return sheet
