"""Landmarks and fingerprints of the published networks that can be recognized; the values lie in networks.toml.

A landmark is the kernel of conv1_1's first filter, with nan where a value is not known.
It tells which network lies in a file, whether its colors were exchanged or its kernels turned, and on which scale it
expects its pictures: nothing of that needs the network to be run.
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
    """A published network.

    Parameters
    ----------
    title : str
        For people.
    architecture, convention : str
        As in `Weights`.
    landmark : (3, 3, 3) array
        conv1_1's first filter, rows, columns, colors in the order of the convention.
    source : str
        Where the landmark's values are from.
    licence : str
        Of the weights, as far as it is stated.
    fingerprint : dict
        Empty where the network could not be run.
    """

    title: str
    architecture: str
    convention: str
    landmark: Array
    source: str
    licence: str
    fingerprint: Fingerprint = field(default_factory=dict)


# In float16 the first three blocks move by up to 0.0002. Quantizing the later kernels once more moves block 4 by up to
# 0.026 and block 5 by up to 0.024; the originals lie as far away in the other direction, at most.
TOLERANCES = {"1": 0.002, "2": 0.002, "3": 0.002, "4": 0.06, "5": 0.06}
EXTENT = "to 0.2 % in blocks 1 to 3, and to 6 % in blocks 4 and 5, where the reference is a quantized copy"
OWN_TOLERANCE = 0.002  # against a fingerprint that was stored with the very same values


def tolerance(layer: str) -> float:
    """Return how far a layer may be from the stored fingerprint of a published network."""
    return TOLERANCES[layer.removeprefix("relu")[0]]


def _read(entry: dict[str, Any]) -> Known:
    landmark = np.stack([np.reshape(color, (3, 3)) for color in entry.pop("filter")], -1)
    stored = {name: Statistics(*values) for name, values in entry.pop("fingerprint", {}).items()}
    return Known(**entry, landmark=landmark, fingerprint=stored)


NETWORKS = tomllib.loads(files("weights_tools").joinpath("networks.toml").read_text("utf-8"))
KNOWN = tuple(map(_read, NETWORKS["recognized"]))
