import numpy as np
import pytest
from support.differentiable_pairs import loss_of

from handstyle.foundations.backend import Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.content import ContentTerm, relative_scale


def content_loss(f, target, scale=None, mask=None):
    return loss_of(ContentTerm("relu1_1", target, scale=scale, mask=mask))(f)


def test_by_the_definition(backend: Backend, rng: np.random.Generator) -> None:
    f, target, weight = (rng.standard_normal(shape) for shape in ((3, 4, 2), (3, 4, 2), (3, 4, 1)))
    weight = np.abs(weight)
    value = df = 0.0
    df = np.zeros_like(f)
    for i in np.ndindex(f.shape):
        value += 0.5 * weight[(*i[:2], 0)] * (f[i] - target[i]) ** 2
        df[i] = weight[(*i[:2], 0)] * (f[i] - target[i])
    found, gradient = content_loss(backend.asarray(f), backend.asarray(target), 0.5, backend.asarray(weight))
    assert found == pytest.approx(value, rel=1e-13)
    np.testing.assert_allclose(backend.to_numpy(gradient), df, rtol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_the_default_is_the_relative_error(masked: bool, rng: np.random.Generator) -> None:
    """Whatever the size, width or strength of the features: 0 at the target, 1 at nothing, 4 at three times it."""
    for shape, strength in (((3, 4, 2), 1e-3), ((8, 9, 5), 1e4)):
        target = strength * rng.standard_normal(shape)
        weight = rng.uniform(0, 1, (*shape[:2], 1)) if masked else None
        for factor, expected in ((1, 0), (0, 1), (3, 4)):
            assert content_loss(factor * target, target, mask=weight)[0] == pytest.approx(expected)


def test_pixels_without_weight_do_not_count(rng: np.random.Generator) -> None:
    f, target = rng.standard_normal((2, 3, 4, 2))
    weight = np.ones((3, 4, 1))
    weight[1:] = 0
    value, df = content_loss(f, target, mask=weight)
    assert value == pytest.approx(content_loss(f[:1], target[:1])[0])
    assert not df[1:].any()


@pytest.mark.parametrize("scale", [None, 0.5, np.float64(0.5)])
@pytest.mark.parametrize("mask", [None, np.float32, np.float64])
def test_float32_stays_float32(scale: float | None, mask: type | None, rng: np.random.Generator) -> None:
    """A scale or a mask in float64 must not make the rest of the backward sweep twice as dear."""
    f, target = rng.standard_normal((2, 3, 4, 2)).astype(np.float32)
    f.flags.writeable = target.flags.writeable = False
    weight = None if mask is None else np.ones((3, 4, 1), mask)
    value, df = content_loss(f, target, scale, weight)
    assert df.dtype == np.float32
    assert np.asarray(value).dtype == np.float64
    assert np.asarray(value).shape == ()


def test_the_value_is_summed_in_float64() -> None:
    """Half a million squares of 0.1: a sum kept in float32 pixel after pixel would be off in the third digit."""
    f = np.full((512, 1024, 1), 0.1, np.float32)
    value, _ = content_loss(f, np.zeros_like(f), 1.0)
    assert value == pytest.approx(f.size * float(np.float32(0.1) * np.float32(0.1)), rel=1e-12)


def test_refusals(rng: np.random.Generator) -> None:
    with pytest.raises(HandstyleError, match=r"features of shape \(3, 4, 2\) against a target of \(3, 4, 1\)"):
        content_loss(np.zeros((3, 4, 2)), np.zeros((3, 4, 1)))
    with pytest.raises(HandstyleError, match="the target is zero everywhere"):
        relative_scale(np.zeros((3, 4, 2)))
    with pytest.raises(HandstyleError, match="the target is zero everywhere"):
        relative_scale(np.ones((3, 4, 2)), np.zeros((3, 4, 1)))


@pytest.mark.parametrize("masked", [False, True])
def test_windows_add_up(masked: bool, rng: np.random.Generator) -> None:
    """The statistic of a map is the sum of its windows', and the gradient is made of theirs."""
    f, target = rng.standard_normal((2, 5, 7, 3))
    term = ContentTerm("relu1_1", target, mask=rng.uniform(0, 1, (5, 7, 1)) if masked else None)
    windows = [(rows, columns) for rows in (slice(0, 2), slice(2, 5)) for columns in (slice(0, 4), slice(4, 7))]
    total = sum(term.measure(f[w], w) for w in windows)
    assert total == pytest.approx(term.measure(f), rel=1e-13)
    _, ds = term.loss(total)
    made = np.full_like(f, np.nan)
    for w in windows:
        made[w] = term.spread(ds, f[w], w)
    np.testing.assert_allclose(made, term.spread(ds, f), rtol=1e-13)
