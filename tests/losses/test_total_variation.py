import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.kernels.tiles import divisor_of
from handstyle.losses.total_variation import VariationTerm, absolute_variation, total_variation


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3), st.sampled_from([np.float32, np.float64]))
def test_by_the_definition(H: int, W: int, C: int, dtype: type) -> None:
    p = np.random.default_rng(H + 10 * W + 100 * C).integers(0, 256, (H, W, C)).astype(dtype)
    p.flags.writeable = False
    value, dp, pairs = 0.0, np.zeros_like(p), 0
    for h, w, c in np.ndindex(p.shape):
        for i, j in ((h + 1, w), (h, w + 1)):
            if i < H and j < W:
                difference = p[i, j, c] - p[h, w, c]
                value, pairs = value + float(difference) ** 2, pairs + 1
                dp[i, j, c] += 2 * difference
                dp[h, w, c] -= 2 * difference
    found, gradient = total_variation(p)
    assert found == pytest.approx(value / max(pairs, 1), rel=1e-12)
    np.testing.assert_allclose(gradient, dp / max(pairs, 1), rtol=1e-5 if dtype is np.float32 else 1e-12)
    assert gradient.dtype == dtype
    assert np.asarray(found).dtype == np.float64


def test_a_flat_picture_and_a_single_pixel_have_none() -> None:
    for shape in ((4, 5, 3), (1, 1, 3)):
        value, dp = total_variation(np.full(shape, 7.0))
        assert value == 0
        assert not dp.any()


def test_brightness_does_not_matter(rng: np.random.Generator) -> None:
    """The gradient sums to nothing: what one pixel gains its neighbor loses."""
    p = rng.uniform(0, 255, (6, 7, 3))
    assert total_variation(p + 40)[0] == pytest.approx(total_variation(p)[0], rel=1e-12)
    np.testing.assert_allclose(total_variation(p)[1].sum(axis=(0, 1)), 0, atol=1e-12)


def test_a_function_of_ones_own_need_not_be_hashable() -> None:
    class Energy(list[float]):
        def __call__(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return (p * p).sum(), 2 * p

    term = VariationTerm(function=Energy())
    assert term.measure(np.full((2, 2, 3), 2.0)) == 48
    assert divisor_of(term) is None
    listed = divisor_of(VariationTerm(function=absolute_variation))
    assert listed is not None
    assert listed((2, 2, 3)) == 1


def test_descent_smooths(rng: np.random.Generator) -> None:
    p = rng.uniform(0, 255, (6, 7, 3))
    value, dp = total_variation(p)
    assert total_variation(p - 0.1 * p.size * dp / 8)[0] < value
