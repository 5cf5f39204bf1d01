"""Regions from a map of colors, their edges, and what becomes of the part that no region claims."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

import handstyle
from handstyle.foundations.image import resize
from handstyle.losses.regions import uncovered
from handstyle.painting import region_masks
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.memory import RunMemory
from handstyle.painting.plan import make_plan, terms_of_scale
from handstyle.painting.region_masks import (
    feather_mask,
    grow_mask,
    make_masks,
    masks_by_color,
    restore_photograph,
    unmasked_weights,
)

QUICK = {
    "size": 48,
    "iterations": 3,
    "pyramid_min_size": 0,
    "style_layers": ("relu1_1", "relu2_1"),
    "content_layers": ("relu2_1",),
}


@pytest.fixture(scope="module")
def network():
    return load_network("random", backend="numpy")


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (48, 48, 3), dtype=np.uint8) for _ in range(3)]


@pytest.fixture
def where(tmp_path):
    """A map: a third red, a third blue, a third dark purple, between the two."""
    levels = np.zeros((96, 96, 3), np.uint8)
    levels[:, :32], levels[:, 32:64], levels[:, 64:] = (255, 0, 0), (0, 0, 255), (60, 12, 60)
    Image.fromarray(levels).save(tmp_path / "map.png")
    Image.fromarray(levels).save(tmp_path / "map.jpg", quality=60)
    Image.fromarray(levels).filter(ImageFilter.GaussianBlur(2)).save(tmp_path / "soft.png")
    return tmp_path


@pytest.mark.parametrize("name", ["map.png", "map.jpg", "soft.png"])
@pytest.mark.parametrize("colors", [("red", "#0000ff"), ("rgb(250, 5, 0)", "blue")])
def test_every_pixel_of_a_map_belongs_to_the_nearest_of_its_colors(where, name, colors):
    red, blue = masks_by_color(where / name, colors, (48, 48))
    expected = np.arange(48) // 16
    for mask, number in ((red, 0), (blue, 1)):
        clear = np.abs(np.arange(48) % 16 - 7.5) < 6  # not the edge, which resizing makes soft
        np.testing.assert_allclose(mask[:, clear], np.tile(expected[clear] == number, (48, 1)), atol=0.03)
    assert (red + blue)[:, :31].min() > 0.9  # no gap where the colors meet


def test_a_map_is_read_no_larger_than_twice_as_it_is_used(tmp_path, monkeypatch):
    rows, columns = np.mgrid[:900, :1200]
    inside = (rows - 450) ** 2 + (columns - 600) ** 2 < 300**2
    Image.fromarray(np.where(inside[..., None], (255, 0, 0), (0, 0, 255)).astype(np.uint8)).save(tmp_path / "map.png")
    read, shapes = region_masks.read_picture, []

    def reading(source, **options):
        picture = read(source, **options)
        shapes.append(picture.pixels.shape[:2])
        return picture

    monkeypatch.setattr(region_masks, "read_picture", reading)
    (mask,) = masks_by_color(tmp_path / "map.png", ["red"], (96, 128), (900, 1200))
    assert shapes == [(192, 256)]
    exact = resize(inside.astype(np.float64), (96, 128))
    assert np.abs(mask - exact).max() < 0.5  # half a pixel at the edge
    assert np.abs(mask - exact).mean() < 0.004
    assert len(np.unique(mask.round(2))) > 4  # the edge is soft


def test_a_map_without_a_color_names_those_that_it_has(where):
    with pytest.raises(handstyle.HandstyleError, match=r"no area is lime \(#00ff00\); .*#ff0000 \(3[34]%\)"):
        masks_by_color(where / "map.png", ["lime"], (48, 48))
    with pytest.raises(handstyle.HandstyleError, match=r"^style_region='reddish': not a color"):
        masks_by_color(where / "map.png", ["reddish"], (48, 48))
    with pytest.raises(handstyle.HandstyleError, match="same proportions"):
        masks_by_color(where / "map.png", ["red"], (48, 96))


def test_transparent_parts_of_a_map_are_no_region(tmp_path):
    levels = np.full((32, 32, 4), (255, 0, 0, 255), np.uint8)
    levels[:, 16:, 3] = 0
    Image.fromarray(levels).save(tmp_path / "map.png")
    (mask,) = masks_by_color(tmp_path / "map.png", ["red"], (32, 32))
    np.testing.assert_allclose(mask, np.tile(np.arange(32) < 16, (32, 1)), atol=0.01)


def test_a_map_paints_what_masks_paint(network, pictures, where):
    paths = []
    for number in range(2):
        plane = np.zeros((96, 96), np.uint8)
        plane[:, 32 * number : 32 * number + 32] = 255
        paths.append(str(where / f"m{number}.png"))
        Image.fromarray(plane).save(paths[-1])
    for name, picture in zip(("a=b.png", "c.png"), pictures[1:], strict=True):
        Image.fromarray(picture).save(where / name)
    by_masks = handstyle.stylize(pictures[0], pictures[1:], network=network, mask=paths, **QUICK).array
    of_map = {"network": network, "regions": where / "map.png", **QUICK}
    by_order = handstyle.stylize(pictures[0], pictures[1:], style_region=("red", "blue"), **of_map).array
    by_dict = handstyle.stylize(pictures[0], {"red": pictures[1], "blue": pictures[2]}, **of_map).array
    named = (f"red={where / 'a=b.png'}", f"blue={where / 'c.png'}")
    by_name = handstyle.stylize(pictures[0], [], style_region=named, **of_map).array
    mixed = handstyle.stylize(pictures[0], pictures[1], style_region=("red", named[1]), **of_map).array
    np.testing.assert_allclose(by_order, by_masks, atol=1e-3)  # a mask is scaled while it is read, a map after
    for other in (by_dict, by_name, mixed):
        np.testing.assert_array_equal(other, by_order)
    swapped = handstyle.stylize(pictures[0], pictures[1:], style_region=("blue", "red"), **of_map).array
    assert np.abs(swapped - by_masks).max() > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"regions": "m.png"}, r"name each painting's color by `style_region`"),
        ({"regions": "m.png", "mask": ("a.png",)}, "it replaces `mask`"),
        ({"style_region": ("red", "blue")}, "colors need `regions`"),
        ({"regions": "m.png", "style_region": ("red",)}, "1 given for 2 paintings"),
        ({"unmasked": "paint"}, "needs regions"),
        ({"mask": ("a.png",), "mask_mode": "cysmith", "style_fit": "stretch", "unmasked": "paint"}, "cysmith"),
        ({"mask_feather": -1.0}, "mask_feather"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(network, pictures, options, words):
    with pytest.raises(handstyle.HandstyleError, match=words):
        handstyle.stylize(pictures[0], pictures[1:], network=network, **QUICK, **options)


def test_an_edge_is_moved_by_pixels():
    mask = np.zeros((40, 40))
    mask[10:30, 10:30] = 1
    assert grow_mask(mask, 0) is mask
    wide, narrow = grow_mask(mask, 3), grow_mask(mask, -3)
    assert (wide[20] > 0.5).sum() == 26
    assert (narrow[20] > 0.5).sum() == 14
    assert wide[7, 7] < 0.5 < wide[8, 8]  # round corners: (7, 7) is √18 away
    for plane in (np.ones((8, 8)), np.zeros((8, 8))):
        np.testing.assert_array_equal(grow_mask(plane, 2), plane)
    soft = feather_mask(mask, 2.0)
    np.testing.assert_allclose(soft.sum(), mask.sum(), rtol=1e-6)
    assert 0.3 < soft[20, 9] < 0.5 < soft[20, 10] < 0.7


def test_masks_are_grown_and_feathered_as_the_configuration_says(where):
    region = {"regions": str(where / "map.png"), "style_region": ("red",)}
    (plain,) = make_masks(StyleConfig(**region), (48, 48))
    (more,) = make_masks(StyleConfig(**region, mask_dilate=4), (48, 48))
    (less,) = make_masks(StyleConfig(**region, mask_dilate=-4), (48, 48))
    (soft,) = make_masks(StyleConfig(**region, mask_feather=3.0), (48, 48))
    assert [int((mask[20] > 0.5).sum()) for mask in (plain, more, less, soft)] == [16, 20, 12, 16]
    assert soft[20, 12] < 0.95 < plain[20, 12]
    with pytest.raises(handstyle.HandstyleError, match="region 1 becomes empty"):
        make_masks(StyleConfig(**region, mask_dilate=-30), (48, 48))


def test_what_no_region_claims_is_the_photograph(network, pictures, where):
    options = {"network": network, "regions": where / "map.png", "style_region": ("red",), **QUICK, "iterations": 10}
    kept = handstyle.stylize(pictures[0], pictures[1], **options)
    difference = np.abs(kept.array - pictures[0]).mean(axis=(0, 2))
    assert difference[20:].max() < 1e-6
    assert difference[:14].min() > 1
    assert "held pixels" in kept.trace[-1].terms
    config = StyleConfig(**QUICK, regions=str(where / "map.png"), style_region="red")
    plan = make_plan(config, handstyle.read_picture(pictures[0]), [handstyle.read_picture(pictures[1])])
    weight = terms_of_scale(config, network, plan, (48, 48))[-1].mask[..., 0]
    assert weight[20, 16] < 0.1 < 0.9 < weight[20, 20]  # the strip beside the region is not held
    painted = handstyle.stylize(pictures[0], pictures[1], unmasked="paint", **options)
    assert np.abs(painted.array - pictures[0]).mean(axis=(0, 2))[20:].min() > 1
    assert "held pixels" not in painted.trace[-1].terms


def test_beside_a_region_nothing_is_held():
    mask = np.zeros((64, 64))
    mask[:, :32] = 1
    weight = unmasked_weights([mask])[30]
    assert weight[:33].max() == 0 < weight[36]
    assert weight[40:].min() == 1
    picture, photograph = np.zeros((64, 64, 3)), np.full((64, 64, 3), 100.0)
    mixed = restore_photograph(picture, photograph, [mask])[30, :, 0]
    np.testing.assert_allclose(mixed[[0, 30, 31, 32, 33, 63]], [0, 0, 0, 100, 100, 100], atol=1)
    mask = np.zeros((1024, 8))
    mask[512:] = 1
    wide = restore_photograph(np.zeros((1024, 8, 3)), np.full((1024, 8, 3), 100.0), [mask])
    assert 95 > wide[511, 0, 0] > 50 > wide[512, 0, 0] > 5  # the edge is feathered, wider in a larger picture


def test_the_rest_is_painted_by_the_paintings_beyond_the_masks_or_by_all(network, pictures, where):
    plane = np.zeros((96, 96), np.uint8)
    plane[:, :32] = 255
    Image.fromarray(plane).save(where / "m.png")
    read = [handstyle.read_picture(picture) for picture in pictures]
    one = StyleConfig(**QUICK, mask=str(where / "m.png"), unmasked="paint")
    for sources, blended in ((read[1:], False), (read[1:2], True)):
        one.check_styles(len(sources))
        plan = make_plan(one, read[0], sources)
        assert len(plan.masks) == 2
        np.testing.assert_allclose(plan.masks[1], uncovered(plan.masks[:1]))
        terms = terms_of_scale(one, network, plan, (48, 48))
        names = [term.name for term in terms if term.name.startswith("style")]
        assert names == [f"style {tap} region {n}" for n in (1, 2) for tap in QUICK["style_layers"]]
        first, second = (next(t for t in terms if t.name == f"style relu1_1 region {n}") for n in (1, 2))
        assert np.allclose(first.target.outer, second.target.outer) == blended
        planned = RunMemory(one, network, read[0], sources, False, 1 << 40).needs
        assert planned[0].evaluation > 0
    everywhere = np.full((96, 96), 255, np.uint8)
    Image.fromarray(everywhere).save(where / "m.png")
    with pytest.raises(handstyle.HandstyleError, match="leave nothing"):
        make_plan(one, read[0], read[1:])
