"""The exercises of chapter 14."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection

pytestmark = [pytest.mark.exercise, pytest.mark.ch14]


def test_huber_variation_by_hand(mine):
    p = np.array([[[0.0], [2.0], [12.0]]])  # differences 2 and 10
    value, dp = mine.huber_variation(p, 4.0)
    assert value == pytest.approx(4 / 8 + 8)
    assert dp.ravel() == pytest.approx([-0.5, -0.5, 1])


def test_huber_variation_agrees_with_differences(mine, rng):
    p = rng.uniform(0, 255, (5, 6, 3))
    report = check_projection(lambda p: mine.huber_variation(p, 60.0)[0], mine.huber_variation(p, 60.0)[1], p)
    assert report, str(report)


def test_diagonal_variation_by_hand(mine):
    p = np.array([[[1.0], [2.0]], [[4.0], [8.0]]])
    value, dp = mine.diagonal_variation(p)
    assert value == pytest.approx(7**2 + 2**2)
    assert dp[..., 0] == pytest.approx(np.array([[-14, -4], [4, 14]]))


def test_diagonal_variation_agrees_with_differences(mine, rng):
    p = rng.uniform(0, 255, (4, 6, 3))
    report = check_projection(lambda p: mine.diagonal_variation(p)[0], mine.diagonal_variation(p)[1], p)
    assert report, str(report)
