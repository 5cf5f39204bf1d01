"""The plain Winograd convolution against the nine shifted products, forward and backward, at sides that fit no tile."""

import numpy as np
import pytest
from support.strict_arrays import TRAFFIC, strict_backend

from handstyle.foundations.backend import Array
from handstyle.foundations.gradcheck import check_adjoint
from handstyle.kernels.winograd_matrices import POINTS
from handstyle.kernels.winograd_plain import winograd_backward, winograd_forward
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

TILES = pytest.mark.parametrize("m", POINTS)
SHAPES = pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 9, 2, 3), (7, 5, 3, 2), (13, 1, 4, 4), (12, 24, 8, 5)])


@TILES
@SHAPES
def test_equals_nine_shifts_forward_and_backward(m: int, shape: tuple[int, ...], rng: np.random.Generator) -> None:
    H, W, C, K = shape
    x, w, b = rng.normal(size=(H, W, C)), rng.normal(size=(3, 3, C, K)), rng.normal(size=K)
    dy = rng.normal(size=(H, W, K))
    y, cache = winograd_forward(x, w, b, m)
    expected, expected_cache = conv3x3_forward(x, w, b)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(winograd_backward(dy, cache), conv3x3_backward(dy, expected_cache), rtol=0, atol=1e-10)


@TILES
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_backward_is_the_adjoint_and_keeps_the_dtype(m: int, dtype: type, rng: np.random.Generator) -> None:
    x: Array = rng.normal(size=(9, 11, 4)).astype(dtype)
    w: Array = rng.normal(size=(3, 3, 4, 5)).astype(dtype)
    y, cache = winograd_forward(x, w, np.zeros(5, dtype), m)
    assert y.dtype == winograd_backward(y, cache).dtype == dtype
    report = check_adjoint(
        lambda u: winograd_forward(u, w, np.zeros(5, dtype), m)[0], lambda v: winograd_backward(v, cache), x
    )
    assert report, report


@TILES
def test_runs_on_arrays_that_do_not_leave_their_device(m: int, rng: np.random.Generator) -> None:
    device = strict_backend()
    x, w, b = rng.normal(size=(7, 10, 3)), rng.normal(size=(3, 3, 3, 4)), rng.normal(size=4)
    x_there, w_there, b_there = (device.asarray(a) for a in (x, w, b))
    TRAFFIC.reset()
    y, cache = winograd_forward(x_there, w_there, b_there, m)
    dx = winograd_backward(y, cache)
    assert TRAFFIC.down == TRAFFIC.values == 0
    here, _ = winograd_forward(x, w, b, m)
    np.testing.assert_array_equal(device.to_numpy(y), here)
    np.testing.assert_array_equal(device.to_numpy(dx), winograd_backward(here, (w, m)))
