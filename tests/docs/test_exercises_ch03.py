"""The exercises of chapter 3."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_adjoint

pytestmark = [pytest.mark.exercise, pytest.mark.ch03]


def test_signed_forward_maps_black_and_white_to_the_ends(mine):
    p = np.array([[[0.0, 127.5, 255.0]]])
    assert np.allclose(mine.signed_forward(p), [[[-1, 0, 1]]], atol=1e-14)


def test_signed_backward_is_the_adjoint_of_the_linear_part(mine, rng):
    x = rng.normal(size=(5, 7, 3))
    zero = mine.signed_forward(np.zeros_like(x))
    report = check_adjoint(lambda u: mine.signed_forward(u) - zero, mine.signed_backward, x)
    assert report, str(report)


@pytest.mark.parametrize("level", [0.0, 5.0, 90.0, 255.0])
def test_halved_in_light_keeps_a_flat_picture(mine, level):
    assert np.allclose(mine.halved_in_light(np.full((4, 6, 3), level)), np.full((2, 3, 3), level), atol=1e-4)


def test_halved_in_light_keeps_the_light_of_stripes(mine):
    stripes = np.zeros((4, 6, 3))
    stripes[::2] = 255
    assert np.allclose(mine.halved_in_light(stripes), 187.516, atol=1e-2)  # 255 (1.055 · 0.5^(1/2.4) − 0.055)


def test_halved_in_light_keeps_pixels_in_their_places(mine):
    p = np.repeat(np.repeat(np.arange(0.0, 240, 10).reshape(2, 4, 3), 2, axis=0), 2, axis=1)
    assert np.allclose(mine.halved_in_light(p), p[::2, ::2], atol=1e-4)
