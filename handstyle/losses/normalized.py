"""Normalized gradients: a wrapper of a loss whose gradient is divided by its mean magnitude."""

from dataclasses import dataclass

from handstyle.foundations.backend import Array
from handstyle.losses.terms import WHOLE, Statistic, Term, Window

NORMALIZE_EPSILON = 1.1920929e-07  # num_utils.EPS of crowsonkb/style_transfer


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
