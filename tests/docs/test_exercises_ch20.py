"""The exercises of chapter 20."""

import numpy as np
import pytest

from handstyle.network.convolution import conv3x3_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch20]


def size(rows, W, C):
    return 4 * 9 * rows * W * C


@pytest.mark.parametrize("shape", [(512, 512, 3), (512, 512, 64), (37, 200, 16), (5, 8, 4), (64, 64, 512)])
@pytest.mark.parametrize("budget", [2**16, 2**20, 2**24])
def test_strip_rows_is_the_largest_even_number_that_fits(mine, shape, budget):
    H, W, C = shape
    rows = mine.strip_rows(H, W, C, budget)
    assert rows % 2 == 0
    assert 2 <= rows <= H + H % 2
    assert rows == 2 or size(rows, W, C) <= budget, "the strip is larger than the budget"
    assert rows >= H or size(rows + 2, W, C) > budget, "two more lines would fit"


@pytest.mark.parametrize("shape", [(1, 1, 3), (6, 8, 3), (7, 5, 4)])
def test_width_forward_equals_the_nine_shifts(mine, rng, shape):
    x, w, b = rng.normal(size=shape), rng.normal(size=(3, 3, shape[2], 5)), rng.normal(size=5)
    assert np.allclose(mine.width_forward(x, w, b), conv3x3_forward(x, w, b)[0], atol=1e-12)
