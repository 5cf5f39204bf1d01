"""The classic loop and plain descent."""

import numpy as np
import pytest
from scipy.optimize import fmin_l_bfgs_b

from handstyle.optimize.classic import minimize_descent, minimize_restarted
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable


class Valley(Evaluable):
    """A curved valley with known values, and a terms as an objective has."""

    def __init__(self) -> None:
        self.terms: dict[str, float] = {}
        self.calls = 0

    def __call__(self, v: np.ndarray) -> tuple[float, np.ndarray]:
        self.calls += 1
        a, b = v[:-1], v[1:]
        value = float((100 * (b - a**2) ** 2 + (1 - a) ** 2).sum())
        g = np.zeros_like(v)
        g[:-1] += -400 * a * (b - a**2) - 2 * (1 - a)
        g[1:] += 200 * (b - a**2)
        self.terms = {"valley": value}
        return value, g


START = np.tile([-1.2, 1.0], 6)


def test_rounds_are_the_scripts_own_loop() -> None:
    v = START
    for _ in range(4):
        v, value, _ = fmin_l_bfgs_b(Valley(), v, maxfun=20)
    rows = []
    outcome = minimize_restarted(Valley(), START, 4, 20, callback=rows.append)
    np.testing.assert_array_equal(outcome.v, v)
    assert outcome.value == value
    assert [row.iteration for row in rows] == [1, 2, 3, 4]
    assert "4 rounds" in outcome.stopped


def test_curvature_lost_is_descent_lost() -> None:
    # The same number of evaluations, not restarted, gets further down.
    loop = minimize_restarted(Valley(), START, 4, 20)
    once = minimize_lbfgsb(Valley(), START, 1000, evaluations=loop.evaluations)
    assert once.value < loop.value / 10


def test_descent_by_hand() -> None:
    class Bowl(Valley):
        def __call__(self, v: np.ndarray) -> tuple[float, np.ndarray]:
            self.terms = {"bowl": float(v @ v)}
            return float(v @ v), 2 * v

    outcome = minimize_descent(Bowl(), np.array([8.0]), 3, lambda step: 0.25 / step)
    assert [row.value for row in outcome.trace] == [64, 16, 9]  # 8, 4, 3
    assert outcome.v == pytest.approx(3)
    clamped = minimize_descent(Bowl(), np.array([8.0]), 3, lambda step: 0.25, box=(2.5, 6.0))
    assert [row.value for row in clamped.trace] == [36, 9, 6.25]


def test_the_callback_ends_it() -> None:
    def stop(_: object) -> None:
        raise StopIteration

    assert minimize_restarted(Valley(), START, 9, callback=stop).stopped == "stopped by the callback"
    assert minimize_descent(Valley(), START, 9, lambda _: 1e-6, callback=stop).stopped == "stopped by the callback"


def test_a_first_step_lost_to_rounding_is_not_followed_by_a_leap() -> None:
    # In float32 the published first step, 1/‖g‖₁ times the gradient, can be less than the last digit of every value:
    # no pair is kept, and a step of the gradient itself, here 1e9 long, would end the run in overflow.
    class Steep(Evaluable):
        terms: dict[str, float] = {}

        def __call__(self, v: np.ndarray) -> tuple[float, np.ndarray]:
            g = (1e6 * (v.astype(np.float64) - 1.0)).astype(np.float32)
            value = 0.5e6 * float(((v.astype(np.float64) - 1.0) ** 2).sum())
            self.terms = {"steep": value}
            return value, g

    start = np.full(50_000, 1000.0, np.float32)
    outcome = minimize_lbfgs(Steep(), start, 8, learning_rate=1.0)
    assert [row.value for row in outcome.trace][-1] < 1e-3 * outcome.trace[0].value
    assert max(row.value for row in outcome.trace) <= 1.01 * outcome.trace[0].value
