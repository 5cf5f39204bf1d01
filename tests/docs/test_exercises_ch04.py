"""The exercises of chapter 4."""

import numpy as np
import pytest

pytestmark = [pytest.mark.exercise, pytest.mark.ch04]


def test_fourth_order_slope_is_exact_for_quartics(mine, rng):
    a, v = rng.normal(size=5), rng.normal(size=5)
    slope = mine.fourth_order_slope(lambda x: float((x**4).sum()), a, v, 0.1)
    assert slope == pytest.approx(4 * a**3 @ v, rel=1e-10)


def test_fourth_order_slope_falls_as_the_fourth_power(mine):
    errors = [abs(mine.fourth_order_slope(np.exp, 1.0, 1.0, h) - np.e) for h in (0.1, 0.01)]
    assert 3.5 < np.log10(errors[0] / errors[1]) < 4.5


def test_deceptive_gradient_deceives_a_sum_and_nothing_else(mine, rng):
    gradient = rng.normal(size=(6, 7, 3))
    wrong = mine.deceptive_gradient(gradient)
    assert wrong.shape == gradient.shape
    assert wrong.sum() == pytest.approx(gradient.sum())
    assert np.linalg.norm(wrong - gradient) > 0.1 * np.linalg.norm(gradient)


def test_kinks_between_counts_changes_of_state(mine):
    x, v = np.array([0.05, -0.05, 1.0, -1.0]), np.array([1.0, -1.0, 1.0, 1.0])
    assert mine.kinks_between(x, v, 0.1) == 2
    assert mine.kinks_between(x, v, 0.01) == 0
