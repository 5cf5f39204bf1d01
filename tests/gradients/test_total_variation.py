"""The family of total variation: gradients, and values by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_projection, check_taylor
from handstyle.losses.total_variation import (
    absolute_variation,
    diagonal_variation,
    power_variation,
    range_penalty,
    separate_variation,
    total_variation,
)

Variation = Callable[[Array], tuple[float, Array]]
VARIATIONS: dict[str, Variation] = {
    "absolute": absolute_variation,
    "separate": separate_variation,
    "keras": power_variation,
    "square": lambda p: power_variation(p, 1.0),
    "length": lambda p: power_variation(p, 0.5, 0.1),
    "wrapped": lambda p: power_variation(p, 1.0, 1e-7, "wrap"),
    "diagonal": diagonal_variation,
    "range": range_penalty,
}
every_variation = pytest.mark.parametrize("variation", VARIATIONS.values(), ids=VARIATIONS.keys())


def neighbors(p: Array) -> Array:  # the kinks of |difference| lie where its sign changes
    return np.concatenate([np.sign(p[1:] - p[:-1]).ravel(), np.sign(p[:, 1:] - p[:, :-1]).ravel()])


@every_variation
@pytest.mark.parametrize("shape", [(5, 7, 3), (2, 2, 3), (1, 4, 1)])
def test_gradient(variation: Variation, shape: tuple[int, int, int], rng: np.random.Generator) -> None:
    p = rng.uniform(0, 4, shape)
    value, gradient = variation(p)
    assert np.isfinite(value)
    assert gradient.shape == p.shape
    if value == 0:  # a single row has no pixel with both neighbors
        assert not gradient.any()
        return
    for check in (check_projection, check_taylor):
        report = check(lambda x: variation(x)[0], gradient, p, signature=neighbors)
        assert report, str(report)


@every_variation
def test_keeps_the_dtype_and_the_input(variation: Variation, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 255, (5, 6, 3)).astype(np.float32)
    before = p.copy()
    assert variation(p)[1].dtype == np.float32
    assert (p == before).all()


def test_values_by_hand() -> None:
    p = np.array([[0.0, 3.0], [4.0, 0.0]])[..., None]
    assert absolute_variation(p)[0] == 4 + 3 + 3 + 4
    assert separate_variation(p)[0] == (16 + 9) / 2 + (9 + 16) / 2
    assert power_variation(p, 1.25)[0] == pytest.approx(25**1.25)
    assert power_variation(p, 1.0, edges="wrap")[0] == 2 * (16 + 9) + 2 * (9 + 16)
    # Right: 3, 0; -4, 0. Down: 4, -3; 0, 0. The padded diagonals: 0 3, 4 0 with the border repeated.
    falling = [0, 3, 0, 4, 0, -3, 0, -4, 0]
    rising = [0, 0 - 3, 3 - 3, 4 - 0, 4 - 3, 0 - 3, 4 - 4, 0 - 4, 0]
    straight = (9 + 16) / 4 + (16 + 9) / 4
    oblique = (sum(d * d for d in falling) + sum(d * d for d in rising)) / 9
    assert diagonal_variation(p)[0] == pytest.approx(2 * (straight / 3 + oblique / 12))
    assert range_penalty(np.full((1, 1, 3), 255.0))[0] == pytest.approx(3)


def test_the_square_inside_is_the_sum_of_the_mean(rng: np.random.Generator) -> None:
    # The two definitions differ by the last row and column only; on a picture that is flat there they agree.
    p = np.zeros((6, 7, 3))
    p[1:4, 1:4] = rng.uniform(0, 255, (3, 3, 3))
    pairs = 5 * 7 * 3 + 6 * 6 * 3
    assert power_variation(p, 1.0)[0] == pytest.approx(pairs * total_variation(p)[0])


def test_refusals() -> None:
    p = np.zeros((3, 3, 3))
    with pytest.raises(HandstyleError, match="epsilon"):
        power_variation(p, 0.5)
    with pytest.raises(HandstyleError, match="edges"):
        power_variation(p, 1.0, edges="outside")
    with pytest.raises(HandstyleError, match="even"):
        range_penalty(p, 3)


@every_variation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_on_every_backend(variation: Variation, dtype: str, backend: Backend, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 255, (5, 6, 3)).astype(dtype)
    value, gradient = variation(backend.asarray(p))
    expected, at_home = variation(p)
    assert value == pytest.approx(expected, rel=1e-6)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(backend.to_numpy(gradient), at_home, rtol=1e-5, atol=1e-5 * abs(at_home).max())
