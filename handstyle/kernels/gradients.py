"""The gradients that a backward sweep adds at the taps: given as arrays, or computed when it reaches their tap."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from handstyle.foundations.backend import Array, namespace
from handstyle.losses.terms import Term
from handstyle.network.sequence import Features

# (term, its features, whether the gradient may be written over them) -> weighted value, weighted gradient
GradientOf = Callable[[Term, Array, bool], tuple[Any, Array]]


class Gradients(Protocol):
    """The gradients at the taps. The backward sweep takes each once, when it reaches the tap.

    Attributes
    ----------
    writable : bool
        Whether the sweep may write over them.
    """

    @property
    def writable(self) -> bool: ...  # noqa: D102

    def __contains__(self, tap: object) -> bool: ...
    def __getitem__(self, tap: str) -> Array: ...

    def get(self, tap: str) -> Array | None:
        """Return the gradient at a tap, or None if there is none."""


@dataclass(frozen=True)
class GivenGradients:
    """Gradients given as arrays, which the sweep must not write over."""

    dfeatures: Mapping[str, Array]
    writable: ClassVar[bool] = False

    def __contains__(self, tap: object) -> bool:
        return tap in self.dfeatures

    def __getitem__(self, tap: str) -> Array:
        return self.dfeatures[tap]

    def get(self, tap: str) -> Array | None:
        """Return the gradient at a tap, or None if there is none."""
        return self[tap] if tap in self.dfeatures else None


@dataclass(frozen=True)
class TermGradients:
    """The gradients of an objective's terms, computed when the backward sweep reaches their tap.

    Parameters
    ----------
    gradient_of : callable
        ``gradient_of(term, f, overwrite)`` returns a term's weighted value and gradient; with `overwrite` the gradient
        may be written over the features `f`.
    terms : sequence of Term
        The terms of the objective.
    features : dict of str to array
        The tapped features; each is removed when its gradient is computed.
    again : dict of str to callable
        Functions that compute the features that were not kept.
    values : array or list
        Receives the weighted values, in the order of the terms.
    """

    gradient_of: GradientOf
    terms: Sequence[Term]
    features: Features
    again: dict[str, Callable[[], Array]]
    values: Any
    writable: ClassVar[bool] = True

    def __contains__(self, tap: object) -> bool:
        return any(term.tap == tap for term in self.terms)

    def __getitem__(self, tap: str) -> Array:
        f, at = self.take(tap), self.at(tap)
        total = None
        for i, term in at:
            self.values[i], df = self.gradient_of(term, f, len(at) == 1)
            total = df if total is None else self.add(total, df)
        assert total is not None
        return total

    def get(self, tap: str) -> Array | None:
        """Return the sum of the gradients at a tap, or None if no term is there."""
        return self[tap] if self.at(tap) else None

    def add(self, total: Array, df: Array) -> Array:
        """Return the sum of two gradients, written over the first."""
        return namespace(total).add(total, df, out=total)  # type: ignore[no-any-return]

    def at(self, tap: str) -> list[tuple[int, Term]]:
        """Return the terms at a tap, with their places among the values."""
        return [(i, term) for i, term in enumerate(self.terms) if term.tap == tap]

    def take(self, tap: str) -> Array:
        """Remove and return the features at a tap, computed again if they were not kept."""
        return self.again.pop(tap)() if tap in self.again else self.features.pop(tap)
