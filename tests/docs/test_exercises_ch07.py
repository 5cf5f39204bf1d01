"""The exercises of chapter 7."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection
from handstyle.network.relu import relu_backward, relu_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch07]


def test_leaky_forward_lets_a_hundredth_pass(mine):
    y, cache = mine.leaky_forward(np.array([-2.0, 0.0, 3.0]))
    assert np.allclose(y, [-0.02, 0.0, 3.0], atol=1e-15)
    assert np.asarray(cache).dtype == bool


def test_leaky_backward_is_the_gradient(mine, rng):
    x, target = rng.normal(size=(6, 8, 3)), rng.normal(size=(6, 8, 3))
    y, cache = mine.leaky_forward(x)
    dx = mine.leaky_backward(y - target, cache)
    report = check_projection(
        lambda x: 0.5 * float(((mine.leaky_forward(x)[0] - target) ** 2).sum()), dx, x, signature=lambda x: x > 0
    )
    assert report, str(report)


@pytest.mark.parametrize("shape", [(6, 8, 3), (5, 7, 1), (3,)])
def test_packed_rectifier_keeps_a_bit_a_number(mine, rng, shape):
    x, dy = np.round(rng.normal(size=shape)), rng.normal(size=shape)
    y, bits = mine.packed_forward(x)
    assert np.array_equal(y, relu_forward(x)[0])
    assert bits.nbytes == -(-x.size // 8)
    assert np.array_equal(mine.packed_backward(dy, bits), relu_backward(dy, relu_forward(x)[1]))
