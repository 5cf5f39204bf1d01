"""The self-test of a weight file: what it holds, whether it is whole, and whether it computes what it should.

Each check passes, fails, or could not be made; the last is said, and is no pass.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, Convention
from handstyle.network.vgg import Weights, check_layers, convolution_names
from handstyle.network.weights import FORMAT, read_weights
from weights_tools.convention import CAFFE_BELOW, TORCHVISION_ABOVE, bias_share, decide
from weights_tools.fingerprint import Fingerprint, Statistics, deviation, fingerprint
from weights_tools.known import OWN_TOLERANCE, tolerance
from weights_tools.landmarks import Match, recognise
from weights_tools.readers import read_any
from weights_tools.readers.hdf5 import names


class Check(NamedTuple):
    """One row: what was looked at, whether it passed (None: could not be told), and what was found."""

    name: str
    passed: bool | None
    found: str


class Verification(NamedTuple):
    """All checks of a file."""

    name: str
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    def __str__(self) -> str:
        words = {True: "pass", False: "FAIL", None: "open"}
        rows = [f"{words[check.passed]}  {check.name:<14}  {check.found}" for check in self.checks]
        return "\n".join([self.name, *rows])


def is_native(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is of this package's own format."""
    try:
        with h5py.File(path, "r") as file:
            return names(file, "format") == [FORMAT]
    except OSError:
        return False


def verify(path: str | os.PathLike[str], convention: str | None = None) -> Verification:
    """Check a weight file, of this package's format or any that can be converted.

    Parameters
    ----------
    path : path
        Of the file.
    convention : {"caffe", "torchvision"}, optional
        For a foreign file that does not tell.

    Returns
    -------
    Verification

    Raises
    ------
    HandstyleError
        If it cannot be read at all.
    """
    path = Path(path)
    if is_native(path):
        return Verification(str(path), verify_weights(read_weights(path)))
    try:
        weights, findings = decide(read_any(path), convention)
    except HandstyleError as error:
        raise HandstyleError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}") from None
    rows = [Check("file", True, finding) for finding in findings]
    return Verification(str(path), [*rows, *verify_weights(weights)])


def verify_weights(weights: Weights, convention: Convention | None = None) -> list[Check]:
    """Check weights.

    Parameters
    ----------
    weights : Weights
        As read.
    convention : Convention, optional
        Feed pictures so, instead of as the weights say: a wrong one fails.

    Returns
    -------
    list of Check
    """
    try:
        check_layers(weights)
    except HandstyleError as error:
        return [Check("architecture", False, str(error))]
    whole = len(weights.layers) == len(convolution_names(weights.architecture))
    extent = "whole" if whole else f"to {list(weights.layers)[-1]}"
    checks = [
        Check("architecture", True, f"{weights.architecture}, {len(weights.layers)} convolutions, {extent}"),
        Check("finite", True, "every value"),
        _alive(weights),
    ]
    match = recognise(weights.layers, weights.architecture)
    checks += _first_layer(match)
    checks.append(_convention(weights, match, convention))
    checks.append(_fingerprint(weights, match, convention))
    return checks


def _alive(weights: Weights) -> Check:
    dead = {name: int((np.abs(w).max(axis=(0, 1, 2)) == 0).sum()) for name, (w, _) in weights.layers.items()}
    for name, count in dead.items():
        if count == weights.layers[name][0].shape[3]:
            return Check("alive", False, f"every kernel of {name} is zero")
    total = sum(dead.values())
    return Check("alive", total == 0, f"{total} kernels are zero" if total else "no kernel is zero")


def _first_layer(match: Match | None) -> list[Check]:
    if match is None:
        unknown = "unknown network: its first kernel is none of those that are recognised"
        return [Check("colours", None, unknown), Check("orientation", None, unknown)]
    order = CONVENTIONS[match.known.convention].order
    colours = (
        f"conv1_1 takes {order[::-1]}, {match.known.convention} feeds {order}: its colours were exchanged"
        if match.exchanged
        else f"conv1_1 takes {order}, as {match.known.title} does"
    )
    kernels = f"kernels were {match.orientation}" if match.orientation else "kernels stand as published"
    return [Check("colours", not match.exchanged, colours), Check("orientation", not match.orientation, kernels)]


def _convention(weights: Weights, match: Match | None, fed: Convention | None) -> Check:
    name = fed.name if fed is not None else weights.convention
    if match is not None:
        rescaled = "normalised" in weights.provenance
        if not rescaled and abs(match.scale / 255 - 1) < 0.01:
            return Check("convention", False, "conv1_1 expects pictures from 0 to 1, not 0 to 255")
        if not rescaled and abs(match.scale * 255 - 1) < 0.01:
            return Check("convention", False, "conv1_1 expects pictures from 0 to 255, not 0 to 1")
        right = match.known.convention
        return Check("convention", name == right, f"{name}; {match.known.title} has {right}")
    share = bias_share(weights)
    if share is None or CAFFE_BELOW <= share <= TORCHVISION_ABOVE:
        return Check("convention", None, f"{name}; the biases do not tell")
    right = "caffe" if share < CAFFE_BELOW else "torchvision"
    # Evidence, but no proof: a network trained otherwise may have other biases. So it does not fail.
    but = "" if name == right else "BUT "
    passed = True if name == right else None
    return Check("convention", passed, f"{name}; {but}biases weigh {share:.2g} in blocks 3 and 4, as in {right}")


def _fingerprint(weights: Weights, match: Match | None, convention: Convention | None) -> Check:
    found = fingerprint(weights, convention)
    if match is not None and match.known.fingerprint:
        wrong = _departs(found, match.known.fingerprint, None)
        if wrong is None:
            return Check("fingerprint", True, f"every layer answers as {match.known.title} does")
        if "normalised" in weights.provenance and not _zeros_depart(found, match.known.fingerprint):
            return Check("fingerprint", True, f"{match.known.title}, filters rescaled: zeros where they should be")
        explained = _explain(weights, match) if convention is None else ""
        return Check("fingerprint", False, wrong + explained)
    if own := stored_fingerprint(weights):
        wrong = _departs(found, own, OWN_TOLERANCE)
        if wrong is None:
            return Check("fingerprint", True, "every layer answers as when the file was written")
        return Check("fingerprint", False, f"{wrong}, against the fingerprint that the file was written with")
    who = "unknown network" if match is None else f"no fingerprint of {match.known.title} is at hand"
    return Check("fingerprint", None, f"{who}: only the structure was checked")


def stored_fingerprint(weights: Weights) -> Fingerprint:
    """Return the fingerprint that a native file was written with; empty if there is none."""
    try:
        stored = json.loads(weights.provenance.get("fingerprint", "{}"))
        return {name: Statistics(*map(float, values)) for name, values in stored.items()}
    except (ValueError, TypeError, AttributeError):
        raise HandstyleError("weights: the stored fingerprint is damaged") from None


def dump_fingerprint(found: Fingerprint) -> str:
    """Return a fingerprint as `stored_fingerprint` reads it."""
    return json.dumps({name: [float(f"{value:.7g}") for value in values] for name, values in found.items()})


def _departs(found: Fingerprint, expected: Fingerprint, most: float | None) -> str | None:
    for name, statistics in found.items():
        if name not in expected:
            return f"it has {name}, which it should not have"
        off = deviation(statistics, expected[name])
        if off > (tolerance(name) if most is None else most):
            means = f"mean {statistics.mean:.4g}, expected {expected[name].mean:.4g}"
            return f"from {name} on it answers differently ({means}; off by {off:.2g})"
    return None


def _zeros_depart(found: Fingerprint, expected: Fingerprint) -> bool:
    return any(abs(found[name].zeros - expected[name].zeros) > tolerance(name) for name in found)


def _explain(weights: Weights, match: Match) -> str:
    # A first layer that takes pictures with their mean has it folded into its biases.
    w, b = weights.layers["conv1_1"]
    mean = np.asarray(CONVENTIONS[weights.convention].mean)
    centred = {**weights.layers, "conv1_1": (w, (b + w.sum(axis=(0, 1)).T @ mean).astype(np.float32))}
    first = fingerprint(Weights(weights.architecture, weights.convention, {"conv1_1": centred["conv1_1"]}))
    if _departs(first, match.known.fingerprint, None) is None:
        return ": conv1_1 expects pictures whose mean is not subtracted"
    return ""
