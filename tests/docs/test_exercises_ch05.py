"""The exercises of chapter 5."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_adjoint
from handstyle.network.padding import pad_backward

pytestmark = [pytest.mark.exercise, pytest.mark.ch05]
SHAPES = [(5, 7, 3), (4, 4, 1), (2, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES)
def test_circular_forward_continues_from_the_opposite_side(mine, rng, shape):
    x = rng.normal(size=shape)
    assert np.array_equal(mine.circular_forward(x), np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="wrap"))


@pytest.mark.parametrize("shape", SHAPES)
def test_circular_backward_is_the_adjoint(mine, shape):
    report = check_adjoint(mine.circular_forward, mine.circular_backward, np.zeros(shape))
    assert report, str(report)


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
@pytest.mark.parametrize("shape", SHAPES)
def test_fold_by_index_is_what_pad_backward_does(mine, rng, shape, mode):
    H, W, C = shape
    dxpad = rng.normal(size=(H + 2, W + 2, C))
    assert np.allclose(mine.fold_by_index(dxpad, mode), pad_backward(dxpad, mode), atol=1e-13)
