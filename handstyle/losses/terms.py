"""The protocol of a loss: measure a statistic, take a function of it, spread the gradient back.

Every loss of this package has the same three steps. A *statistic* of the features adds up over pixels: a sum of
squares, a Gram matrix, a total variation. The loss is a function of the statistic. Its gradient at the statistic is
then spread over the pixels. Because statistics add, a loss can be measured on a part of the map at a time, under a
mask, or on another machine, and the parts summed.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from handstyle.foundations.backend import Array

NORMALIZE_EPSILON = 1.1920929e-07  # num_utils.EPS of crowsonkb/style_transfer
PICTURE = "picture"  # the tap of terms that look at the picture itself

# Adds up with +; its numbers are float64. The gradient at a statistic has its form.
Statistic: TypeAlias = Any
Window: TypeAlias = tuple[slice, slice]  # a rectangle of a map, rows and columns: `f[where]` is the part of `f` in it
WHOLE: Window = (slice(None), slice(None))


class Term(Protocol):
    """A loss at one place, with a name and a weight.

    Attributes
    ----------
    name : str
        What reports call the term.
    tap : str
        The layer whose output it looks at, or `PICTURE`.
    weight : float
        Multiplies its value and its gradient in the objective; the three methods do not contain it.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def tap(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> float: ...  # noqa: D102

    def measure(self, f: Array, where: Window = WHOLE) -> Statistic:  # (h, w, C) -> statistic
        """Measure the statistic of `f`, which is the part `where` of the tap's map."""

    def loss(self, s: Statistic) -> tuple[Array, Statistic]:  # -> (), gradient at the statistic
        """Return the value, a float64 array of no axes on the device of `s`, and its gradient at the statistic."""

    def spread(self, ds: Statistic, f: Array, where: Window = WHOLE) -> Array:  # -> (h, w, C)
        """Return the gradient at `f`, given the gradient at its statistic."""


@dataclass(frozen=True)
class NormalizedTerm:
    """A term whose gradient is divided by its mean magnitude (crowsonkb/style_transfer ``normalize``).

    The value is the inner term's own, so the gradient does not match it: no line search can follow. The mean is taken
    over the whole map, so the gradient of a part of the map cannot be had.

    Parameters
    ----------
    inner : Term
        The term.
    weight : float
        Of this term in the objective; that of `inner` is ignored.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.content import ContentTerm
    >>> term = NormalizedTerm(ContentTerm("relu4_2", np.zeros((1, 2, 1)), scale=1.0), weight=3.0)
    >>> f = np.array([[[1.0], [3.0]]])
    >>> value, ds = term.loss(term.measure(f))
    >>> float(value), term.spread(ds, f).ravel().round(6)  # 2 f, divided by its mean magnitude, 4
    (10.0, array([0.5, 1.5]))
    """

    inner: Term
    weight: float

    @property
    def name(self) -> str:
        """The name of the inner term."""
        return self.inner.name

    @property
    def tap(self) -> str:
        """The tap of the inner term."""
        return self.inner.tap

    def measure(self, f: Array, where: Window = WHOLE) -> Statistic:  # (h, w, C) -> statistic
        """Return the inner term's statistic."""
        return self.inner.measure(f, where)

    def loss(self, s: Statistic) -> tuple[Array, Statistic]:  # -> (), gradient at the statistic
        """Return the inner term's value and gradient at the statistic."""
        return self.inner.loss(s)

    def spread(self, ds: Statistic, f: Array, where: Window = WHOLE) -> Array:  # -> (h, w, C)
        """Return the inner term's gradient at `f`, divided by its mean magnitude."""
        df = self.inner.spread(ds, f, where)
        return df / (abs(df).mean() + df.dtype.type(NORMALIZE_EPSILON))
