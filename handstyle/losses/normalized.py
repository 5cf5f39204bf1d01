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
        """The name of the inner term.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.content import ContentTerm
        >>> NormalizedTerm(ContentTerm("relu4_2", np.ones((1, 1, 1))), weight=1.0).name
        'content relu4_2'
        """
        return self.inner.name

    @property
    def tap(self) -> str:
        """The tap of the inner term.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.content import ContentTerm
        >>> NormalizedTerm(ContentTerm("relu4_2", np.ones((1, 1, 1))), weight=1.0).tap
        'relu4_2'
        """
        return self.inner.tap

    def measure(self, f: Array, where: Window = WHOLE) -> Statistic:  # (h, w, C) -> statistic
        """Return the inner term's statistic.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.content import ContentTerm
        >>> inner = ContentTerm("relu4_2", np.ones((1, 1, 1)))
        >>> float(NormalizedTerm(inner, weight=1.0).measure(np.full((1, 1, 1), 4.0)))  # (4 − 1)²
        9.0
        """
        return self.inner.measure(f, where)

    def loss(self, s: Statistic) -> tuple[Array, Statistic]:  # -> (), gradient at the statistic
        """Return the inner term's value and gradient at the statistic.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.content import ContentTerm
        >>> inner = ContentTerm("relu4_2", np.ones((1, 1, 1)), scale=0.5)
        >>> float(NormalizedTerm(inner, weight=8.0).loss(np.float64(6.0))[0])  # the weight is not in it
        3.0
        """
        return self.inner.loss(s)

    def spread(self, ds: Statistic, f: Array, where: Window = WHOLE) -> Array:  # -> (h, w, C)
        """Return the inner term's gradient at `f`, divided by its mean magnitude.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.losses.content import ContentTerm
        >>> term, f = NormalizedTerm(ContentTerm("relu4_2", np.zeros((1, 2, 1))), 1.0), np.array([[[1.0], [3.0]]])
        >>> [term.spread(np.float64(ds), f).ravel().round(6).tolist() for ds in (1.0, 9.0)]  # the factor has no effect
        [[0.5, 1.5], [0.5, 1.5]]
        """
        df = self.inner.spread(ds, f, where)
        return df / (abs(df).mean() + df.dtype.type(NORMALIZE_EPSILON))
