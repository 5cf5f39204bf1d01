"""The exercises of chapter 22."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection
from handstyle.network.pooling import average_pool_backward, average_pool_forward
from handstyle.network.relu import relu_backward, relu_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch22]
SHAPES = [(2, 2, 1), (6, 10, 3), (4, 8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_average_stage_is_the_two_layers(mine, rng, shape):
    z = np.round(rng.normal(size=shape))  # ties at zero too
    y, cache = mine.average_stage_forward(z)
    rectified, mask = relu_forward(z)
    expected, pooled = average_pool_forward(rectified)
    assert np.allclose(y, expected, atol=1e-14)
    dy = rng.normal(size=expected.shape)
    there = relu_backward(average_pool_backward(dy, pooled), mask)
    assert np.allclose(mine.average_stage_backward(dy, cache), there, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_average_stage_backward_agrees_with_differences(mine, rng, shape):
    z = rng.normal(size=shape)
    y, cache = mine.average_stage_forward(z)
    d = rng.normal(size=y.shape)
    gradient = mine.average_stage_backward(d, cache)
    report = check_projection(lambda z: float((mine.average_stage_forward(z)[0] * d).sum()), gradient, z)
    assert report, str(report)


def test_average_stage_keeps_bits(mine, rng):
    H, W, K = shape = 8, 12, 5
    _, (bits, kept_shape) = mine.average_stage_forward(rng.normal(size=shape))
    assert bits.dtype == np.uint8
    assert bits.nbytes <= -(-H * W * K // 8) + H, "more than a bit a value is kept"
    assert tuple(kept_shape) == shape


@pytest.mark.parametrize("shape", [(8, 6, 3, 4), (64, 64, 512, 512)])
def test_stage_bytes_counts_every_pass(mine, shape):
    H, W, C, K = shape
    read, values = 4 * (H * W * C + 9 * C * K), H * W * K
    apart = read + 4 * values  # the convolution
    apart += 4 * (2 * values)  # bias
    apart += 4 * (2 * values)  # rectifier
    apart += 4 * values + values  # its mask
    apart += 4 * values + 4 * values / 4 + values / 4  # pool and codes
    assert mine.stage_bytes(H, W, C, K, fused=False) == apart
    assert mine.stage_bytes(H, W, C, K, fused=True) == read + 4 * values / 4 + values / 8
