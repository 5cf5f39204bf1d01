"""The terms that the presets need besides the objective's own: several losses on one statistic, levelled gradients."""

from collections.abc import Callable
from dataclasses import dataclass

from handstyle.foundations.backend import Array
from handstyle.losses.style import Moments, moments_backward, moments_forward
from handstyle.optimize.terms import PICTURE, Term

Loss = Callable[[Moments], tuple[float, Moments]]
LEVEL_EPSILON = 1.1920929e-07  # num_utils.EPS of crowsonkb/style_transfer


@dataclass(frozen=True)
class MomentsTerm:
    """Functions of the moments at a tap, measured once: ``Σ share loss(moments)``."""

    tap: str
    losses: tuple[tuple[float, Loss], ...]
    weight: float
    mask: Array | None = None  # (h, w, 1)
    name: str = ""
    count: float | None = None  # replaces the sum of the mask, where a loss is not to be normalised by area

    def __call__(self, f: Array) -> tuple[float, Array]:  # (h, w, C) -> value, (h, w, C)
        """Return the unweighted value and gradient."""
        moments = moments_forward(f, self.mask, self.count)
        total, value = None, 0.0
        for share, loss in self.losses:
            part, dmoments = loss(moments)
            value += share * part
            total = dmoments.scaled(share) if total is None else total + dmoments.scaled(share)
        assert total is not None
        return value, moments_backward(total, f, self.mask)


@dataclass(frozen=True)
class LevelledTerm:
    """A term whose gradient is divided by its mean magnitude (crowsonkb/style_transfer ``normalize``).

    Its value is the term's own: the gradient is not the gradient of it.
    """

    inner: Term
    weight: float

    @property
    def name(self) -> str:
        """The inner term's."""
        return self.inner.name

    @property
    def tap(self) -> str:
        """The inner term's."""
        return self.inner.tap

    def __call__(self, f: Array) -> tuple[float, Array]:  # (h, w, C) -> value, (h, w, C)
        """Return the value and the levelled gradient."""
        value, df = self.inner(f)
        return value, df / (abs(df).mean() + df.dtype.type(LEVEL_EPSILON))


@dataclass(frozen=True)
class PictureTerm:
    """A function of the picture.

    `in_value` says whether the objective's value contains it, and `stretch` by how much its gradient is longer than
    that of its value: both for systems whose gradient is no function's.
    """

    function: Callable[[Array], tuple[float, Array]]
    weight: float
    name: str
    in_value: bool = True
    stretch: float = 1.0
    tap: str = PICTURE

    def __call__(self, f: Array) -> tuple[float, Array]:  # (H, W, 3) -> value, (H, W, 3)
        """Return the unweighted value and gradient."""
        value, dp = self.function(f)
        return (value if self.in_value else 0.0), dp if self.stretch == 1 else dp * self.stretch
