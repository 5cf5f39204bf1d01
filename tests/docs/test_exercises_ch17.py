"""The exercises of chapter 17."""

import numpy as np
import pytest
from scipy.optimize import LbfgsInvHessProduct, minimize

pytestmark = [pytest.mark.exercise, pytest.mark.ch17]


@pytest.fixture
def pairs(rng):
    curvature = rng.normal(size=(6, 6))
    curvature = curvature @ curvature.T + np.eye(6)
    return [(s, curvature @ s) for s in rng.normal(size=(3, 6))]


def test_two_loops_are_the_dense_update(mine, pairs, rng):
    g = rng.normal(size=6)
    s, y = pairs[-1]
    H = (s @ y) / (y @ y) * np.eye(6)
    for s, y in pairs:
        V = np.eye(6) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    assert np.allclose(mine.two_loop(g, pairs), H @ g)


def test_two_loops_agree_with_scipy(mine, pairs, rng):
    # SciPy's product starts from the identity; in units in which the newest pair has γ = 1 the two are the same.
    s, y = pairs[-1]
    unit = np.sqrt((s @ y) / (y @ y))
    rescaled = [(s / unit, unit * y) for s, y in pairs]
    scipy = LbfgsInvHessProduct(np.array([s for s, _ in rescaled]), np.array([y for _, y in rescaled]))
    g = rng.normal(size=6)
    assert np.allclose(mine.two_loop(g, pairs), unit * scipy.matvec(unit * g))


def test_two_loops_satisfy_the_secant_equation(mine, pairs):
    s, y = pairs[-1]
    assert np.allclose(mine.two_loop(y, pairs), s)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-6, 1e-9])
def test_stops_at_once_says_what_scipy_does(mine, scale):
    def f(x):
        return scale * float((x**2).sum()), scale * 2 * x

    start = np.array([1.0, -2.0])
    result = minimize(f, start, jac=True, method="L-BFGS-B")
    assert mine.stops_at_once(*f(start)) == (result.nit == 0)
