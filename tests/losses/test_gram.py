import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.gram import Moments, StyleTerm, gram_loss, moments_backward, moments_forward


def slow(f: Array, weight: Array) -> Moments:
    """Sum a pixel at a time."""
    count, sums, outer = 0.0, np.zeros(f.shape[2]), np.zeros((f.shape[2],) * 2)
    for i in np.ndindex(f.shape[:2]):
        w = float(weight[i][0])
        count, sums, outer = count + w, sums + w * f[i], outer + w * np.outer(f[i], f[i])
    return Moments(count, sums, outer)


def assert_close(found: Moments, expected: Moments, tolerance: float) -> None:
    assert found.count == pytest.approx(expected.count, rel=1e-12)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=0, atol=tolerance * np.abs(expected.sums).max())
    np.testing.assert_allclose(found.outer, expected.outer, rtol=0, atol=tolerance * np.abs(expected.outer).max())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.sampled_from([np.float32, np.float64]))
def test_by_the_definition(H: int, W: int, C: int, dtype: type) -> None:
    rng = np.random.default_rng(H + 10 * W + 100 * C)
    f, weight = rng.standard_normal((H, W, C)).astype(dtype), rng.uniform(0, 1, (H, W, 1)).astype(dtype)
    f.flags.writeable = weight.flags.writeable = False
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert_close(moments_forward(f, weight), slow(f, weight), tolerance)
    assert_close(moments_forward(f), slow(f, np.ones((H, W, 1))), tolerance)


def test_moments_are_float64_whatever_comes_in(backend: Backend, rng: np.random.Generator) -> None:
    moments = moments_forward(backend.asarray(rng.standard_normal((3, 4, 2)), dtype=np.float32))
    assert moments.sums.dtype == moments.outer.dtype == np.float64
    assert np.asarray(backend.to_numpy(moments.count)).dtype == np.float64


@given(st.integers(1, 7), st.integers(1, 7))
def test_moments_of_parts_add_up_to_those_of_the_whole(row: int, column: int) -> None:
    """What tiles, regions and clusters rest on."""
    f = np.random.default_rng(1).standard_normal((8, 8, 3))
    parts = [f[:row, :column], f[:row, column:], f[row:, :column], f[row:, column:]]
    total = sum((moments_forward(part) for part in parts[1:]), moments_forward(parts[0]))
    assert_close(total, moments_forward(f), 1e-12)


def test_two_masks_that_add_up_to_one(rng: np.random.Generator) -> None:
    f, weight = rng.standard_normal((5, 6, 3)), rng.uniform(0, 1, (5, 6, 1))
    assert_close(moments_forward(f, weight) + moments_forward(f, 1 - weight), moments_forward(f), 1e-12)


def test_scaled() -> None:
    """Twice the weight is the picture twice."""
    f = np.arange(12.0).reshape(2, 3, 2)
    assert_close(moments_forward(f).scaled(2.0), moments_forward(np.concatenate([f, f])), 1e-12)


def test_the_outer_product_is_symmetric_and_not_negative(rng: np.random.Generator) -> None:
    outer = moments_forward(rng.standard_normal((9, 9, 5)), rng.uniform(0, 1, (9, 9, 1))).outer
    np.testing.assert_allclose(outer, outer.T, rtol=1e-12)
    assert np.linalg.eigvalsh(outer).min() > -1e-12


@pytest.mark.parametrize("mask", [None, np.float32, np.float64])
def test_the_gradient_has_the_features_dtype(mask: type | None, rng: np.random.Generator) -> None:
    f = rng.standard_normal((3, 4, 2)).astype(np.float32)
    weight = None if mask is None else np.ones((3, 4, 1), mask)
    df = moments_backward(Moments(0.0, np.ones(2), np.ones((2, 2))), f, weight)
    assert df.dtype == np.float32
    assert df.shape == f.shape


def test_gatys_loss(rng: np.random.Generator) -> None:
    """With ``scale = 1 / 4C²`` and pictures of one size it is equation 4 of Gatys et al. (2016), divided by nothing."""
    f, a = rng.standard_normal((2, 5, 6, 3))
    F, A = f.reshape(-1, 3).T, a.reshape(-1, 3).T
    M, C = F.shape[1], F.shape[0]
    published = ((F @ F.T - A @ A.T) ** 2).sum() / (4 * C**2 * M**2)
    value, dmoments = gram_loss(moments_forward(f), moments_forward(a), 1 / (4 * C**2))
    assert value == pytest.approx(published, rel=1e-12)
    gradient = (F.T @ (F @ F.T - A @ A.T)) / (C**2 * M**2)  # equation 6, without its factor for rectified features
    np.testing.assert_allclose(moments_backward(dmoments, f).reshape(-1, 3), gradient, rtol=1e-10)


def test_the_default_is_the_relative_error(rng: np.random.Generator) -> None:
    """0 at the painting, 1 at nothing, and the same for a painting of another size or strength."""
    a = 1e3 * rng.standard_normal((6, 7, 4))
    target = moments_forward(a)
    assert gram_loss(moments_forward(a), target)[0] == pytest.approx(0, abs=1e-25)
    assert gram_loss(moments_forward(0 * a), target)[0] == pytest.approx(1)
    assert gram_loss(moments_forward(np.concatenate([a, a])), target)[0] == pytest.approx(0, abs=1e-25)
    assert gram_loss(moments_forward(2 * a), target)[0] == pytest.approx(9)


def test_where_a_pixel_lies_does_not_matter(rng: np.random.Generator) -> None:
    """A style says what there is, not where."""
    f, target = rng.standard_normal((5, 6, 3)), moments_forward(rng.standard_normal((4, 4, 3)))
    shuffled = rng.permutation(f.reshape(-1, 3)).reshape(5, 6, 3)
    one, other = (gram_loss(moments_forward(x), target)[0] for x in (f, shuffled))
    assert one == pytest.approx(other, rel=1e-12)


def test_refusals(rng: np.random.Generator) -> None:
    f = rng.standard_normal((3, 4, 2))
    some = moments_forward(f)
    with pytest.raises(HandstyleError, match="2 channels against a target of 5"):
        gram_loss(some, moments_forward(np.ones((2, 2, 5))))
    with pytest.raises(HandstyleError, match="style relu1_1: no pixel counts at this layer"):
        StyleTerm("relu1_1", some, mask=np.zeros((3, 4, 1)))
    with pytest.raises(HandstyleError, match="style: the target is zero everywhere"):
        gram_loss(some, moments_forward(0 * f))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("counts_all", [False, True])
def test_windows_add_up(masked: bool, counts_all: bool, rng: np.random.Generator) -> None:
    """The statistic of a map is the sum of its windows', and the gradient is made of theirs."""
    f, target = rng.standard_normal((5, 7, 3)), moments_forward(rng.standard_normal((4, 4, 3)))
    mask = rng.uniform(0, 1, (5, 7, 1)) if masked else None
    term = StyleTerm("relu1_1", target, mask=mask, counts_all=counts_all)
    windows = [(rows, columns) for rows in (slice(0, 2), slice(2, 5)) for columns in (slice(0, 4), slice(4, 7))]
    parts = [term.measure(f[w], w) for w in windows]
    total = sum(parts[1:], parts[0])
    assert_close(total, term.measure(f), 1e-13)
    assert total.count == pytest.approx(35 if counts_all or not masked else mask.sum())
    _, ds = term.loss(total)
    made = np.full_like(f, np.nan)
    for w in windows:
        made[w] = term.spread(ds, f[w], w)
    np.testing.assert_allclose(made, term.spread(ds, f), rtol=1e-12, atol=1e-15)
