"""The protocol of a loss: measure a statistic, take a function of it, spread the gradient back.

Every loss of this package has the same three steps. A *statistic* of the features adds up over pixels: a sum of
squares, a Gram matrix, a total variation. The loss is a function of the statistic. Its gradient at the statistic is
then spread over the pixels. Because statistics add, a loss can be measured on a part of the map at a time, under a
mask, or on another machine, and the parts summed.
"""

from typing import Any, Protocol, TypeAlias

from handstyle.foundations.backend import Array

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
