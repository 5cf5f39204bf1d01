"""What was asked is done, refused or said: transparent paintings."""

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.inputs import colors_before, starting_picture
from handstyle.painting.plan import make_plan, terms_of_scale

TAPS = ("relu1_1", "relu2_1", "relu3_1")


def core() -> np.ndarray:
    """Return a painting of 192 x 120 px, of blocks in strong colors."""
    blocks = np.random.default_rng(3).integers(0, 256, (15, 24, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def on_a_clear_canvas(painting: np.ndarray, feather: int = 0) -> np.ndarray:
    """Return a canvas of 384 x 240 px, clear, with the painting in its middle, its edges soft over `feather` pixels."""
    canvas = np.zeros((240, 384, 4), np.uint8)
    canvas[60:180, 96:288, :3] = painting
    rows, columns = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 1 for n in painting.shape[:2])
    inside = np.minimum.outer(rows, columns) / (feather + 1)
    canvas[60:180, 96:288, 3] = np.rint(255 * inside.clip(0, 1))
    return canvas


def grams(painting: np.ndarray, **options) -> list[np.ndarray]:
    """Return the targets of a painting, at its own size."""
    network = handstyle.load_network("random", backend="numpy")
    config = handstyle.StyleConfig(size=384, style_layers=TAPS, content_weight=0, tv_weight=0, **options)
    plan = make_plan(config, read_picture(np.zeros((240, 384, 3), np.uint8)), [read_picture(painting)])
    terms = terms_of_scale(config, network, plan, plan.sizes[-1])
    return [term.target.outer / term.target.count for term in terms]


def apart(a: list[np.ndarray], b: list[np.ndarray]) -> list[float]:
    return [float(np.linalg.norm(x - y) / np.linalg.norm(y)) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("feather", [0, 10])
def test_the_invisible_part_of_a_painting_is_no_style(feather):
    alone = grams(core())
    assert max(apart(grams(on_a_clear_canvas(core(), feather)), alone)) < 0.1
    opaque = on_a_clear_canvas(core(), feather)
    opaque[..., 3] = 255  # what was measured before: black, or gray, where nothing is
    assert min(apart(grams(opaque), alone)) > 0.3


def test_a_style_mask_and_transparency_are_both_obeyed(tmp_path):
    plane = np.zeros((240, 384), np.uint8)
    plane[:, :192] = 255
    Image.fromarray(plane).save(tmp_path / "m.png")
    both = grams(on_a_clear_canvas(core()), style_mask=(str(tmp_path / "m.png"),))
    assert max(apart(both, grams(core()[:, :96]))) < 0.2
    Image.fromarray(255 - np.pad(np.full((120, 192), 255, np.uint8), ((60, 60), (96, 96)))).save(tmp_path / "out.png")
    with pytest.raises(HandstyleError, match="is transparent wherever the mask is white"):
        grams(on_a_clear_canvas(core()), style_mask=(str(tmp_path / "out.png"),))


def test_a_transparent_painting_paints_in_its_colors():
    photograph = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    options = {"network": "random", "size": 96, "iterations": 12, "style_layers": TAPS, "pyramid_min_size": 0}
    options |= {"content_weight": 0.01, "init": "noise"}
    spread = [
        handstyle.stylize(photograph, painting, **options).image.astype(float).std(axis=(0, 1)).mean()
        for painting in (core(), on_a_clear_canvas(core()))
    ]
    assert spread[1] > 0.8 * spread[0]


@pytest.mark.parametrize("color", ["match", "histogram", "luminance"])
def test_colors_are_matched_by_the_visible_part(color):
    photograph = np.random.default_rng(0).uniform(0, 255, (64, 64, 3))
    source = read_picture(on_a_clear_canvas(core()))
    config = handstyle.StyleConfig(color=color)
    _, (changed,) = colors_before(config, photograph, [source.pixels], [None], [source.alpha])
    _, (alone,) = colors_before(config, photograph, [core().astype(float)], [None], [None])
    np.testing.assert_allclose(changed[60:180, 96:288], alone, atol=0.1)


def test_noise_in_the_paintings_colors_is_of_the_visible_part():
    source = read_picture(on_a_clear_canvas(core()))
    start = starting_picture(
        handstyle.StyleConfig(init="style-stats"), np.zeros((100, 100, 3)), None, [source.pixels], [source.alpha]
    )
    alone = starting_picture(handstyle.StyleConfig(init="style-stats"), np.zeros((100, 100, 3)), None, [core()])
    assert start.std(axis=(0, 1)) == pytest.approx(alone.std(axis=(0, 1)), rel=0.02)
