"""One number, one vector: the weighted sum of the terms, and its gradient at the picture.

SciPy's vector lives on the host in float64; the network works in its own dtype on its own device. This file is the
border between the two. It knows nothing of what a term is made of: a term at a tap takes the tap's features and
returns a value and a gradient at them, a term of the picture does the same with the picture.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, Backend, namespace, to_numpy, values_unread
from handstyle.foundations.crossing import Crossing
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.foundations.workspace import blank
from handstyle.losses.style import MomentsGradient
from handstyle.losses.total_variation import total_variation
from handstyle.network.vgg import Network
from handstyle.optimize.entering import Entering
from handstyle.optimize.terms import PICTURE, ContentTerm, Kernels, StyleTerm, Term, TotalVariationTerm

Sweep = Callable[[Array], tuple[Array, Array | None]]  # picture -> gradient, news
Beside = Callable[[Array], Array]  # gradient -> whatever is wanted with it, on its device
Recorder = Callable[[Sweep, Array], tuple[Array, Array | None]]
# Up to so many channels a style's gradient is made where the sweep needs it: a map is large then, and products of a few
# rows are as fast as those of many.
FEW_CHANNELS = 128


class NonFiniteError(HandstyleError):
    """A term of the objective, or its gradient, is NaN or infinite."""


class Objective:
    """The function that an optimiser descends: ``objective(v) -> (value, gradient)``.

    Parameters
    ----------
    network : Network
        On `backend`, in the dtype of the run.
    terms : sequence of Term
        What is asked of the picture.
    shape : (H, W, 3)
        Of the picture.
    backend : Backend
        Where the network lives.

    Attributes
    ----------
    ledger : dict of str to float
        The weighted value of each term at the last evaluation; the objective's value is their sum.

    Raises
    ------
    HandstyleError
        If there is no term, two terms share a name, a weight is negative or not finite, or a tap is unknown.
    """

    def __init__(self, network: Network, terms: Sequence[Term], shape: tuple[int, int, int], backend: Backend) -> None:
        names = [term.name for term in terms]
        if not terms:
            raise HandstyleError("nothing to optimise: every weight is zero")
        if len(set(names)) != len(names):
            raise HandstyleError(f"two terms share a name: {', '.join(sorted(names))}")
        for term in terms:
            if not (math.isfinite(term.weight) and term.weight >= 0):
                raise HandstyleError(f"weight of {term.name}: {term.weight} is not a number of 0 or more")
            if term.tap not in (*network.names, PICTURE):
                raise HandstyleError(f"unknown layer {term.tap}: this network has {', '.join(network.names)}")
        self.network, self.shape, self.backend = network, shape, backend
        self.terms = {tap: [t for t in terms if t.tap == tap] for tap in dict.fromkeys(t.tap for t in terms)}
        self.taps = tuple(tap for tap in self.terms if tap != PICTURE)
        self.ledger: dict[str, float] = {}
        self._crossing: Crossing | None = None
        self._recorded: tuple[Network, Recorder | None] | None = None

    def __call__(self, v: Array) -> tuple[float, Array]:  # (n,) float64 -> value, (n,) float64
        """Evaluate the value and the gradient at the picture `v`.

        Parameters
        ----------
        v : (n,) array of float64
            The picture, flattened: RGB, 0 to 255, not clipped.

        Returns
        -------
        value : float
        gradient : (n,) array of float64
            Fresh: the optimiser may keep it.

        Raises
        ------
        NonFiniteError
            Naming the first term that is NaN or infinite, or the gradient.
        """
        dtype = self.network.dtype
        link = None if self._crossing and self._crossing.dtype == dtype else self.backend.link()
        if link is not None:
            self._crossing = Crossing(link, self.backend.xp, math.prod(self.shape), dtype)
        if self._crossing is None:
            p = self.backend.asarray(np.asarray(v).reshape(self.shape), dtype=dtype)
            value, dp = self.evaluate(p)
            gradient = blank(np, (dp.size,), np.float64)
            gradient[...] = self.backend.to_numpy(dp).ravel()
            return value, gradient
        dp, news = self._run(self._crossing.up(np.asarray(v)).reshape(self.shape))
        coming = self._crossing.down(dp.ravel())  # on its way while the host waits to hear whether it is finite
        return self._checked_value(dp, news), coming.arrived()

    def evaluate(self, p: Array) -> tuple[float, Array]:  # (H, W, 3) -> value, (H, W, 3)
        """Evaluate at a picture that is on the network's device, in its dtype, and leave the gradient there.

        Parameters
        ----------
        p : (H, W, 3) array
            The picture: RGB, 0 to 255, not clipped.

        Returns
        -------
        value : float
        dp : (H, W, 3) array
            Fresh, on the device of `p`.

        Raises
        ------
        NonFiniteError
            As when called.
        """
        dp, news = self._run(p)
        return self._checked_value(dp, news), dp

    def beside(self, p: Array, ask: Beside) -> tuple[float, Array, Array]:  # (H, W, 3) -> value, (H, W, 3), answer
        """Evaluate, and have the host wait once for the value and for what ``ask(gradient)`` makes on the device.

        Parameters
        ----------
        p : (H, W, 3) array
            As of `evaluate`.
        ask : callable
            Of the gradient, which may turn out not to be finite; returns an array of float64 on its device.

        Returns
        -------
        value : float
        dp : (H, W, 3) array
            On the device.
        answer : array
            On the host.
        """
        dp, news = self._run(p)
        answer = ask(dp)
        if news is None:
            return self._checked_value(dp, None), dp, answer
        together = to_numpy(namespace(dp).concatenate([news, answer.ravel()]))
        return self._checked_value(dp, together[: len(news)]), dp, together[len(news) :].reshape(answer.shape)

    def _run(self, p: Array) -> tuple[Array, Array | None]:
        """Sweep as the network's engine likes best: where it can record what was launched, it launches that again."""
        if self._recorded is None or self._recorded[0] is not self.network:
            make = getattr(self.network.engine, "recording", None)
            kinds = {ContentTerm: "content", StyleTerm: "style", TotalVariationTerm: "variation"}
            losses = {tap: [kinds.get(type(term), "other") for term in terms] for tap, terms in self.terms.items()}
            asked = self.network.layers, self.shape[:2], losses, self.network.dtype
            self._recorded = None  # before there is another one, whose memory is as large
            self.backend.tidy()  # of what the targets were measured with
            self._recorded = self.network, make(*asked) if make else None
        recorder = self._recorded[1]
        return recorder(self._sweep, p) if recorder else self._sweep(p)

    @values_unread()
    def _sweep(self, p: Array) -> tuple[Array, Array | None]:
        """Return the gradient and the news of it, neither of which is checked.

        On a device the news are the values of the terms, in the ledger's order, and whether the gradient is finite:
        one vector, so that the host waits once. On the host there are none.
        """
        ledger: dict[str, float] = {}
        dp: Array | None = None
        if self.taps:
            features, caches = self.network.forward(preprocess_forward(p, self.network.convention), self.taps)
            entering = Entering(
                features, partial(self._gradient_at, features, ledger), partial(self._parts_at, features, ledger)
            )
            dp = preprocess_backward(self.network.backward(entering, caches), self.network.convention)
        if PICTURE in self.terms:
            d = _weighted_gradient(self.terms[PICTURE], p, ledger, self._kernels)
            dp = d if dp is None else namespace(dp).add(dp, d, out=dp)
        assert dp is not None
        self.ledger = {term.name: ledger[term.name] for terms in self.terms.values() for term in terms}
        xp = namespace(dp)
        if xp is np:
            return dp, None
        news: Array = xp.empty(len(self.ledger) + 1, xp.float64)
        for i, value in enumerate([*self.ledger.values(), xp.isfinite(dp).all()]):
            news[i] = value
        return dp, news

    @property
    def _kernels(self) -> Kernels:
        kernels: Kernels = getattr(self.network.engine, "losses", {})
        return kernels

    def _gradient_at(self, features: dict[str, Array], ledger: dict[str, float], tap: str) -> Array:
        first, *others = self.terms[tap]
        if getattr(features, "spare", False) and isinstance(first, StyleTerm) and not others:  # nobody needs it again
            value, df = first.weighted(features.pop(tap), first.weight, True, self._kernels)
            ledger[first.name] = first.weight * value
            return df
        return _weighted_gradient(self.terms[tap], features.pop(tap), ledger, self._kernels)

    def _parts_at(self, features: dict[str, Array], ledger: dict[str, float], tap: str) -> MomentsGradient | None:
        first, *others = self.terms[tap]
        on_host = isinstance(first, StyleTerm) and isinstance(first.target.outer, np.ndarray)
        if others or type(first) is not StyleTerm or not on_host or len(first.target.outer) > FEW_CHANNELS:
            return None
        value, gradient = first.pointwise(features.pop(tap), first.weight)
        ledger[first.name] = first.weight * value
        return gradient

    def _checked_value(self, dp: Array, news: Array | None) -> float:
        if news is None:
            finite: Any = np.isfinite(dp).all()
        else:
            *values, finite = to_numpy(news)
            self.ledger = {name: float(value) for name, value in zip(self.ledger, values, strict=True)}
        for name, value in self.ledger.items():
            if not math.isfinite(value):
                raise NonFiniteError(f"{name} is {value}: lower its weight, or start from the photograph")
        if not bool(finite):
            raise NonFiniteError(
                "the gradient holds values that are not finite, though every term is: lower the weights"
            )
        return math.fsum(self.ledger.values())

    def on_device(self) -> "OnDevice":
        """Return this objective as a function of flat vectors on the network's device: for our own optimisers."""
        return OnDevice(self)


@dataclass(frozen=True)
class OnDevice:
    """An objective whose vector, (n,), stays on the device, in any dtype the optimiser likes.

    Parameters
    ----------
    objective : Objective
        What is evaluated.
    """

    objective: Objective

    @property
    def ledger(self) -> dict[str, float]:
        """The weighted terms of the last evaluation."""
        return self.objective.ledger

    def __call__(self, v: Array) -> tuple[float, Array]:  # (n,) -> value, (n,), both on the device
        """Evaluate; the gradient comes back in the dtype of `v`."""
        value, dp = self.objective.evaluate(self._picture(v))
        return value, dp.ravel().astype(v.dtype, copy=False)

    def beside(self, v: Array, ask: Beside) -> tuple[float, Array, Array]:  # (n,) -> value, (n,), answer
        """Evaluate, and bring home what ``ask(gradient)`` makes, with the value; see `Objective.beside`."""

        def flat(dp: Array) -> Array:
            return dp.ravel().astype(v.dtype, copy=False)

        value, dp, answer = self.objective.beside(self._picture(v), lambda dp: ask(flat(dp)))
        return value, flat(dp), answer

    def _picture(self, v: Array) -> Array:  # (n,) -> (H, W, 3)
        return v.reshape(self.objective.shape).astype(self.objective.network.dtype, copy=False)


def _weighted_gradient(terms: list[Term], f: Array, ledger: dict[str, float], kernels: Kernels) -> Array:
    total: Array | None = None
    for term in terms:
        if isinstance(term, ContentTerm | StyleTerm):
            value, df = term.weighted(f, term.weight, kernels=kernels)
        else:
            of_kernels = isinstance(term, TotalVariationTerm) and kernels.get(total_variation)
            value, df = of_kernels(f) if of_kernels else term(f)
            weight = float(term.weight)  # a NumPy scalar would lift float32 to float64
            df = namespace(df).multiply(df, weight, out=df) if of_kernels else df * weight
        ledger[term.name] = term.weight * value
        total = df if total is None else total + df
    assert total is not None
    return total
