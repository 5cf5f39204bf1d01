"""The exercises of chapter 21."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_adjoint
from handstyle.kernels.winograd_plain import winograd_forward
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch21]


@pytest.mark.parametrize("points", [[0, 1, -1], [0, 1, 2], [0, 1, -1, 2], [0, 1, -1, 0.5, -2]])
def test_the_matrices_of_any_points_are_a_correlation(mine, rng, points):
    BT, G, AT = mine.winograd_matrices(points)
    m = len(points) - 1
    x, w = rng.normal(size=m + 2), rng.normal(size=3)
    assert np.allclose(AT @ ((G @ w) * (BT @ x)), [x[k : k + 3] @ w for k in range(m)], atol=1e-12)
    assert BT.shape == (m + 2, m + 2), "n points must do: more would be no saving"


@pytest.mark.parametrize("m", [2, 4, 6])
@pytest.mark.parametrize("shape", [(1, 1), (7, 12), (13, 5)])
def test_transposed_backward_equals_the_nine_shifts(mine, rng, m, shape):
    w, dy = rng.normal(size=(3, 3, 3, 4)), rng.normal(size=(*shape, 4))
    _, cache = conv3x3_forward(np.zeros((*shape, 3)), w, np.zeros(4))
    assert np.allclose(mine.transposed_backward(dy, (w, m)), conv3x3_backward(dy, cache), atol=1e-10)


def test_transposed_backward_is_the_adjoint(mine, rng):
    w, x = rng.normal(size=(3, 3, 3, 4)), np.zeros((9, 11, 3))
    report = check_adjoint(
        lambda u: winograd_forward(u, w, np.zeros(4), 4)[0], lambda v: mine.transposed_backward(v, (w, 4)), x
    )
    assert report, str(report)
