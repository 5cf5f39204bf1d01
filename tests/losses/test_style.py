import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cpu import threads
from handstyle.kernels.cpu.threads import MOST_PIXELS
from handstyle.losses.gram import Moments, MomentsGradient, StyleTerm, gram_loss, moments_backward, moments_forward


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
    assert type(moments.count) is float


@pytest.mark.parametrize("length", [MOST_PIXELS - 1, MOST_PIXELS, 4 * MOST_PIXELS + 1, 5 * MOST_PIXELS + 5])
def test_strips_add_up(length: int, rng: np.random.Generator) -> None:
    """Pixels are summed in strips; the seams must neither lose nor count twice."""
    f, weight = rng.standard_normal((length, 1, 3)), rng.uniform(0, 1, (length, 1, 1))
    F, q = f[:, 0], weight[:, 0]
    assert_close(moments_forward(f, weight), Moments(float(q.sum()), (q * F).sum(0), (q * F).T @ F), 1e-12)
    d = Moments(0.0, rng.standard_normal(3), rng.standard_normal((3, 3)))
    expected = q * (F @ (d.outer + d.outer.T) + d.sums)
    np.testing.assert_allclose(moments_backward(d, f, weight)[:, 0], expected, rtol=1e-12, atol=1e-12)


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
    some, none = moments_forward(f), moments_forward(f, np.zeros((3, 4, 1)))
    with pytest.raises(HandstyleError, match="2 channels against a target of 5"):
        gram_loss(some, moments_forward(np.ones((2, 2, 5))))
    for moments, target in ((none, some), (some, none)):
        with pytest.raises(HandstyleError, match="no pixel counts at this layer"):
            gram_loss(moments, target)
    with pytest.raises(HandstyleError, match="no pixel counts"):
        gram_loss(moments_forward(np.zeros((0, 0, 2))), some)
    with pytest.raises(HandstyleError, match="the target's features are zero everywhere"):
        gram_loss(some, moments_forward(0 * f))


@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_written_over_the_features_is_the_gradient(backend: Backend, masked: bool, monkeypatch) -> None:
    monkeypatch.setattr(threads, "MOST_PIXELS", 50)  # several strips, the last one short
    monkeypatch.setattr(threads, "FEWEST_PIXELS", 50)
    monkeypatch.setattr(threads, "DEVICE_PIXELS", 50)
    rng = np.random.default_rng(0)
    f, target = (backend.asarray(rng.standard_normal((11, 13, 5))) for _ in range(2))
    mask = backend.asarray(rng.uniform(0, 1, (11, 13, 1))) if masked else None
    _, dmoments = gram_loss(moments_forward(f, mask), moments_forward(target))
    dmoments = Moments(0.0, dmoments.sums + 1, dmoments.outer)
    expected = backend.to_numpy(moments_backward(dmoments, f, mask))
    MomentsGradient(dmoments, f, mask).write(f)
    g = target + 1
    _, over = StyleTerm("relu1_1", moments_forward(target)).weighted(g, 1.0, spare=True)
    assert over is g
    np.testing.assert_allclose(backend.to_numpy(f), expected, rtol=1e-13, atol=1e-13)
