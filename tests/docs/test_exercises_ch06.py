"""The exercises of chapter 6."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_adjoint, check_projection
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch06]


def test_matrix_of_the_backward_pass_is_the_transpose(mine, rng):
    w = rng.normal(size=(3, 3, 2, 2))
    _, cache = conv3x3_forward(np.zeros((3, 4, 2)), w, np.zeros(2))
    A = mine.matrix_of(lambda u: conv3x3_forward(u, w, np.zeros(2))[0], (3, 4, 2))
    B = mine.matrix_of(lambda v: conv3x3_backward(v, cache), (3, 4, 2))
    assert np.allclose(A.T, B, atol=1e-14)


@pytest.mark.parametrize("shape", [(6, 8, 3), (7, 9, 3), (1, 5, 3)])
def test_strided_convolution_keeps_every_second_pixel(mine, rng, shape):
    x, w, b = rng.normal(size=shape), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
    y, _ = mine.strided_forward(x, w, b)
    assert np.allclose(y, conv3x3_forward(x, w, b)[0][::2, ::2])


@pytest.mark.parametrize("shape", [(6, 8, 3), (7, 9, 3), (1, 5, 3)])
def test_strided_backward_is_the_adjoint(mine, rng, shape):
    w, zero, x = rng.normal(size=(3, 3, 3, 4)), np.zeros(4), np.zeros(shape)
    _, cache = mine.strided_forward(x, w, zero)
    report = check_adjoint(lambda u: mine.strided_forward(u, w, zero)[0], lambda v: mine.strided_backward(v, cache), x)
    assert report, str(report)


def test_weight_gradient_agrees_with_differences(mine, rng):
    x, w, b = rng.normal(size=(5, 7, 3)), rng.normal(size=(3, 3, 3, 4)), np.zeros(4)
    target = rng.normal(size=(5, 7, 4))
    dw = mine.weight_gradient(conv3x3_forward(x, w, b)[0] - target, x)
    report = check_projection(lambda w: 0.5 * float(((conv3x3_forward(x, w, b)[0] - target) ** 2).sum()), dw, w)
    assert report, str(report)
