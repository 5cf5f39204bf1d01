"""Line search: find a step along a direction that satisfies the strong Wolfe conditions.

Nocedal and Wright (2006), Numerical Optimization, 2nd edition, algorithms 3.5 and 3.6: the step grows until the
interval between two trials must contain a suitable point, which is then found by cubic interpolation.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

DECREASE = 1e-4  # c1: the fraction of the predicted decrease that is enough
CURVATURE = 0.9  # c2: the fraction of the slope that may be left
GROWTH = 4.0  # the largest factor by which a step grows, as in Moré and Thuente's dcsrch


@dataclass(frozen=True)
class Trial:
    """A point on the search line: the length of the step, and the value and the slope of the objective there.

    Examples
    --------
    >>> phi = lambda step: Trial(step, (step - 1) ** 2, 2 * (step - 1))  # a parabola with its minimum at 1
    >>> strong_wolfe(phi, phi(0.0), step=1.0)
    Trial(step=1.0, value=0.0, slope=0.0)
    """

    step: float
    value: float
    slope: float


def strong_wolfe(phi: Callable[[float], Trial], start: Trial, step: float, trials: int = 20) -> Trial | None:
    """Find a step with sufficient decrease and a sufficiently reduced slope.

    Parameters
    ----------
    phi : callable
        ``phi(step) -> Trial`` evaluates the objective at a step along the direction.
    start : Trial
        The point at step 0; its slope must be negative.
    step : float
        The first step to try, above 0.
    trials : int
        Evaluations at most.

    Returns
    -------
    Trial or None
        The last point at which `phi` was evaluated, which satisfies both conditions. None if no step was found, which
        happens near the rounding noise of float32 but not in exact arithmetic.

    Notes
    -----
    Nocedal and Wright (2006), eq. 3.7: ``φ(t) ≤ φ(0) + c1 t φ'(0)`` and ``|φ'(t)| ≤ c2 |φ'(0)|``. Departures from
    their pseudo-code: the step grows by cubic extrapolation, at most fourfold, and the bracket shrinks by at least a
    tenth of itself each time.

    Examples
    --------
    >>> def phi(t):  # a parabola with its minimum at 3
    ...     return Trial(t, (t - 3) ** 2, 2 * (t - 3))
    >>> strong_wolfe(phi, phi(0.0), step=1.0)
    Trial(step=1.0, value=4.0, slope=-4.0)
    """
    previous = start
    for count in range(trials):
        here = phi(step)
        if not _decreases_enough(here, start) or (count > 0 and here.value >= previous.value):
            return _zoom(phi, start, previous, here, trials - count - 1)
        if abs(here.slope) <= CURVATURE * -start.slope:
            return here
        if here.slope >= 0:
            return _zoom(phi, start, here, previous, trials - count - 1)
        gap = here.step - previous.step
        step = min(max(_cubic_minimum(previous, here), here.step + 1.1 * gap), here.step + GROWTH * gap)
        previous = here
    return None


def _zoom(phi: Callable[[float], Trial], start: Trial, low: Trial, high: Trial, trials: int) -> Trial | None:
    # Algorithm 3.6. `low` is the step of lowest value so far with sufficient decrease; the value falls from there
    # towards `high`.
    for _ in range(trials):
        gap = high.step - low.step
        if abs(gap) <= 1e-12 * max(low.step, high.step):
            return None
        fraction = (_cubic_minimum(low, high) - low.step) / gap
        here = phi(low.step + gap * (min(max(fraction, 0.1), 0.9) if math.isfinite(fraction) else 0.5))
        if not _decreases_enough(here, start) or here.value >= low.value:
            high = here
            continue
        if abs(here.slope) <= CURVATURE * -start.slope:
            return here
        if here.slope * gap >= 0:
            high = low
        low = here
    return None


def _decreases_enough(here: Trial, start: Trial) -> bool:
    return here.value <= start.value + DECREASE * here.step * start.slope


def _cubic_minimum(a: Trial, b: Trial) -> float:
    """Return the minimizer of the cubic with the values and slopes of `a` and `b` (eq. 3.59), or inf if it has none."""
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step)
    square = d1 * d1 - a.slope * b.slope
    if not (math.isfinite(square) and square >= 0):
        return math.inf
    d2 = math.copysign(math.sqrt(square), b.step - a.step)
    denominator = b.slope - a.slope + 2 * d2
    if denominator == 0:
        return math.inf
    return b.step - (b.step - a.step) * (b.slope + d2 - d1) / denominator  # book: search-cubic
