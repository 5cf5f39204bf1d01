"""The fast losses of a processor against the readable ones."""

import numpy as np
import pytest

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, preprocess_backward, preprocess_forward
from handstyle.kernels.cpu import losses, threads
from handstyle.kernels.cpu.threads import MAX_PIXELS
from handstyle.losses.content import content_backward, content_forward
from handstyle.losses.gram import Moments, StyleTerm, moments_backward, moments_forward


def assert_close(found: Array, expected: Array, tolerance: float) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_preprocess(convention, rng: np.random.Generator) -> None:
    for shape in ((5, 7, 3), (3, 2 * MAX_PIXELS + 1, 3)):  # in one piece, and in several
        p = rng.uniform(0, 255, shape)
        np.testing.assert_array_equal(losses.preprocess(p, convention), preprocess_forward(p, convention))
        np.testing.assert_array_equal(losses.preprocess_adjoint(p, convention), preprocess_backward(p, convention))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("masked", [False, True])
def test_content(dtype: type, masked: bool, rng: np.random.Generator) -> None:
    f, target = rng.standard_normal((2, 61, 47, 5)).astype(dtype)
    mask = rng.uniform(0, 1, (61, 47, 1)).astype(dtype) if masked else None
    value, df = losses.content(f, target, mask, 0.75)
    tolerance = 1e-12 if dtype is np.float64 else 1e-5
    assert value == pytest.approx(content_forward(f, target, mask), rel=tolerance)
    assert_close(df, 0.75 * content_backward(1.0, f, target, mask), tolerance)
    assert df.dtype == dtype


@pytest.mark.parametrize("channels", [3, losses.ROWS_TO_ADD + 5])
@pytest.mark.parametrize("masked", [False, True])
def test_style(channels: int, masked: bool, rng: np.random.Generator) -> None:
    """Value and gradient, some rows of the matrices at a time, are those of the term's own three steps."""
    f, painting = rng.standard_normal((2, 31, 37, channels))
    mask = rng.uniform(0, 1, (31, 37, 1)) if masked else None
    for counts_all in (False, masked):
        term = StyleTerm("relu1_1", moments_forward(painting), 2.5, mask=mask, counts_all=counts_all)
        value, ds = term.loss(term.measure(f))
        found, douter = losses.style(term, f)
        assert found == pytest.approx(2.5 * float(value), rel=1e-12)
        assert_close(douter, 2.5 * ds.outer, 1e-12)
    with pytest.raises(HandstyleError, match="channels against a target of"):
        losses.style(StyleTerm("relu1_1", moments_forward(painting[..., 1:])), f)


@pytest.mark.parametrize("length", [MAX_PIXELS - 1, MAX_PIXELS, 4 * MAX_PIXELS + 1, 5 * MAX_PIXELS + 5])
@pytest.mark.parametrize("masked", [False, True])
def test_strips_of_moments_add_up(length: int, masked: bool, rng: np.random.Generator) -> None:
    """Pixels are summed in strips; the seams must neither lose nor count twice."""
    f = rng.standard_normal((length, 1, 3))
    mask = rng.uniform(0, 1, (length, 1, 1)) if masked else None
    found, expected = losses.moments(f, mask), moments_forward(f, mask)
    assert found.count == pytest.approx(float(expected.count), rel=1e-12)
    assert_close(found.sums, expected.sums, 1e-11)
    assert_close(found.outer, expected.outer, 1e-12)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sums", [0.0, 1.0])
def test_the_gradient_written_over_the_features_is_the_gradient(masked: bool, sums: float, monkeypatch) -> None:
    monkeypatch.setattr(threads, "MAX_PIXELS", 50)  # several strips, the last one short
    monkeypatch.setattr(threads, "MIN_PIXELS", 50)
    rng = np.random.default_rng(0)
    f, mask = rng.standard_normal((11, 13, 5)), rng.uniform(0, 1, (11, 13, 1)) if masked else None
    dmoments = Moments(0.0, sums * rng.standard_normal(5), rng.standard_normal((5, 5)))
    expected = moments_backward(dmoments, f, mask)
    parts = losses.MomentsGradient(dmoments, f, mask)
    place = slice(2, 5), slice(3, 11)
    assert_close(parts[place], expected[place], 1e-13)
    fresh = np.empty_like(f)
    parts.write(fresh)
    assert_close(fresh, expected, 1e-13)
    parts.write(f)
    assert_close(f, expected, 1e-13)
