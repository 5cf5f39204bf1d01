"""Recognize a published network by the first kernel of conv1_1, however it was turned or its colors exchanged."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.network.vgg import Weights
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

# The landmarks are known to four decimals or better; float16 adds 5e-4.
CLOSENESS = 2e-3


class Match(NamedTuple):
    """What was recognized.

    Attributes
    ----------
    known : Known
        The network.
    orientation : str
        What was done to its kernels: a key of `ORIENTATIONS`, empty if nothing.
    exchanged : bool
        Whether its colors are in the reverse order.
    scale : float
        The factor of its first filter: 1, or 255 if it expects pictures from 0 to 1, any other if filters
        were rescaled.
    """

    known: Known
    orientation: str
    exchanged: bool
    scale: float


def recognize(layers: Layers, architecture: str) -> Match | None:
    """Return the published network that the first kernel belongs to, or None.

    Notes
    -----
    A kernel w matches a landmark l if ‖w − s l‖ ≤ 0.002 ‖w‖ over the known values for the best positive factor s: a
    network with rescaled filters, such as Gatys' normalized one, is recognized too.
    """
    if "conv1_1" not in layers:
        return None
    kernel = layers["conv1_1"][0][..., :1].astype(np.float64)
    for known in KNOWN:
        if known.architecture != architecture:
            continue
        mask = np.isfinite(known.landmark)
        expected = known.landmark[mask]
        for orientation, turn in ORIENTATIONS.items():
            for exchanged in (False, True):
                candidate = turn(kernel)[..., 0]
                found = (candidate[..., ::-1] if exchanged else candidate)[mask]
                scale = float(found @ expected / (expected @ expected))
                if scale > 0 and np.linalg.norm(found - scale * expected) <= CLOSENESS * np.linalg.norm(found):
                    return Match(known, orientation, exchanged, scale)
    return None


def rescaled(scale: float) -> bool:
    """Return whether a first filter's factor is that of rescaled filters: neither 1 nor a mistaken 255 or 1/255."""
    return all(abs(scale / mistaken - 1) >= 0.01 for mistaken in (1, 255, 1 / 255))


def turned(weights: Weights, orientation: str = "", exchanged: bool = False) -> Weights:
    """Return weights with every kernel turned, and the colors of conv1_1 exchanged; its own inverse."""
    turn = ORIENTATIONS[orientation]
    layers = {name: (np.ascontiguousarray(turn(w)), b) for name, (w, b) in weights.layers.items()}
    if exchanged and "conv1_1" in layers:
        w, b = layers["conv1_1"]
        layers["conv1_1"] = np.ascontiguousarray(w[:, :, ::-1]), b
    return Weights(weights.architecture, weights.convention, layers, dict(weights.provenance))
