from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.network.l2_pooling import l2_pool_backward, l2_pool_forward
from handstyle.network.pooling import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
)

maps = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
    elements=st.integers(-3, 3),  # few values, many ties
)
ROUNDINGS = ["down", "up"]


def blocks(x: Array, rounding: str):
    """Yield each block's place in the output and its pixels' places in the input, in reading order."""
    H, W, _ = x.shape
    h, w = ((side + (rounding == "up")) // 2 for side in (H, W))
    for r, s in product(range(h), range(w)):
        pixels = [(i, j) for i in (2 * r, 2 * r + 1) for j in (2 * s, 2 * s + 1) if i < H and j < W]
        yield (r, s), pixels


def size(x: Array, rounding: str) -> tuple[int, int, int]:
    H, W, C = x.shape
    return (H // 2, W // 2, C) if rounding == "down" else (-(-H // 2), -(-W // 2), C)


@given(maps)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_max_by_the_definition(rounding: str, x: Array) -> None:
    """Ties included: of equals the first in reading order gets the gradient, all of it."""
    y, cache = max_pool_forward(x, rounding)
    dy = np.arange(1, y.size + 1, dtype=x.dtype).reshape(y.shape)
    expected, dx = np.empty(size(x, rounding), x.dtype), np.zeros_like(x)
    for place, pixels in blocks(x, rounding):
        for c in range(x.shape[2]):
            best = max(pixels, key=lambda pixel, c=c: x[(*pixel, c)])
            expected[(*place, c)] = x[(*best, c)]
            dx[(*best, c)] += dy[(*place, c)]
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(max_pool_backward(dy, cache), dx)
    assert y.dtype == x.dtype


@given(maps)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_average_by_the_definition(rounding: str, x: Array) -> None:
    """A block at an odd border is the mean of the pixels that it has."""
    y, cache = average_pool_forward(x, rounding)
    dy = np.arange(1, y.size + 1, dtype=x.dtype).reshape(y.shape)
    expected, dx = np.empty(size(x, rounding), x.dtype), np.zeros_like(x)
    for place, pixels in blocks(x, rounding):
        expected[place] = np.mean([x[pixel] for pixel in pixels], axis=0)
        for pixel in pixels:
            dx[pixel] += dy[place] / len(pixels)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(average_pool_backward(dy, cache), dx, rtol=1e-6)


@given(maps)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_norm_by_the_definition(rounding: str, x: Array) -> None:
    """A block of zeros has no derivative, and gets no gradient."""
    y, cache = l2_pool_forward(x, rounding)
    dy = np.arange(1, y.size + 1, dtype=x.dtype).reshape(y.shape)
    expected, dx = np.empty(size(x, rounding), x.dtype), np.zeros_like(x)
    for place, pixels in blocks(x, rounding):
        norm = np.linalg.norm([x[pixel] for pixel in pixels], axis=0)
        expected[place] = 0.78 * norm
        for pixel in pixels:
            dx[pixel] += np.where(norm > 0, 0.78 * dy[place] * x[pixel] / np.where(norm > 0, norm, 1), 0)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(l2_pool_backward(dy, cache), dx, rtol=1e-5, atol=1e-6)
    assert y.dtype == l2_pool_backward(dy, cache).dtype == x.dtype


def test_the_norm_is_pytorchs(backend: Backend) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the judge here")
    x = np.random.default_rng(0).uniform(0.1, 1, (6, 9, 4))
    judge = torch.tensor(x, requires_grad=True)
    pooled = 0.78 * torch.nn.functional.lp_pool2d(judge.permute(2, 0, 1)[None], 2, 2)
    dy = np.random.default_rng(1).standard_normal((3, 4, 4))
    (pooled[0].permute(1, 2, 0) * torch.tensor(dy)).sum().backward()
    y, cache = l2_pool_forward(backend.asarray(x))
    np.testing.assert_allclose(backend.to_numpy(y), pooled[0].permute(1, 2, 0).detach(), rtol=1e-12)
    dx = backend.to_numpy(l2_pool_backward(backend.asarray(dy), cache))
    np.testing.assert_allclose(dx, judge.grad, rtol=1e-12, atol=1e-14)


def test_the_four_way_tie(backend: Backend) -> None:
    """Zeros after a rectifier tie everywhere; NumPy and a GPU must choose alike."""
    x = backend.asarray(np.zeros((2, 2, 1)))
    y, cache = max_pool_forward(x)
    dx = backend.to_numpy(max_pool_backward(0 * y + 1, cache))
    np.testing.assert_array_equal(dx[..., 0], [[1, 0], [0, 0]])


@pytest.mark.parametrize("place", list(product(range(2), range(2))))
def test_ties_of_two(place: tuple[int, int]) -> None:
    x = np.zeros((2, 2, 1))
    x[place] = x[1, 1] = 5
    _, cache = max_pool_forward(x)
    dx = max_pool_backward(np.ones((1, 1, 1)), cache)
    assert dx[(*place, 0)] == 1
    assert dx.sum() == 1


def test_negative_values_at_an_odd_border() -> None:
    """A border block of negative values keeps its maximum; filled up with zeros it would lose it."""
    x = -np.ones((3, 3, 2))
    y, _ = max_pool_forward(x, "up")
    np.testing.assert_array_equal(y, -np.ones((2, 2, 2)))


def test_nan_is_passed_on(backend: Backend) -> None:
    x = np.zeros((2, 4, 1))
    x[1, 0] = np.nan
    for pool in (max_pool_forward, average_pool_forward):
        y = backend.to_numpy(pool(backend.asarray(x))[0])
        assert np.isnan(y[0, 0, 0])
        assert y[0, 1, 0] == 0


def test_one_pixel() -> None:
    x = np.full((1, 1, 2), 3.0)
    for pool, unpool in ((max_pool_forward, max_pool_backward), (average_pool_forward, average_pool_backward)):
        y, cache = pool(x, "up")
        np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(unpool(y, cache), x)
        y, cache = pool(x, "down")
        assert y.shape == (0, 0, 2)
        np.testing.assert_array_equal(unpool(y, cache), 0 * x)


def test_the_choice_takes_one_byte(rng: np.random.Generator) -> None:
    _, (choice, shape) = max_pool_forward(rng.standard_normal((4, 6, 3)))
    assert choice.dtype == np.uint8
    assert choice.shape == (2, 3, 3)
    assert shape == (4, 6, 3)


@pytest.mark.parametrize("pool", [max_pool_forward, average_pool_forward])
def test_unknown_rounding(pool) -> None:
    with pytest.raises(HandstyleError, match="unknown rounding 'ceil': use down, up"):
        pool(np.zeros((4, 4, 1)), "ceil")
