"""The transforms are right in exact arithmetic's place, float64, and round once."""

import numpy as np
import pytest

from handstyle.kernels.winograd_matrices import BIAS_POINT, POINTS, transforms


@pytest.mark.parametrize("m", POINTS)
def test_one_tile_is_a_correlation(m: int, rng: np.random.Generator) -> None:
    x, w = rng.normal(size=m + 2), rng.normal(size=3)
    BT, G, AT = transforms(m)
    direct = [x[k : k + 3] @ w for k in range(m)]
    np.testing.assert_allclose(AT @ ((G @ w) * (BT @ x)), direct, rtol=0, atol=1e-13)


@pytest.mark.parametrize("m", POINTS)
def test_matrices_are_the_identity_of_polynomials(m: int) -> None:
    # The transforms as a bilinear map must be the correlation's own tensor: y[k] takes x[k + i] w[i] and nothing else.
    BT, G, AT = transforms(m)
    tensor = np.einsum("kp,pi,pj->kij", AT, G, BT)
    expected = np.zeros_like(tensor)
    for k, i in np.ndindex(m, 3):
        expected[k, i, k + i] = 1
    np.testing.assert_allclose(tensor, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("m", POINTS)
def test_the_bias_enters_at_a_point_that_reaches_every_output_once(m: int) -> None:
    np.testing.assert_array_equal(transforms(m).AT[:, BIAS_POINT], 1)


def test_matrices_are_shared_and_cannot_be_changed() -> None:
    assert transforms(4, np.float32) is transforms(4, np.float32)
    assert transforms(4, np.float32).G.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        transforms(4).BT[0, 0] = 1
