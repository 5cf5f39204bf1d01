"""The exercises of chapter 8."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection
from handstyle.network.pooling import max_pool_backward, max_pool_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch08]


def test_shared_max_backward_is_the_gradient_where_there_is_one(mine, rng):
    x, dy = rng.normal(size=(6, 8, 3)), rng.normal(size=(3, 4, 3))
    assert np.allclose(mine.shared_max_backward(dy, x), max_pool_backward(dy, max_pool_forward(x)[1]))


def test_shared_max_backward_shares_at_ties(mine):
    x = np.array([[5.0, 5.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])[:, :, None]
    dx = mine.shared_max_backward(np.array([[[6.0], [8.0]]]), x)
    assert np.allclose(dx[..., 0], [[3, 3, 2, 2], [0, 0, 2, 2]])


def test_root_pool_forward_lies_between_average_and_maximum(mine):
    y, _ = mine.root_pool_forward(np.array([[[1.0], [2.0]], [[2.0], [4.0]]]))
    assert np.allclose(y, 2.5)


def test_root_pool_backward_is_the_gradient(mine, rng):
    x, target = rng.normal(size=(6, 8, 3)), rng.normal(size=(3, 4, 3))
    y, cache = mine.root_pool_forward(x)
    report = check_projection(
        lambda x: 0.5 * float(((mine.root_pool_forward(x)[0] - target) ** 2).sum()),
        mine.root_pool_backward(y - target, cache),
        x,
    )
    assert report, str(report)


def test_root_pool_backward_of_zeros_is_zero(mine):
    _, cache = mine.root_pool_forward(np.zeros((2, 2, 1)))
    assert not mine.root_pool_backward(np.ones((1, 1, 1)), cache).any()
