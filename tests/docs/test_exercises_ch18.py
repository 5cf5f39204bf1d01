"""The exercises of chapter 18."""

import math

import numpy as np
import pytest

pytestmark = [pytest.mark.exercise, pytest.mark.ch18]


@pytest.mark.parametrize(("a", "b"), [(0.2, 3.0), (3.0, 0.2), (-0.5, 1.5)])
def test_the_cubic_minimum_of_a_cubic_is_its_own(mine, a, b):
    def f(t):
        return t**3 - 3 * t + 1

    def df(t):
        return 3 * t**2 - 3

    assert mine.cubic_minimum(a, f(a), df(a), b, f(b), df(b)) == pytest.approx(1)


def test_a_cubic_that_only_falls_has_no_minimum(mine):
    assert mine.cubic_minimum(0.0, 0.0, -1.0, 1.0, -2.0, -3.5) == math.inf


def square(v):
    return float((v**2).sum()), 2 * v


def test_a_projected_step_halves_until_it_is_low_enough(mine):
    v = np.array([1.0, -2.0])
    there, value = mine.projected_step(square, v, -2 * v, 8.0, -10.0, 10.0)
    assert there == pytest.approx([0.0, 0.0])  # 8, 4, 2 and 1 are too long, or no better; a half is the minimum
    assert value == pytest.approx(0)


def test_a_projected_step_stays_in_the_box_and_counts_the_step_made(mine):
    v = np.array([1.0, -2.0])
    there, value = mine.projected_step(square, v, -2 * v, 0.5, 0.5, 10.0)
    assert there == pytest.approx([0.5, 0.5])
    assert value == pytest.approx(0.5)


def test_a_projected_step_uphill_stays(mine):
    v = np.array([1.0, -2.0])
    there, value = mine.projected_step(square, v, 2 * v, 1.0, -10.0, 10.0)
    assert there == pytest.approx(v)
    assert value == pytest.approx(5)
