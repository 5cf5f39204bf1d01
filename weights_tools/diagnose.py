"""What was done to a first layer that answers otherwise than it should: each mistake is undone in turn, and tried."""

from dataclasses import replace

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import CONVENTIONS
from handstyle.network.vgg import Weights
from weights_tools.fingerprint import Statistics, deviation, fingerprint
from weights_tools.landmarks import ORIENTATIONS, turned


def first_turned(weights: Weights, expected: Statistics, most: float) -> tuple[str, bool] | None:
    """Find how the kernels of conv1_1 lie, by what they answer.

    Parameters
    ----------
    weights : Weights
        Any.
    expected : Statistics
        Of relu1_1.
    most : float
        The deviation that is allowed.

    Returns
    -------
    orientation : str
        What was done to the kernels: a key of `ORIENTATIONS`, empty if nothing.
    exchanged : bool
        Whether the colors are in the reverse order.
        None instead of both, where neither explains what it answers.
    """
    for exchanged in (False, True):
        for orientation in ORIENTATIONS:
            if _answers(turned(_first(weights), orientation, exchanged), expected, most):
                return orientation, exchanged
    return None


def first_misfed(weights: Weights, expected: Statistics, most: float) -> str | None:
    """Say which pictures conv1_1 expects, if not those that its convention says; None where nothing explains it.

    Parameters
    ----------
    weights : Weights
        Any.
    expected : Statistics
        Of relu1_1.
    most : float
        The deviation that is allowed.
    """
    first, convention = _first(weights), CONVENTIONS[weights.convention]
    w, b = first.layers["conv1_1"]
    other, factor = ("0 to 1, not 0 to 255", 255) if convention.scale == 255 else ("0 to 255, not 0 to 1", 1 / 255)
    if _answers(_with(first, w / factor, b), expected, most):
        return f"conv1_1 expects pictures from {other}"
    # A first layer that takes pictures with their mean has it folded into its biases.
    mean = np.asarray(convention.mean) / convention.std
    if _answers(_with(first, w, b + w.sum(axis=(0, 1)).T @ mean), expected, most):
        return "conv1_1 expects pictures whose mean is not subtracted"
    for name in CONVENTIONS:
        if name != weights.convention and _answers(replace(first, convention=name), expected, most):
            return f"conv1_1 expects the convention {name}, not {weights.convention}"
    return None


def _first(weights: Weights) -> Weights:
    return replace(weights, layers={"conv1_1": weights.layers["conv1_1"]})


def _with(weights: Weights, w: Array, b: Array) -> Weights:
    return replace(weights, layers={"conv1_1": (w.astype(np.float32), b.astype(np.float32))})


def _answers(first: Weights, expected: Statistics, most: float) -> bool:
    return deviation(fingerprint(first)["relu1_1"], expected) <= most
