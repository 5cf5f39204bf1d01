"""The published networks that can be recognized, with landmarks and fingerprints, read from networks.toml.

A landmark is the first kernel of conv1_1, with nan for unknown values. By comparison with it, the network in a file,
exchanged colors, transformed kernels, and the range of the expected pictures are found without running the network.
"""

import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from weights_tools.fingerprint import Fingerprint, Statistics

OXFORD = "CC BY 4.0 (Visual Geometry Group, Oxford)"


@dataclass(frozen=True)
class Known:
    """A published network that can be recognized.

    Parameters
    ----------
    title : str
        The name of the network, for users.
    architecture, convention : str
        See `Weights`.
    landmark : (3, 3, 3) array
        The first kernel of conv1_1: rows, columns, colors in the order of the convention.
    source : str
        The source of the landmark's values.
    license : str
        The license of the weights, as far as it is stated.
    fingerprint : dict
        The fingerprint of the network; empty if it is not available.

    Examples
    --------
    >>> vgg19 = KNOWN[0]
    >>> vgg19.title, vgg19.convention, vgg19.landmark.shape
    ('VGG-19 of the Visual Geometry Group (Caffe)', 'caffe', (3, 3, 3))
    """

    title: str
    architecture: str
    convention: str
    landmark: Array
    source: str
    license: str
    fingerprint: Fingerprint = field(default_factory=dict)


# Rounding to float16 changes the fingerprint of the first three blocks by up to 0.0002. Quantizing the later kernels
# once more changes block 4 by up to 0.026 and block 5 by up to 0.024. The original kernels differ from the quantized
# reference by at most as much.
TOLERANCES = {"1": 0.002, "2": 0.002, "3": 0.002, "4": 0.06, "5": 0.06}
PRECISION_NOTE = "to 0.2 % in blocks 1 to 3, and to 6 % in blocks 4 and 5, where the reference is a quantized copy"
OWN_TOLERANCE = 0.002  # for a fingerprint that was stored with the same values


def tolerance(layer: str) -> float:
    """Return the largest allowed deviation of a layer from the stored fingerprint of a published network.

    Examples
    --------
    >>> tolerance("relu1_1"), tolerance("relu5_1")
    (0.002, 0.06)
    """
    return TOLERANCES[layer.removeprefix("relu")[0]]


def _read(entry: dict[str, Any]) -> Known:
    landmark = np.stack([np.reshape(color, (3, 3)) for color in entry.pop("filter")], -1)
    stored = {name: Statistics(*values) for name, values in entry.pop("fingerprint", {}).items()}
    return Known(**entry, landmark=landmark, fingerprint=stored)


NETWORKS = tomllib.loads(files("weights_tools").joinpath("networks.toml").read_text("utf-8"))
KNOWN = tuple(map(_read, NETWORKS["recognized"]))
