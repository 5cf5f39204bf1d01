"""L-BFGS-B."""

import numpy as np
from scipy.optimize import LbfgsInvHessProduct, minimize

from handstyle.book.grading import exercise, mistake


def _two_loop(g, pairs, gamma=True, newest_first=True, second=None):
    q, alphas = g.copy(), []
    for s, y in reversed(pairs) if newest_first else pairs:
        alpha = (s @ q) / (s @ y)
        alphas.append(alpha)
        q = q - alpha * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q if gamma else q
    order = pairs if newest_first else list(reversed(pairs))
    for (s, y), alpha in zip(order, reversed(alphas), strict=True):
        beta = (y @ r) / (s @ y)
        r = r + ((alpha - beta) if second is None else second) * s
    return r


@exercise(
    "ch17-two-loop",
    "the two loops",
    ["two_loop"],
    mistake(
        "from the oldest",
        "the first loop must begin at the newest pair, the second at the oldest",
        two_loop=lambda g, pairs: _two_loop(g, pairs, newest_first=False),
    ),
    mistake(
        "not scaled",
        "H begins as the identity; the newest pair's (sᵀy) / (yᵀy) is missing",
        two_loop=lambda g, pairs: _two_loop(g, pairs, gamma=False),
    ),
    mistake(
        "the way down",
        "−Hg, the direction of a step: Hg was asked for",
        two_loop=lambda g, pairs: -_two_loop(g, pairs),
    ),
    mistake(
        "one loop",
        "the second loop is missing: what the pairs took away is not put back",
        two_loop=lambda g, pairs: _two_loop(g, pairs, second=0.0),
    ),
)
def _loops(mine, judge):
    curvature = judge.rng.normal(size=(6, 6))
    curvature = curvature @ curvature.T + np.eye(6)
    pairs = [(s, curvature @ s) for s in judge.rng.normal(size=(3, 6))]
    g = judge.rng.normal(size=6)
    s, y = pairs[-1]
    H = (s @ y) / (y @ y) * np.eye(6)
    for s, y in pairs:
        V = np.eye(6) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    judge.equal("against the matrix, updated three times", mine.two_loop(g.copy(), list(pairs)), H @ g)
    # SciPy's product starts from the identity; in units in which the newest pair has γ = 1 the two are the same.
    s, y = pairs[-1]
    unit = np.sqrt((s @ y) / (y @ y))
    scipy = LbfgsInvHessProduct(np.array([s / unit for s, _ in pairs]), np.array([unit * y for _, y in pairs]))
    judge.equal("against SciPy", mine.two_loop(g.copy(), list(pairs)), unit * scipy.matvec(unit * g))
    judge.equal("the secant equation", mine.two_loop(y.copy(), list(pairs)), s)


@exercise(
    "ch17-stop",
    "will it stop at once?",
    ["stops_at_once"],
    mistake(
        "the Euclidean norm",
        "SciPy looks at the largest entry; the root of the sum of squares grows with the number of pixels",
        stops_at_once=lambda value, gradient, gtol=1e-5: bool(np.linalg.norm(gradient) <= gtol),
    ),
    mistake(
        "signs forgotten",
        "the largest entry, not the largest in size",
        stops_at_once=lambda value, gradient, gtol=1e-5: bool(np.max(gradient) <= gtol),
    ),
    mistake(
        "the mean",
        "the mean of the sizes: one steep pixel is enough to go on",
        stops_at_once=lambda value, gradient, gtol=1e-5: bool(np.abs(gradient).mean() <= gtol),
    ),
    mistake(
        "relative to the value",
        "the gradient's test is absolute",
        stops_at_once=lambda value, gradient, gtol=1e-5: bool(np.abs(gradient).max() <= gtol * value),
    ),
)
def _stop(mine, judge):
    steep = np.zeros(400)
    steep[7] = 1.0
    starts = {
        "two entries": np.array([1.0, -2.0]),
        "400 entries of one size": np.ones(400),
        "one steep entry of 400": steep,
        "falling everywhere": -np.ones(9),
    }
    for what, start in starts.items():
        for scale in (1.0, 1e-3, 2e-5, 4e-6, 1e-6, 1e-9):

            def f(x, scale=scale):
                return scale * float((x**2).sum()), scale * 2 * x

            stops = minimize(f, start, jac=True, method="L-BFGS-B").nit == 0
            found = bool(mine.stops_at_once(*f(start)))
            word = "stops" if stops else "does not stop"
            judge.holds(f"{what}, the largest {np.abs(f(start)[1]).max():.0e}: SciPy {word}", found == stops)
