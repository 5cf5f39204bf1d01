"""Color: spaces and back, statistics matched, regions left alone."""

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.painting.color import (
    METHODS,
    SPACES,
    from_space,
    keep_color,
    luminance,
    match_affine,
    match_histogram,
    match_luminance,
    to_space,
)


@pytest.mark.parametrize("space", SPACES)
def test_there_and_back(space: str, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 255, (9, 8, 3))
    p[0] = 0
    p[1] = rng.uniform(-20, 275, (8, 3))  # a picture being painted
    np.testing.assert_allclose(from_space(to_space(p, space), space), p, atol=1e-9 if space != "luv" else 1e-6)


@pytest.mark.parametrize("space", SPACES)
def test_gray_is_gray_and_as_light(space: str, rng: np.random.Generator) -> None:
    p = rng.uniform(0, 255, (5, 6, 3))
    gray = luminance(p, space)
    np.testing.assert_allclose(np.ptp(gray, axis=2), 0, atol=0.02)
    np.testing.assert_allclose(to_space(gray, space)[..., 0], to_space(p, space)[..., 0], atol=1e-6)


def test_known_colors() -> None:
    # CIE L*a*b* of sRGB red: 53.24, 80.09, 67.20; L*u*v*: 53.24, 175.01, 37.76 (D65).
    red = np.array([[[255.0, 0, 0]]])
    np.testing.assert_allclose(to_space(red, "lab")[0, 0], [53.24, 80.09, 67.20], atol=0.02)
    np.testing.assert_allclose(to_space(red, "luv")[0, 0], [53.24, 175.01, 37.76], atol=0.03)
    np.testing.assert_allclose(to_space(red, "yuv")[0, 0], [76.245, -37.518, 156.825], atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_affine_match_has_the_targets_statistics(method: str, rng: np.random.Generator) -> None:
    source = rng.uniform(0, 255, (20, 21, 3))
    target = rng.normal(100, 20, (15, 9, 3)) @ rng.uniform(0, 1, (3, 3))
    matched = match_affine(source, target, method, epsilon=0.0).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(axis=0), target.reshape(-1, 3).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(np.cov(matched.T, bias=True), np.cov(target.reshape(-1, 3).T, bias=True), rtol=1e-8)


def test_the_symmetric_map_moves_colors_least(rng: np.random.Generator) -> None:
    source = rng.normal(128, [40, 20, 30], (30, 30, 3))
    target = rng.normal(90, 20, (30, 30, 3)) @ rng.uniform(0, 1, (3, 3))
    moved = {m: ((match_affine(source, target, m) - source) ** 2).mean() for m in METHODS}
    assert moved["symmetric"] < min(moved["cholesky"], moved["pca"])


def test_histogram(rng: np.random.Generator) -> None:
    source, target = rng.uniform(0, 255, (20, 20, 3)), rng.gamma(2, 20, (20, 20, 3))
    matched = match_histogram(source, target)
    for c in range(3):
        np.testing.assert_allclose(np.sort(matched[..., c], axis=None), np.sort(target[..., c], axis=None), rtol=1e-9)
        assert (np.argsort(matched[..., c], axis=None) == np.argsort(source[..., c], axis=None)).all()


def test_regions_take_and_give_within_their_masks(rng: np.random.Generator) -> None:
    source, target = rng.uniform(0, 255, (10, 10, 3)), rng.uniform(0, 99, (8, 8, 3))
    mask, other = np.zeros((10, 10)), np.zeros((8, 8))
    mask[:5], other[:, :4] = 1, 1
    expected = match_affine(source[:5], target[:, :4])
    for matched in (
        match_affine(source, target, source_mask=mask, target_mask=other),
        match_histogram(source, target, mask, other),
        keep_color(source, rng.uniform(0, 255, source.shape), "lab", mask),
    ):
        assert (matched[5:] == source[5:]).all()
        assert not np.allclose(matched[:5], source[:5])
    np.testing.assert_allclose(match_affine(source, target, source_mask=mask, target_mask=other)[:5], expected)
    np.testing.assert_allclose(
        match_histogram(source, target, mask, other)[:5], match_histogram(source[:5], target[:, :4])
    )


@pytest.mark.parametrize("space", SPACES)
def test_colors_of_the_one_light_of_the_other(space: str, rng: np.random.Generator) -> None:
    result, photograph = rng.uniform(80, 170, (2, 6, 6, 3))
    kept = to_space(keep_color(result, photograph, space), space)
    np.testing.assert_allclose(kept[..., 0], to_space(result, space)[..., 0], atol=1e-6)
    wanted = to_space(photograph, space)
    if space == "luv":  # the planes are proportional to lightness: less light, less of them
        wanted[..., 1:] *= np.minimum(1, kept[..., :1] / wanted[..., :1])
    np.testing.assert_allclose(kept[..., 1:], wanted[..., 1:], atol=1e-6)


def test_luminance_match(rng: np.random.Generator) -> None:
    matched = match_luminance(rng.uniform(0, 50, (5, 5, 3)), target := rng.uniform(90, 200, (6, 6, 3)))
    assert matched.mean() == pytest.approx(target.mean())
    assert matched.std() == pytest.approx(target.std())


def test_refusals() -> None:
    p = np.zeros((4, 4, 3))
    with pytest.raises(HandstyleError, match="color match"):
        match_affine(p, p, "magic")
    with pytest.raises(HandstyleError, match="color space"):
        luminance(p, "rgb")
    with pytest.raises(HandstyleError, match="black everywhere"):
        match_histogram(p, p, np.zeros((4, 4)))


def test_a_dark_result_has_no_glaring_color():
    photograph, result = np.full((2, 2, 3), (200.0, 150.0, 40.0)), np.full((2, 2, 3), 4.0)
    for space in SPACES:
        assert np.abs(keep_color(result, photograph, space) - 4).max() < (200 if space != "luv" else 12)
