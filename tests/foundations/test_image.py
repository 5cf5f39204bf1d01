import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import (
    CAFFE,
    CONVENTIONS,
    TORCHVISION,
    Convention,
    deprocess,
    fit_long_side,
    fitted_size,
    preprocess_backward,
    preprocess_forward,
    resize,
)

LOPSIDED = Convention("lopsided", "BGR", 2.0, (0.1, 0.2, 0.3), (0.5, 2.0, 7.0))
EVERY = [*CONVENTIONS.values(), LOPSIDED]


@pytest.mark.parametrize("convention", EVERY, ids=lambda c: c.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_backward_is_the_adjoint_of_the_linear_part(convention, dtype, tolerance):
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(2, 5, 7, 3)).astype(dtype)
    zero = preprocess_forward(np.zeros_like(u), convention)
    forward = np.vdot((preprocess_forward(u, convention) - zero).astype(np.float64), v)
    backward = np.vdot(u, preprocess_backward(v, convention).astype(np.float64))
    assert abs(forward - backward) <= tolerance * np.linalg.norm(u) * np.linalg.norm(v)


def test_caffe_is_bgr_minus_the_mean():
    x = preprocess_forward(np.array([[[10.0, 20.0, 30.0]]]), CAFFE)
    np.testing.assert_allclose(x[0, 0], [30 - 103.939, 20 - 116.779, 10 - 123.68], rtol=1e-15)


def test_torchvision_is_rgb_scaled_to_one_and_standardised():
    x = preprocess_forward(np.array([[[255.0, 0.0, 51.0]]]), TORCHVISION)
    np.testing.assert_allclose(x[0, 0], [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225], rtol=1e-14)


@pytest.mark.parametrize("convention", EVERY, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_stays_and_the_result_is_contiguous_and_inverted_by_deprocess(convention, dtype):
    p = np.random.default_rng(2).uniform(-20, 280, (4, 6, 3)).astype(dtype)
    before = p.copy()
    x = preprocess_forward(p, convention)
    back = deprocess(x, convention)
    dp = preprocess_backward(x, convention)
    for result in (x, back, dp):
        assert result.dtype == dtype
        assert result.flags.c_contiguous
        assert min(result.strides) > 0
    np.testing.assert_allclose(back, p, atol=300 * 4 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(p, before)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_resize_keeps_a_constant_and_the_range(height, width, new_height, new_width):
    flat = np.full((height, width, 3), 77.7, dtype=np.float32)
    np.testing.assert_allclose(resize(flat, (new_height, new_width)), 77.7, rtol=1e-6)
    noise = np.random.default_rng(height).uniform(0, 255, (height, width)).astype(np.float32)
    out = resize(noise, (new_height, new_width))
    assert out.shape == (new_height, new_width)
    assert noise.min() <= out.min() <= out.max() <= noise.max()


def test_resize_weighs_every_source_pixel():
    stripes = np.zeros((64, 64), dtype=np.float32)
    stripes[:, ::2] = 1.0  # finer than the new grid can show: must become even gray, not a stripe or two
    np.testing.assert_allclose(resize(stripes, (8, 8))[:, 1:-1], 0.5, atol=0.02)


def test_resize_does_not_round_to_8_bits():
    ramp = np.broadcast_to(np.linspace(100, 101, 64, dtype=np.float32), (64, 64))
    assert np.unique(resize(ramp, (16, 16))[0]).size == 16


def test_resize_keeps_channels_apart_and_copies_at_equal_size():
    p = np.zeros((8, 8, 3), dtype=np.float64)
    p[..., 1] = 100
    out = resize(p, (3, 5))
    assert out.dtype == np.float64
    np.testing.assert_allclose(out, np.broadcast_to([0, 100, 0], (3, 5, 3)), rtol=1e-6)
    same = resize(p, (8, 8))
    same += 1
    assert p.max() == 100


@pytest.mark.parametrize(
    ("size", "n", "enlarge", "fitted"),
    [
        ((768, 1024), 512, False, (384, 512)),
        ((1024, 768), 512, False, (512, 384)),
        ((100, 50), 512, False, (100, 50)),
        ((100, 50), 512, True, (512, 256)),
        ((333, 1000), 100, False, (33, 100)),
        ((16, 16), 16, False, (16, 16)),
    ],
)
def test_fitted_size(size, n, enlarge, fitted):
    assert fitted_size(size, n, enlarge) == fitted
    assert fit_long_side(np.zeros((*size, 3), dtype=np.float32), n, enlarge).shape == (*fitted, 3)


@pytest.mark.parametrize(
    ("size", "n", "says"),
    [
        ((15, 400), 512, "content.jpg is 400 x 15 px and would be used at 400 x 15.*larger picture"),
        ((100, 1000), 100, "used at 100 x 10: each side needs at least 16 px; take a larger size"),
        ((100, 100), 0, "size 0 is not a number of pixels"),
        ((100, 100), -5, "size -5"),
    ],
)
def test_a_size_too_small_is_refused(size, n, says):
    with pytest.raises(HandstyleError, match=says) as caught:
        fitted_size(size, n, name="content.jpg")
    assert "\n" not in str(caught.value)
