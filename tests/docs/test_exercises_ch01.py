"""The exercises of chapter 1."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection

pytestmark = [pytest.mark.exercise, pytest.mark.ch01]


def test_row_of_two_pixels_is_the_example_by_hand(mine):
    value, gradient = mine.row_of_pixels(np.array([10.0, 30.0]), np.array([10.0, 30.0]))
    assert value == pytest.approx(9.0)
    assert gradient == pytest.approx([-2.4, 2.4])


@pytest.mark.parametrize("n", [2, 3, 9])
def test_row_of_pixels_value_and_gradient_match(mine, rng, n):
    p, photo = rng.uniform(0, 60, n), rng.uniform(0, 60, n)
    report = check_projection(lambda p: mine.row_of_pixels(p, photo)[0], mine.row_of_pixels(p, photo)[1], p)
    assert report, str(report)


def test_row_of_pixels_keeps_the_content_where_the_style_is_met(mine):
    photo = np.array([0.0, 10.0, 20.0, 10.0])  # every difference is 10 or −10: the mean square is 100
    value, gradient = mine.row_of_pixels(photo, photo)
    assert value == pytest.approx(0.0)
    assert gradient == pytest.approx(np.zeros(4))


def test_shares_are_parts_of_one(mine):
    shares = mine.shares({"content": 1.0, "style": 3.0})
    assert shares == pytest.approx({"content": 0.25, "style": 0.75})
