"""Solutions to chapter 16."""

from dataclasses import replace

import numpy as np

from handstyle.optimize.objective import evaluate


def broken_promises(objective, v):  # callable, (n,) -> list of str
    """Return which of an objective's four promises do not hold at `v`."""
    given, h = v.copy(), 1e-6
    direction = np.random.default_rng(0).normal(size=v.size)
    value, gradient = objective(v)
    kept = gradient.copy()
    up, down = objective(given + h * direction)[0], objective(given - h * direction)[0]
    slope = (up - down) / (2 * h)
    fresh = np.array_equal(gradient, kept)
    again, gradient_again = objective(given.copy())
    promises = {
        "match": abs(slope - kept @ direction) <= 1e-4 * abs(slope) + 1e-9,
        "repeat": again == value and np.array_equal(gradient_again, kept),
        "fresh": fresh,
        "argument": np.array_equal(v, given),
    }
    return [name for name, holds in promises.items() if not holds]


def any_weights(network, terms, p):  # (H, W, 3) -> function of n weights
    """Return a function from weights to the value and the gradient at `p`."""
    single = [evaluate(network, [replace(term, weight=1.0)], p) for term in terms]
    values = np.array([value[0] for value, _ in single])
    gradients = np.array([gradient for _, gradient in single])

    def of(weights):
        return float(values @ weights), np.tensordot(weights, gradients, axes=1)

    return of
