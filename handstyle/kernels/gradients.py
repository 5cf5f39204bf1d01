"""The terms' gradients at the layers, which a backward pass adds: given as arrays, or computed when it needs them.

Before the first pass the terms get their scales.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeGuard

from handstyle.foundations.backend import Array, namespace
from handstyle.losses.content import ContentTerm, scale_of
from handstyle.losses.gram import MomentsTerm, StyleTerm
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.terms import Term
from handstyle.network.sequence import Features

# (term, its features, whether the gradient may be written over them) -> weighted value, weighted gradient
GradientOf = Callable[[Term, Array, bool], tuple[Any, Array]]

STRIP_SIZE = 1 << 19  # values of a target that are squared at a time


class Gradients(Protocol):
    """The terms' gradients by layer. The backward pass takes each once, when it reaches the layer.

    Attributes
    ----------
    writable : bool
        Whether the backward pass may overwrite the gradients.
    """

    @property
    def writable(self) -> bool: ...  # noqa: D102

    def __contains__(self, tap: object) -> bool: ...
    def __getitem__(self, tap: str) -> Array: ...

    def get(self, tap: str) -> Array | None:
        """Return the gradient at the layer `tap`, or None if there is none."""


@dataclass(frozen=True)
class GivenGradients:
    """Gradients given as arrays, which the backward pass must not overwrite.

    Examples
    --------
    >>> import numpy as np
    >>> gradients = GivenGradients({"relu1_1": np.ones((2, 2, 1))})
    >>> gradients["relu1_1"].shape, gradients.writable
    ((2, 2, 1), False)
    """

    dfeatures: Mapping[str, Array]
    writable: ClassVar[bool] = False

    def __contains__(self, tap: object) -> bool:
        return tap in self.dfeatures

    def __getitem__(self, tap: str) -> Array:
        return self.dfeatures[tap]

    def get(self, tap: str) -> Array | None:
        """Return the gradient at the layer `tap`, or None if there is none.

        Examples
        --------
        >>> import numpy as np
        >>> gradients = GivenGradients({"relu1_1": np.ones((1, 1, 1))})
        >>> gradients.get("relu1_1"), gradients.get("relu2_1")
        (array([[[1.]]]), None)
        """
        return self[tap] if tap in self.dfeatures else None


@dataclass(frozen=True)
class TermGradients:
    """The gradients of an objective's terms, computed when the backward pass reaches their layer.

    Parameters
    ----------
    gradient_of : callable
        ``gradient_of(term, f, overwrite)`` returns a term's weighted value and gradient; with `overwrite` the gradient
        may be written over the features `f`.
    terms : sequence of Term
        The terms of the objective.
    features : dict of str to array
        The features that the terms measure; each is removed when its gradient is computed.
    recompute : dict of str to callable
        Functions that compute again the features that were not kept.
    values : array or list
        Receives the weighted values, in the order of the terms.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.cpu.passes import gradient_of
    >>> terms, values = [ContentTerm("relu1_1", np.zeros((1, 1, 2)), scale=1.0)], [None]
    >>> gradients = TermGradients(gradient_of, terms, {"relu1_1": np.array([[[1.0, 2.0]]])}, {}, values)
    >>> gradients["relu1_1"], float(values[0])  # 2 f, and 1² + 2²
    (array([[[2., 4.]]]), 5.0)
    """

    gradient_of: GradientOf
    terms: Sequence[Term]
    features: Features
    recompute: dict[str, Callable[[], Array]]
    values: Any
    writable: ClassVar[bool] = True

    def __contains__(self, tap: object) -> bool:
        return any(term.tap == tap for term in self.terms)

    def __getitem__(self, tap: str) -> Array:
        return self.sum_at(tap, self._take(tap), overwrite=len(self._at(tap)) == 1)

    def sum_at(self, tap: str, f: Array, total: Array | None = None, overwrite: bool = False) -> Array:
        """Return the sum of the gradients of the terms that measure a layer, and store their values.

        Parameters
        ----------
        tap : str
            The layer, or `PICTURE`.
        f : (h, w, C) array
            The features at the layer, or the picture.
        total : (h, w, C) array, optional
            A gradient to which the terms' gradients are added; it may be overwritten.
        overwrite : bool
            Whether the gradient may be written over `f`; only with a single term, since the next would need `f` too.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.kernels.cpu.passes import gradient_of
        >>> terms, values = [ContentTerm("relu1_1", np.zeros((1, 1, 2)), scale=1.0)], [None]
        >>> gradients = TermGradients(gradient_of, terms, {}, {}, values)
        >>> f, total = np.array([[[1.0, 2.0]]]), np.array([[[100.0, 100.0]]])
        >>> gradients.sum_at("relu1_1", f, total), float(values[0])  # 2 f was added; 1² + 2²
        (array([[[102., 104.]]]), 5.0)
        """
        for i, term in self._at(tap):
            self.values[i], df = self.gradient_of(term, f, overwrite)
            total = df if total is None else self._add(total, df)
        assert total is not None
        return total

    def get(self, tap: str) -> Array | None:
        """Return the sum of the terms' gradients at the layer `tap`, or None if no term measures it.

        The features of the layer are freed, so each layer can be asked for once.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.kernels.cpu.passes import gradient_of
        >>> terms, features = [ContentTerm("relu1_1", np.zeros((1, 1, 2)), scale=1.0)], {"relu1_1": np.ones((1, 1, 2))}
        >>> gradients = TermGradients(gradient_of, terms, features, {}, [None])
        >>> gradients.get("relu1_1"), gradients.get("relu2_1"), features
        (array([[[2., 2.]]]), None, {})
        """
        return self[tap] if self._at(tap) else None

    def _add(self, total: Array, df: Array) -> Array:
        """Return the sum of two gradients, written over the first; a dry run does not add."""
        return namespace(total).add(total, df, out=total)  # type: ignore[no-any-return]

    def _at(self, tap: str) -> list[tuple[int, Term]]:
        """Return the terms that measure the layer `tap`, each with its index among all terms."""
        return [(i, term) for i, term in enumerate(self.terms) if term.tap == tap]

    def _take(self, tap: str) -> Array:
        """Remove and return the features at the layer `tap`; they are computed again if they were not kept."""
        return self.recompute.pop(tap)() if tap in self.recompute else self.features.pop(tap)


def has_plain_moments(term: Term) -> TypeGuard[MomentsTerm]:
    """Return whether a term measures moments and spreads their gradient with the unchanged methods of `MomentsTerm`.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.losses.gram import Moments, StyleTerm
    >>> has_plain_moments(StyleTerm("relu1_1", Moments(1.0, np.zeros(2), np.eye(2))))
    True
    >>> has_plain_moments(ContentTerm("relu1_1", np.ones((2, 2, 2))))
    False
    """
    kind = type(term)
    return issubclass(kind, MomentsTerm) and kind.measure is MomentsTerm.measure and kind.spread is MomentsTerm.spread


def scaled_terms(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return the terms with their scales; for that of a content term, no array of the whole target's size is made.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.content import ContentTerm
    >>> (term,) = scaled_terms([ContentTerm("relu1_1", np.array([[[3.0, 4.0]]]))])
    >>> term.scale  # 1 / (3² + 4²)
    0.04
    """
    return tuple(map(_scaled, terms))


def _scaled(term: Term) -> Term:
    if isinstance(term, NormalizedTerm):
        return replace(term, inner=_scaled(term.inner))
    if type(term) is StyleTerm:
        return replace(term, scale=term.factor)
    if type(term) is not ContentTerm or term.scale is not None or "factor" in vars(term):
        return term
    step = max(1, STRIP_SIZE // math.prod(term.target.shape[1:]))
    strips = [(slice(top, top + step), slice(None)) for top in range(0, term.target.shape[0], step)]
    return replace(term, scale=scale_of(sum(float(term.measure(0 * term.target[at], at)) for at in strips)))
