"""A frame moved along a known flow, where that can be trusted, and the distance to it."""

import numpy as np
import pytest
from support.differentiable_pairs import loss_of

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.temporal import certainty, temporal_term, warp


def constant(v: float, u: float, shape: tuple[int, int] = (9, 12)) -> Array:
    return np.stack([np.full(shape, v), np.full(shape, u)])


def test_a_pan_is_moved_exactly(rng: np.random.Generator) -> None:
    scene = rng.uniform(0, 255, (20, 30, 3))
    before, now = scene[4:13, 6:18], scene[2:11, 9:21]  # the camera goes 2 up and 3 to the right
    found = warp(before, constant(-2, 3))
    assert np.array_equal(found[2:, :-3], now[2:, :-3])
    assert np.array_equal(found[2:, -1], before[:-2, -1])  # beyond the edge the edge goes on


def test_between_pixels_it_is_bilinear() -> None:
    ramp = np.add.outer(3.0 * np.arange(9), 5.0 * np.arange(12))[..., None]
    found = warp(ramp.astype(np.float32), constant(0.5, 0.25))[:-1, :-1]
    np.testing.assert_allclose(found, ramp[:-1, :-1] + 0.5 * 3 + 0.25 * 5, rtol=1e-6)


def moving_square() -> tuple[Array, Array]:
    """Return the flows there and back of a square of 6 px that goes 4 px to the right over a background at rest."""
    forward, backward = np.zeros((2, 2, 20, 24))
    forward[1, 7:13, 6:12], backward[1, 7:13, 10:16] = 4, -4
    return forward, backward


def test_what_was_hidden_is_not_certain() -> None:
    forward, backward = moving_square()
    certain = certainty(forward, backward)
    assert not certain[7:13, 6:10].any()  # seen now, behind the square before
    assert certain[9:11, 12:14].all()  # the square's inside
    assert certain[:5].all()
    assert certain[:, 18:].all()
    assert not certain[7:13, [9, 10, 15, 16]].any()  # the edges of the motion


def test_what_has_left_the_picture_is_not_certain() -> None:
    certain = certainty(constant(0, -3), constant(0, 3))
    assert certain[:, :-3].all()
    assert not certain[:, -3:].any()


def test_a_flow_that_does_not_lead_back_is_not_certain() -> None:
    assert not certainty(constant(0, 2), constant(0, 2)).any()
    assert certainty(constant(0, -2.3), constant(0, 2))[:, :-2].all()  # a third of a pixel is allowed


def test_the_loss_by_its_definition(rng: np.random.Generator) -> None:
    p, target = rng.uniform(0, 255, (2, 4, 5, 3))
    certain = (rng.uniform(size=(4, 5, 1)) > 0.5).astype(float)
    value, dp = loss_of(temporal_term(target, certain))(p)
    assert value == pytest.approx((certain * (p - target) ** 2).sum() / p.size)
    np.testing.assert_allclose(dp, 2 / p.size * certain * (p - target), rtol=1e-13)
    assert not dp[certain[..., 0] == 0].any()


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(HandstyleError, match=r"temporal: a mask of shape \(4, 5\)"):
        temporal_term(np.zeros((4, 5, 3)), np.ones((4, 5)))
