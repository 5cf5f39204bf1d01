"""Solutions to chapter 18."""

import math

import numpy as np


def cubic_minimum(a, fa, da, b, fb, db):  # six floats -> float
    """Return where the cubic with these values and slopes has its minimum."""
    d1 = da + db - 3 * (fa - fb) / (a - b)
    square = d1 * d1 - da * db
    if square < 0:
        return math.inf
    d2 = math.copysign(math.sqrt(square), b - a)
    below = db - da + 2 * d2
    return b - (b - a) * (db + d2 - d1) / below if below else math.inf


def projected_step(objective, v, d, t, low, high):  # (n,), (n,) -> (n,), float
    """Return the first point of the clipped path that is low enough."""
    value, g = objective(v)
    for _ in range(30):
        there = np.clip(v + t * d, low, high)
        below, _ = objective(there)
        if below <= value + 1e-4 * (g @ (there - v)):
            return there, below
        t /= 2
    return v, value


def in_other_variables(objective, forward, adjoint):  # -> (z -> value, gradient)
    """Return the objective as a function of z, where the picture is forward(z)."""

    def transformed(z):
        value, dp = objective(forward(z))
        return value, adjoint(dp)

    return transformed
