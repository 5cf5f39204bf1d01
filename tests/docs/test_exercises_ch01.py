"""The exercises of chapter 1."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection

pytestmark = [pytest.mark.exercise, pytest.mark.ch01]


def test_two_pixels_are_the_example_by_hand(mine):
    value, gradient = mine.two_pixels(np.array([10.0, 30.0]))
    assert value == pytest.approx(9.0)
    assert gradient == pytest.approx([-2.4, 2.4])


def test_two_pixels_value_and_gradient_match(mine):
    p = np.array([3.0, 29.0])
    report = check_projection(lambda p: mine.two_pixels(p)[0], mine.two_pixels(p)[1], p)
    assert report, str(report)


def test_shares_are_parts_of_one(mine):
    shares = mine.shares({"content": 1.0, "style": 3.0})
    assert shares == pytest.approx({"content": 0.25, "style": 0.75})
