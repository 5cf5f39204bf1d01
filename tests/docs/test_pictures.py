import numpy as np
import pytest
from pictures.canvas import Canvas, bloom, clouds
from pictures.scenes import flow_painting, night_scene, portrait_masks, portrait_scene

PICTURES = [night_scene, flow_painting, portrait_scene]


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("size", [(1, 1), (2, 5), (17, 16), (41, 67), (64, 33)])
def test_any_size(draw, size):
    picture = draw(*size)
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.uint8


@pytest.mark.parametrize("draw", PICTURES)
def test_the_same_seed_gives_the_same_picture_and_another_another(draw):
    first, again, other = draw(48, 64, 1), draw(48, 64, 1), draw(48, 64, 2)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.3


def test_the_night_is_blue_above_and_the_town_is_warm():
    scene = night_scene(96, 128).astype(float)
    sky, town = scene[:20, :60].mean(axis=(0, 1)), scene[50:66].mean(axis=(0, 1))
    assert sky[2] > 1.5 * sky[0]
    assert town[0] > 1.3 * town[2]
    assert scene.max() > 240  # moon and lamps burn
    assert np.percentile(scene, 5) < 40


def test_the_water_repeats_the_town():
    scene = night_scene(96, 128).astype(float)
    columns = [scene[rows].mean(axis=(0, 2)) for rows in (slice(48, 66), slice(72, 84))]
    assert np.corrcoef(*columns)[0, 1] > 0.4


def test_the_painting_is_strokes_not_noise_and_not_flat():
    painting = flow_painting(192, 256).astype(float).mean(axis=2)
    dy, dx = np.gradient(painting)
    assert 5 < np.hypot(dy, dx).mean() < 60
    # Along a stroke the tone holds, across it changes: the structure tensor is strongly anisotropic at stroke scale.
    blocks = [np.s_[r : r + 8, c : c + 8] for r in range(0, 192, 8) for c in range(0, 256, 8)]
    coherence = []
    for block in blocks:
        xx, yy, xy = (dx[block] ** 2).mean(), (dy[block] ** 2).mean(), (dx[block] * dy[block]).mean()
        coherence.append(np.hypot(xx - yy, 2 * xy) / (xx + yy + 1e-9))
    assert np.median(coherence) > 0.5


@pytest.mark.parametrize("size", [(1, 1), (33, 20), (96, 80)])
def test_the_masks_of_the_portrait_divide_it(size):
    masks = portrait_masks(*size)
    assert list(masks) == ["face", "hair", "clothes", "background"]
    for mask in masks.values():
        assert mask.shape == size
        assert mask.dtype == np.float32
        assert mask.min() >= 0
    np.testing.assert_allclose(sum(masks.values()), 1, atol=1e-6)


def test_the_masks_lie_on_the_portrait():
    portrait, masks = portrait_scene(96, 80).astype(float), portrait_masks(96, 80)
    mean = {name: (portrait * m[..., None]).sum((0, 1)) / m.sum() for name, m in masks.items()}
    assert mean["hair"][0] > 2 * mean["hair"][2]  # red
    assert mean["clothes"][2] > 2 * mean["clothes"][0]  # teal
    assert mean["face"].mean() > 1.3 * mean["background"].mean()
    assert all(m.mean() > 0.08 and m.max() == 1 for m in masks.values())


def test_a_polygon_covers_its_area_to_a_part_of_a_pixel():
    canvas = Canvas(50, 80)
    corners = [(0.213, 0.117), (0.913, 0.217), (0.713, 0.817), (0.303, 0.717)]
    canvas.polygon(corners, (1, 0.5, 0), (0, 0, 1))
    x, y = np.array(corners).T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) * 50**2
    for sheet, channel, value in ((canvas.albedo, 0, 1), (canvas.albedo, 1, 0.5), (canvas.glow, 2, 1)):
        assert sheet[..., channel].sum() == pytest.approx(area * value, rel=0.01)
    backwards = Canvas(50, 80)
    backwards.polygon(corners[::-1], (1, 0.5, 0), (0, 0, 1))
    np.testing.assert_allclose(backwards.albedo, canvas.albedo, atol=1e-6)


def test_shapes_beyond_the_border_do_no_harm():
    canvas = Canvas(20, 20)
    canvas.polygon([(-3, -3), (-2, -3), (-2, -2)], (1, 1, 1))
    canvas.disc(5, 5, 0.5, (1, 1, 1))
    canvas.disc(-0.2, 0.5, 0.1, (1, 1, 1))
    assert canvas.albedo.max() == 0
    canvas.disc(0.5, 0.5, 0.25, (1, 1, 1))
    assert canvas.albedo[..., 0].sum() == pytest.approx(np.pi * 25, rel=0.02)


def test_clouds_and_bloom():
    noise = clouds(np.random.default_rng(0), 64, 96, 0.1)
    assert noise.shape == (64, 96)
    assert abs(noise.mean()) < 0.5
    assert 0.4 < noise.std() < 2
    light = np.zeros((65, 97, 3), dtype=np.float32)
    light[32, 48] = 10
    spread = bloom(light, (2.0, 12.0), (1.0, 1.0))
    assert spread.shape == light.shape
    assert spread[32, 48, 0] > spread[32, 58, 0] > spread[32, 90, 0]


def test_a_kept_picture_is_drawn_once_and_again_when_a_program_has_changed(tmp_path, monkeypatch):
    from fig import common

    (tmp_path / "pictures").mkdir()
    program = tmp_path / "pictures" / "scene.py"
    program.write_text("LIGHT = 1")
    monkeypatch.setattr(common, "DOCS", tmp_path)
    monkeypatch.setattr(common, "PICTURES", tmp_path / "kept")
    drawn = []

    def scene(height, width):
        drawn.append((height, width))
        return np.full((height, width, 3), len(drawn))

    kept = common.kept.__wrapped__  # without what this process has in memory
    assert [kept(scene, 2, 3).max(), kept(scene, 2, 3).max(), kept(scene, 3, 2).max()] == [1, 1, 2]
    program.write_text("LIGHT = 2")
    assert kept(scene, 2, 3).max() == 3
    assert drawn == [(2, 3), (3, 2), (2, 3)]
