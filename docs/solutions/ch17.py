"""Solutions to chapter 17."""

import numpy as np


def two_loop(g, pairs):
    """Return H g, where H is the inverse curvature that L-BFGS has seen in `pairs` of (s, y), oldest first.

    Nocedal (1980), in the form of Nocedal and Wright's algorithm 7.4; H starts as (s·y / y·y) I of the newest pair.
    """
    q, alphas = g.copy(), []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (s @ y)
        alphas.append(alpha)
        q = q - alpha * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = (y @ r) / (s @ y)
        r = r + (alpha - beta) * s
    return r


def dense_bfgs(n, pairs):
    """Return the same H as an (n, n) matrix, by the update formula: what `two_loop` avoids to write down."""
    s, y = pairs[-1]
    H = (s @ y) / (y @ y) * np.eye(n)
    for s, y in pairs:
        rho = 1 / (s @ y)
        V = np.eye(n) - rho * np.outer(y, s)
        H = V.T @ H @ V + rho * np.outer(s, s)
    return H


def stops_at_once(value, gradient, gtol=1e-5):
    """Return whether SciPy's default test on the gradient ends a run, without bounds, before its first step."""
    return bool(np.abs(gradient).max() <= gtol)
