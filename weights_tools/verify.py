"""Run the self-test of a weight file: check identity, structure, first layer, convention and fingerprint.

Skipped checks are reported and do not count as passed.
"""

import os
from typing import NamedTuple

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, Convention
from handstyle.foundations.picture_paths import expand_path
from handstyle.network.vgg import Weights, check_layers, convolution_names
from weights_tools.convention import decide_by_biases
from weights_tools.convert import NATIVE, load
from weights_tools.fingerprint import Fingerprint, describe_deviation, deviation, fingerprint, stored_fingerprint
from weights_tools.first_layer import Match, find_input_mismatch, find_orientation, recognize
from weights_tools.known import OWN_TOLERANCE, PRECISION_NOTE, tolerance
from weights_tools.registry import identify


class Check(NamedTuple):
    """The result of one check: its name, whether it passed (None if it was skipped), and a sentence on the finding.

    Examples
    --------
    >>> Check("alive", False, "3 kernels are zero").passed
    False
    """

    name: str
    passed: bool | None
    found: str


class Verification(NamedTuple):
    """The results of all checks of a weight file.

    Parameters
    ----------
    name : str
        The path of the file.
    checks : list of Check
        The results in the order of the checks.

    Examples
    --------
    >>> checks = [Check("finite", True, "every value"), Check("colors", None, "unknown network")]
    >>> print(Verification("vgg19.h5", checks))
    vgg19.h5
    pass  finite        every value
    open  colors        unknown network
    1 passed, 0 failed, 1 open: the file does not tell
    """

    name: str
    checks: list[Check]

    @property
    def passed(self) -> bool:
        """Whether every check passed or was skipped.

        Examples
        --------
        >>> skipped, failed = Check("colors", None, "unknown network"), Check("alive", False, "3 kernels are zero")
        >>> Verification("vgg19.h5", [skipped]).passed, Verification("vgg19.h5", [skipped, failed]).passed
        (True, False)
        """
        return all(check.passed is not False for check in self.checks)

    def rows(self) -> list[tuple[str, str]]:
        """Return a row for each check: its verdict and name, and the finding.

        Examples
        --------
        >>> Verification("vgg19.h5", [Check("colors", None, "unknown network")]).rows()
        [('open  colors', 'unknown network')]
        """
        words = {True: "pass", False: "FAIL", None: "open"}
        return [(f"{words[check.passed]}  {check.name}", check.found) for check in self.checks]

    def summary(self) -> str:
        """Return a text with the numbers of passed, failed and skipped checks; "open" stands for skipped.

        Examples
        --------
        >>> checks = [Check("finite", True, "every value"), Check("colors", None, "unknown network")]
        >>> Verification("vgg19.h5", checks).summary()
        '1 passed, 0 failed, 1 open: the file does not tell'
        """
        verdicts = [check.passed for check in self.checks]
        passed, failed, unclear = (verdicts.count(verdict) for verdict in (True, False, None))
        return f"{passed} passed, {failed} failed" + (f", {unclear} open: the file does not tell" if unclear else "")

    def __str__(self) -> str:
        return "\n".join([self.name, *(f"{name:<18}  {found}" for name, found in self.rows()), self.summary()])


def verify(path: str | os.PathLike[str], convention: str | None = None) -> Verification:
    """Run the self-test of a weight file in this package's format or any that can be converted.

    Parameters
    ----------
    path : path
        The file.
    convention : {"caffe", "torchvision"}, optional
        The convention, if it cannot be determined from a file of another program.

    Returns
    -------
    Verification

    Raises
    ------
    HandstyleError
        If the file cannot be read.

    Examples
    --------
    >>> from handstyle.network.weights import EMBEDDED_FILE
    >>> verify(EMBEDDED_FILE).passed
    True
    """
    path = expand_path(path)
    weights, findings = load(path, convention)
    native = findings == [NATIVE]
    rows = [Check("identity", *identify(path, weights if native else None))]
    rows += [] if native else [Check("file", True, finding) for finding in findings]
    return Verification(str(path), rows + verify_weights(weights))


def verify_weights(weights: Weights, convention: Convention | None = None) -> list[Check]:
    """Check the structure, the first layer, the convention and the fingerprint of weights.

    Parameters
    ----------
    weights : Weights
        The weights of a file.
    convention : Convention, optional
        The convention in which the test picture is passed to the network, by default that of the weights.

    Returns
    -------
    list of Check

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> [check.name for check in verify_weights(random_weights()) if check.passed]
    ['architecture', 'finite', 'alive']
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
        _check_dead_kernels(weights),
    ]
    match, own = recognize(weights.layers, weights.architecture), stored_fingerprint(weights)
    found = fingerprint(weights, convention)
    checks += _check_first_layer(weights, match, own)
    checks.append(_check_convention(weights, match, own, found, convention))
    if own and match is not None and match.known.fingerprint:
        checks.append(_check_own_fingerprint(found, own, "unchanged"))
    checks.append(_check_fingerprint(weights, match, own, found, explain=convention is None))
    return checks


def _check_dead_kernels(weights: Weights) -> Check:
    dead = {name: int((np.abs(w).max(axis=(0, 1, 2)) == 0).sum()) for name, (w, _) in weights.layers.items()}
    for name, count in dead.items():
        if count == weights.layers[name][0].shape[3]:
            return Check("alive", False, f"every kernel of {name} is zero")
    total = sum(dead.values())
    return Check("alive", total == 0, f"{total} kernels are zero" if total else "no kernel is zero")


def _check_first_layer(weights: Weights, match: Match | None, own: Fingerprint) -> list[Check]:
    if match is not None:
        order, who = CONVENTIONS[match.known.convention].order, match.known.title
        orientation, exchanged, when = match.orientation, match.exchanged, "as published"
    elif own and (lies := find_orientation(weights, own["relu1_1"], OWN_TOLERANCE)):
        order, who = CONVENTIONS[weights.convention].order, "the network that was written"
        (orientation, exchanged), when = lies, "as when the file was written"
    else:
        what = "unknown network: nothing to compare with"
        if own:
            what = "conv1_1 does not answer as when the file was written"
        return [Check("colors", None, what), Check("orientation", None, what)]
    colors = f"conv1_1 takes {order}, as {who} does"
    if exchanged:
        colors = f"conv1_1 takes {order[::-1]}, and is fed {order}: its colors were exchanged"
    kernels = f"kernels were {orientation}" if orientation else f"kernels stand {when}"
    return [Check("colors", not exchanged, colors), Check("orientation", not orientation, kernels)]


def _check_convention(
    weights: Weights, match: Match | None, own: Fingerprint, found: Fingerprint, fed: Convention | None
) -> Check:
    name = fed.name if fed is not None else weights.convention
    if match is not None:
        for mistaken, expects in ((255, "0 to 1, not 0 to 255"), (1 / 255, "0 to 255, not 0 to 1")):
            if "normalized" not in weights.provenance and abs(match.scale / mistaken - 1) < 0.01:
                return Check("convention", False, f"conv1_1 expects pictures from {expects}")
        right = match.known.convention
        return Check("convention", name == right, f"{name}; {match.known.title} has {right}")
    if own:
        if deviation(found["relu1_1"], own["relu1_1"]) <= OWN_TOLERANCE:
            return Check("convention", True, f"{name}; conv1_1 answers as when the file was written")
        if fed is None and (mismatch := find_input_mismatch(weights, own["relu1_1"], OWN_TOLERANCE)):
            return Check("convention", False, mismatch)
    convention, finding = decide_by_biases(weights)
    # The biases are evidence, not proof, since other training gives other biases: so the check does not fail.
    if convention is None or convention == name:
        return Check("convention", True if convention else None, f"{name}; {finding}")
    return Check("convention", None, f"{name}; BUT {finding}")


def _check_fingerprint(
    weights: Weights, match: Match | None, own: Fingerprint, found: Fingerprint, *, explain: bool
) -> Check:
    if match is None or not match.known.fingerprint:
        if own:
            return _check_own_fingerprint(found, own, "fingerprint")
        who = "unknown network" if match is None else f"no fingerprint of {match.known.title} is at hand"
        return Check("fingerprint", None, f"{who}: only the structure was checked")
    expected = match.known.fingerprint
    wrong = describe_deviation(found, expected, tolerance)
    if wrong is None:
        return Check("fingerprint", True, f"every layer answers as {match.known.title} does, {PRECISION_NOTE}")
    same_zeros = all(abs(found[name].zeros - expected[name].zeros) <= tolerance(name) for name in found)
    if "normalized" in weights.provenance and same_zeros:
        return Check("fingerprint", True, f"{match.known.title}, filters rescaled: zeros where they should be")
    if explain and (mismatch := find_input_mismatch(weights, expected["relu1_1"], tolerance("relu1_1"))):
        wrong += f": {mismatch}"
    return Check("fingerprint", False, wrong)


def _check_own_fingerprint(found: Fingerprint, own: Fingerprint, name: str) -> Check:
    wrong = describe_deviation(found, own, lambda layer: OWN_TOLERANCE)
    if wrong is None:
        return Check(name, True, "every layer answers as when the file was written")
    return Check(name, False, f"{wrong}, against the fingerprint that the file was written with")
