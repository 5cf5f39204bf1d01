from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from handstyle.foundations.backend import Array
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.weight_gradients import conv3x3_bias_gradient, conv3x3_weight_gradient

SCIPYS = {"zero": "constant", "reflect": "mirror", "replicate": "nearest"}
sides, channels = st.integers(1, 9), st.integers(1, 4)
paddings = st.sampled_from(list(SCIPYS))


def drawn(H: int, W: int, C: int, K: int) -> tuple[Array, Array, Array]:
    rng = np.random.default_rng(H + 10 * W + 100 * C + 1000 * K)
    return rng.standard_normal((H, W, C)), rng.standard_normal((3, 3, C, K)), rng.standard_normal(K)


@given(sides, sides, channels, channels, paddings)
def test_forward_equals_scipys_correlation(H: int, W: int, C: int, K: int, padding: str) -> None:
    x, w, b = drawn(H, W, C, K)
    expected = np.stack(
        [
            b[k] + sum(ndimage.correlate(x[..., c], w[..., c, k], mode=SCIPYS[padding]) for c in range(C))
            for k in range(K)
        ],
        axis=2,
    )
    np.testing.assert_allclose(conv3x3_forward(x, w, b, padding)[0], expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("H", "W"), [(4, 5), (1, 1), (1, 6), (6, 1), (2, 2)])
def test_all_three_by_the_definition(H: int, W: int) -> None:
    """One pixel, channel and tap at a time; zero outside."""
    x, w, b = drawn(H, W, 3, 2)
    dy = np.random.default_rng(1).standard_normal((H, W, 2))
    y, dx, dw = np.tile(b, (H, W, 1)), np.zeros_like(x), np.zeros_like(w)
    for h, v, k, i, j, c in product(range(H), range(W), range(2), range(3), range(3), range(3)):
        r, s = h + i - 1, v + j - 1
        if 0 <= r < H and 0 <= s < W:
            y[h, v, k] += x[r, s, c] * w[i, j, c, k]
            dx[r, s, c] += dy[h, v, k] * w[i, j, c, k]
            dw[i, j, c, k] += dy[h, v, k] * x[r, s, c]
    found, cache = conv3x3_forward(x, w, b)
    np.testing.assert_allclose(found, y, rtol=0, atol=1e-13)
    np.testing.assert_allclose(conv3x3_backward(dy, cache), dx, rtol=0, atol=1e-13)
    np.testing.assert_allclose(conv3x3_weight_gradient(dy, x), dw, rtol=0, atol=1e-13)
    np.testing.assert_allclose(conv3x3_bias_gradient(dy), dy.sum((0, 1)), rtol=0, atol=1e-13)


@given(sides, sides, channels, channels, paddings)
def test_weight_gradient_by_probing(H: int, W: int, C: int, K: int, padding: str) -> None:
    """The output is linear in the weights: the gradient at one weight is ``<y of that weight alone, dy>``."""
    x, w, _ = drawn(H, W, C, K)
    dy = np.random.default_rng(2).standard_normal((H, W, K))
    dw = conv3x3_weight_gradient(dy, x, padding)
    for index in [(0, 0, 0, 0), (2, 1, C - 1, K - 1), (1, 2, C // 2, K // 2)]:
        one = np.zeros_like(w)
        one[index] = 1
        y, _ = conv3x3_forward(x, one, np.zeros(K), padding)
        assert dw[index] == pytest.approx((y * dy).sum(), abs=1e-12)


def test_the_kernel_is_not_flipped() -> None:
    x = np.zeros((3, 3, 1))
    x[1, 1] = 1
    w = np.arange(9.0).reshape(3, 3, 1, 1)
    y, _ = conv3x3_forward(x, w, np.zeros(1))
    np.testing.assert_array_equal(y[..., 0], w[::-1, ::-1, 0, 0])  # an impulse returns the kernel turned round


def test_the_cache_holds_no_activation() -> None:
    """Weights are frozen in use: what is kept for the way back does not grow with the picture."""
    x, w, b = drawn(9, 9, 3, 4)
    _, cache = conv3x3_forward(x, w, b, "reflect")
    assert cache[0] is w
    assert cache[1] == "reflect"
    assert len(cache) == 2
