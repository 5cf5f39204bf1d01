"""Solutions to chapter 4."""

import numpy as np


def fourth_order_slope(f, x, v, h):
    """Return the derivative of `f` at `x` along `v`, with an error that falls as the fourth power of `h`."""
    near = f(x + h * v) - f(x - h * v)
    far = f(x + 2 * h * v) - f(x - 2 * h * v)
    return (8 * near - far) / (12 * h)


def deceptive_gradient(gradient):
    """Return a wrong gradient that a check along the all-ones direction cannot tell from the right one."""
    return np.roll(gradient, 1, axis=0)


def kinks_between(x, v, h):
    """Return how many rectifiers change their state between ``x − h v`` and ``x + h v``."""
    return int(((x - h * v > 0) != (x + h * v > 0)).sum())
