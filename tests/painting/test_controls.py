"""The controls of a run: several paintings, regions, scales, starts, colors, settings in files, and every refusal."""

import re
import tomllib
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle import cli
from handstyle.cli import outputs
from handstyle.cli.options import FLAGS_ONLY, all_fields, make_flags, resolve
from handstyle.cli.painting import RECONSTRUCT_NAMES, STYLIZE_NAMES, TEXTURE_NAMES
from handstyle.foundations.image import CAFFE, resize
from handstyle.losses.distribution import DistributionTerm
from handstyle.losses.gram import StyleTerm
from handstyle.losses.regions import carry_mask, leak, uncovered
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting import plan
from handstyle.painting.color import to_space
from handstyle.painting.config import STRENGTH, StyleConfig
from handstyle.painting.convert_weights import equivalent_weights
from handstyle.painting.inputs import expand_folders, read_mask, scales, starting_picture
from handstyle.painting.load import fit_network
from handstyle.painting.presets import PRESETS, find_preset
from handstyle.painting.setting_values import field_types
from handstyle.painting.settings import read_settings, settings_toml
from handstyle.painting.targets import Painting, build_terms

pytestmark = pytest.mark.smoke
FOUR = {"style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1")}  # what a small painting reaches
QUICK = {"size": 32, "iterations": 3, **FOUR}


@pytest.fixture(scope="module")
def network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(5)
    smooth = np.clip(np.cumsum(rng.normal(0, 8, (3, 40, 32, 3)), axis=2) + 128, 0, 255)
    return [picture.astype(np.uint8) for picture in smooth]


def save(path, values):
    Image.fromarray(values).save(path)
    return str(path)


@pytest.fixture
def half(tmp_path):
    left = np.zeros((40, 32), np.uint8)
    left[:, :16] = 255
    return save(tmp_path / "left.png", left), save(tmp_path / "right.png", 255 - left)


def value_of(network, config, p, paintings, masks=()):
    terms = build_terms(network, config, p, paintings, masks)
    return Objective(network, terms, p.shape)(p.astype(float).ravel())


# Several paintings


def test_blended_targets_are_the_weighted_mean(network, pictures):
    p, a, b = (picture.astype(np.float64) for picture in pictures)
    config = StyleConfig(content_weight=0, tv_weight=0)
    for weight, expected in ((1.0, a), (0.0, b)):
        paintings = [Painting(a, blend=weight), Painting(b, blend=1 - weight)]
        assert value_of(network, config, p, paintings)[0] == pytest.approx(value_of(network, config, p, [expected])[0])
    (mixed, *_), (one, *_), (two, *_) = (
        build_terms(network, config, p, paintings)
        for paintings in ([Painting(a, blend=3.0), Painting(b, blend=1.0)], [a], [b])
    )
    gram_of = [term.target.outer / term.target.count for term in (mixed, one, two)]
    np.testing.assert_allclose(gram_of[0], 0.75 * gram_of[1] + 0.25 * gram_of[2])


def test_blended_losses_are_the_weighted_sum(network, pictures):
    p, a, b = (picture.astype(np.float64) for picture in pictures)
    config = StyleConfig(content_weight=0, tv_weight=0, blend="losses")
    (value, g), (one, g1), (two, g2) = (
        value_of(network, config, p, paintings)
        for paintings in ([Painting(a, blend=3.0), Painting(b, blend=1.0)], [a], [b])
    )
    assert value == pytest.approx(0.75 * one + 0.25 * two)
    np.testing.assert_allclose(g, 0.75 * g1 + 0.25 * g2, atol=1e-4 * np.abs(g).max())


def test_fine_layers_of_one_and_coarse_of_another(network, pictures):
    p, a, b = (picture.astype(np.float64) for picture in pictures)
    config = StyleConfig(content_weight=0, tv_weight=0, style_layers=("relu1_1", "relu3_1"))
    mixed = build_terms(network, config, p, [Painting(a, layers=("relu1_1",)), Painting(b, layers=("relu3_1",))])
    of_a, of_b = (build_terms(network, config, p, [one]) for one in (a, b))
    np.testing.assert_allclose(mixed[0].target.outer, of_a[0].target.scaled(1 / of_a[0].target.count).outer)
    np.testing.assert_allclose(mixed[1].target.outer, of_b[1].target.scaled(1 / of_b[1].target.count).outer)


def test_a_folder_of_paintings(tmp_path, pictures):
    for name, picture in zip(("b.png", "a.png"), pictures[1:], strict=True):
        save(tmp_path / name, picture)
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [path.name for path in expand_folders([tmp_path])] == ["a.png", "b.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(handstyle.HandstyleError, match="holds no picture"):
        expand_folders([tmp_path / "empty"])


# Regions


def test_a_white_mask_changes_nothing(network, pictures):
    p, a, _ = (picture.astype(np.float64) for picture in pictures)
    config = StyleConfig(content_weight=0, tv_weight=0)
    plain = value_of(network, config, p, [a])
    masked = value_of(network, config, p, [Painting(a, region=1)], [np.ones(p.shape[:2])])
    assert masked[0] == pytest.approx(plain[0], rel=1e-6)
    np.testing.assert_allclose(masked[1], plain[1], atol=1e-4 * np.abs(plain[1]).max())


def test_a_style_pulls_in_its_region_and_nowhere_else(network, pictures):
    p, a, _ = (picture.astype(np.float64) for picture in pictures)
    mask = np.zeros(p.shape[:2])
    mask[:, :16] = 1
    config = StyleConfig(content_weight=0, tv_weight=0, style_layers=("relu1_1", "relu2_1"), mask_rule="inside")
    _, g = value_of(network, config, p, [Painting(a, region=1)], [mask])
    gradient = g.reshape(p.shape)
    assert not gradient[:, 16:].any()
    assert gradient[:, :14].any()
    assert leak(gradient, mask) == 0
    soft = value_of(
        network, StyleConfig(**{**asdict(config), "mask_rule": "fraction"}), p, [Painting(a, region=1)], [mask]
    )
    assert 0 < leak(soft[1].reshape(p.shape), mask) < 0.5


def test_statistics_of_a_painting_under_its_own_mask(network, pictures):
    p, a, _ = (picture.astype(np.float64) for picture in pictures)
    mask = np.zeros(a.shape[:2])
    mask[:20] = 1
    config = StyleConfig(content_weight=0, tv_weight=0, style_layers=("relu1_1",), mask_rule="inside")
    (masked,) = build_terms(network, config, p, [Painting(a, mask=mask)])
    other = a.copy()
    other[22:] = 0  # what lies beyond the mask cannot matter
    (same,) = build_terms(network, config, p, [Painting(other, mask=mask)])
    np.testing.assert_array_equal(masked.target.outer, same.target.outer)


def test_two_regions_and_a_part_in_neither(network, pictures, half, tmp_path):
    middle = np.zeros((40, 32), np.uint8)
    middle[:, 24:] = 255
    masks = (half[0], save(tmp_path / "edge.png", middle))
    config = StyleConfig(**QUICK, mask=masks, tv_weight=0.0)
    result = handstyle.stylize(pictures[0], pictures[1:], network=network, config=config)
    assert {name.split(" ", 2)[2] for name in result.trace[-1].terms if name.startswith("style")} == {
        "region 1",
        "region 2",
    }
    assert result.image.shape == (32, 26, 3)


def test_what_no_region_claims_is_as_sharp_as_the_photograph_at_every_scale(network, pictures, half):
    starts = []
    pyramid = {"size": 40, "pyramid_min_size": 20, "pyramid_detail": False, "iterations": 1}
    config = StyleConfig(**pyramid, mask=half[:1], style_weight=1e-9, tv_weight=0.0, **FOUR)
    result = handstyle.stylize(
        *pictures[:2], network=network, config=config, callback=lambda at: starts.append(at.array)
    )
    assert starts[0].shape[0] == 20
    error = np.abs(result.array - pictures[0]).mean(axis=2)
    assert error[:, 20:].mean() < 2  # one step away
    assert error[:, :14].mean() > 2 * error[:, 20:].mean()  # the painted half was enlarged


def test_an_unchanged_picture_becomes_the_photograph_of_the_next_scale(pictures):
    photograph, painting = (handstyle.read_picture(one) for one in pictures[:2])
    config = StyleConfig(size=40, pyramid_min_size=20, **FOUR)
    made = plan.make_plan(config, photograph, [painting])
    small, large = made.sizes
    whole, reduced = resize(made.p, large), resize(made.p, small)
    np.testing.assert_allclose(plan.enlarge_picture(config, made, reduced, large), whole, atol=1e-3)
    without = plan.enlarge_picture(replace(config, pyramid_detail=False), made, reduced, large)
    assert abs(without - whole).max() > 5, "a blurred photograph"
    from_noise = plan.enlarge_picture(replace(config, init="noise"), made, reduced, large)
    np.testing.assert_array_equal(from_noise, without)


def test_what_no_region_claims_is_held_to_the_photograph(network, pictures, half):
    errors = {}
    for hold in (0.0, 1.0):
        config = StyleConfig(**{**QUICK, "iterations": 20}, mask=half[:1], style_weight=100.0, unmasked_weight=hold)
        last = []
        result = handstyle.stylize(*pictures[:2], network=network, config=config, callback=last.append)
        photograph = handstyle.foundations.image.resize(pictures[0], (32, 26))
        errors[hold] = np.abs(last[-1].array - photograph).mean(axis=2)  # before the photograph is laid over it
        assert ("held pixels" in result.trace[-1].terms) == bool(hold)
    assert errors[1.0][:, 16:].mean() < 0.5 * errors[0.0][:, 16:].mean()
    assert errors[1.0][:, :12].mean() > 0.5 * errors[0.0][:, :12].mean()


def test_masks_of_any_mode(tmp_path):
    plane = np.zeros((8, 8), np.uint8)
    plane[:, :4] = 255
    expected = plane / 255.0
    transparent = np.stack([np.full_like(plane, 255), plane], axis=2)  # LA: white everywhere, half of it transparent
    for name, picture in {
        "l.png": Image.fromarray(plane),
        "la.png": Image.fromarray(transparent),
        "one.png": Image.fromarray(plane).convert("1"),
        "p.png": Image.fromarray(plane).convert("RGB").convert("P"),
        "rgba.png": Image.fromarray(transparent).convert("RGBA"),
    }.items():
        picture.save(tmp_path / name)
        np.testing.assert_allclose(read_mask(tmp_path / name, (8, 8)), expected, atol=0.02, err_msg=name)
    with pytest.raises(handstyle.HandstyleError, match="same proportions"):
        read_mask(tmp_path / "l.png", (8, 16))


# Scales, starts, optimizers


def test_sizes_of_the_pyramid():
    # crowsonkb/style-transfer-pytorch gen_scales(128, 512).
    config = StyleConfig(size=512, pyramid_min_size=128, pyramid_factor=2**0.5)
    assert [max(size) for size in scales(config, (384, 512))] == [128, 181, 256, 362, 512]
    assert scales(StyleConfig(pyramid_min_size=0), (384, 512)) == [(384, 512)]
    short = StyleConfig(size=1100, size_rule="short", pyramid_min_size=512)
    assert [min(size) for size in scales(short, (1100, 1400))] == [550, 1100]
    assert scales(StyleConfig(pyramid_min_size=16, size=400), (20, 400)) == [(20, 400)]
    assert scales(StyleConfig(pyramid_min_size=16, size=400), (40, 400)) == [(20, 200), (40, 400)]


def test_a_narrow_painting_at_a_coarse_scale(network, pictures):
    narrow = np.tile(pictures[1], (1, 13, 1))[:, :400]
    config = StyleConfig(size=64, pyramid_min_size=32, iterations=1, style_size=0, style_layers=("relu1_1", "relu2_1"))
    wide = np.tile(pictures[0], (2, 3, 1))[:64, :64]
    result = handstyle.stylize(wide, narrow[:26], network=network, config=replace(config, style_scale=4.0))
    assert result.stopped == "all 2 iterations done at 2 scales"
    result = handstyle.stylize(wide, narrow[:30, :128], network=network, config=replace(config, style_scale=1.2))
    assert result.stopped == "all 2 iterations done at 2 scales"


@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs", "lbfgs-fixed", "adam", "descent"])
def test_every_optimizer_paints_over_scales(network, pictures, optimizer):
    options = FOUR | ({"averaging": 0.9, "clamp": True} if optimizer == "adam" else {})
    rate = 1e-3 if optimizer == "descent" else 1.0
    config = StyleConfig(
        size=40, pyramid_min_size=20, iterations_by_scale=(4, 3), optimizer=optimizer, learning_rate=rate, **options
    )
    seen = []
    result = handstyle.stylize(*pictures[:2], network=network, config=config, callback=seen.append)
    assert [progress.array.shape[0] for progress in seen] == [20] * 4 + [40] * 3
    assert [progress.iteration for progress in seen] == list(range(1, 8)) == [row.iteration for row in result.trace]
    assert {progress.iterations for progress in seen} == {7}
    assert result.stopped == "all 7 iterations done at 2 scales"
    assert result.evaluations >= 7
    assert [row.seconds for row in result.trace] == sorted(row.seconds for row in result.trace)
    assert np.isfinite(result.array).all()


def test_a_run_stopped_at_a_coarse_scale_is_still_a_whole_picture(network, pictures):
    def stop(progress):
        raise StopIteration

    config = StyleConfig(size=40, pyramid_min_size=20, iterations=5, **FOUR)
    result = handstyle.stylize(*pictures[:2], network=network, config=config, callback=stop)
    assert result.image.shape == (40, 32, 3)
    assert result.ended == "stopped"
    assert "enlarged" in result.stopped


def test_the_classic_loop(network, pictures):
    config = StyleConfig(size=32, pyramid_min_size=0, restarts=3, evaluations=5, **FOUR)
    result = handstyle.stylize(*pictures[:2], network=network, config=config)
    assert [row.iteration for row in result.trace] == [1, 2, 3]
    assert result.stopped == "all 3 rounds of 5 evaluations done"


def test_starts(pictures):
    p = pictures[0].astype(np.float64)
    mean = np.array([123.68, 116.779, 103.939])  # of Caffe's convention, in RGB
    normal = starting_picture(StyleConfig(init="normal:0.5"), np.zeros((200, 200, 3)), CAFFE)
    np.testing.assert_allclose(normal.mean(axis=(0, 1)), mean, atol=0.02)
    assert normal.std(axis=(0, 1)) == pytest.approx(np.full(3, 0.5), rel=0.03)
    uniform = starting_picture(StyleConfig(init="uniform:-128:127"), np.zeros((50, 50, 3)), CAFFE)
    assert (uniform.min(axis=(0, 1)) >= mean - 128).all()
    assert (uniform.max(axis=(0, 1)) <= mean + 127).all()
    stats = starting_picture(StyleConfig(init="style-stats"), p, CAFFE, [p])
    assert 0 <= stats.min() <= stats.max() <= 255
    painting = np.random.default_rng(1).normal((60, 120, 180), (10, 20, 30), (50, 50, 3))
    blurred = starting_picture(StyleConfig(init="blurred-noise"), np.zeros((200, 200, 3)), CAFFE, [painting])
    np.testing.assert_allclose(blurred.mean(axis=(0, 1)), (60, 120, 180), atol=3)
    np.testing.assert_allclose(blurred.std(axis=(0, 1)), (10, 20, 30), rtol=0.1)
    assert np.diff(blurred, axis=0).std() < 0.3 * blurred.std()
    with pytest.raises(handstyle.HandstyleError, match="init='normal:many'"):
        starting_picture(StyleConfig(init="normal:many"), p, CAFFE)


def test_noise_blended_into_the_start(network, pictures):
    p = pictures[0].astype(np.float64)
    noise = starting_picture(StyleConfig(init="noise", seed=3), p)
    np.testing.assert_allclose(starting_picture(StyleConfig(init_noise=1.0, seed=3), p), noise, rtol=1e-12)
    quarter = starting_picture(StyleConfig(init_noise=0.25, seed=3), p)
    np.testing.assert_allclose(quarter, 0.75 * p + 0.25 * noise, rtol=1e-12)
    np.testing.assert_array_equal(starting_picture(StyleConfig(seed=3), p), p)
    plain, noisy = (
        handstyle.stylize(*pictures[:2], network=network, config=StyleConfig(**QUICK, init_noise=share))
        for share in (0.0, 0.5)
    )
    assert np.abs(plain.array - noisy.array).mean() > 5


@pytest.mark.parametrize("options", [{"init_noise": 1.5}, {"init_noise": -0.1}, {"init": "noise", "init_noise": 0.5}])
def test_a_share_of_noise_that_makes_no_sense_is_refused(options):
    with pytest.raises(handstyle.HandstyleError, match=r"^init_noise="):
        StyleConfig(**options)


# Colors


def test_luminance_keeps_the_photographs_colors(network, pictures):
    config = StyleConfig(**QUICK, color="luminance", color_space="lab")
    result = handstyle.stylize(*pictures[:2], network=network, config=config)
    photograph = handstyle.stylize(
        *pictures[:2], network=network, config=StyleConfig(size=32, iterations=1, style_weight=0, tv_weight=0)
    )
    kept, original = to_space(result.array, "lab"), to_space(photograph.array, "lab")
    np.testing.assert_allclose(kept[..., 1:], original[..., 1:], atol=1e-3)


@pytest.mark.parametrize("color", ["match", "match-after", "histogram", "histogram-after", "luminance-after"])
def test_every_color_with_regions(network, pictures, half, color):
    config = StyleConfig(**QUICK, color=color, mask=half)
    result = handstyle.stylize(pictures[0], pictures[1:], network=network, config=config)
    assert np.isfinite(result.array).all()


# Refusals


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mask": ("a.png",)}, "masks: 1, paintings: 2"),
        ({"mask": ("a.png",), "style_region": (1, 2)}, "style_region"),
        ({"mask": ("a.png", "b.png"), "style_region": (1, 1)}, "b.png has no painting"),
        ({"style_blend": (0.0, 0.0)}, "style_blend"),
        ({"style_blend": (1.0,)}, "1 given for 2 paintings"),
        ({"style_at": ("relu1_1", "relu1_2")}, "style_at"),
        ({"style_mask": ("all",)}, "style_mask"),
        ({"optimizer": "newton"}, "optimizer='newton'"),
        ({"normalize_gradients": True}, "lbfgs-fixed or adam"),
        ({"tv": "neural-style"}, "tv='neural-style'"),
        ({"clamp": True}, "clamp"),
        ({"averaging": 0.9}, "averaging"),
        ({"restarts": 10, "pyramid_min_size": 0}, "evaluations"),
        ({"restarts": 10, "evaluations": 20, "optimizer": "adam"}, "restarts"),
        ({"pyramid_min_size": 16, "pyramid_factor": 1.0}, "pyramid_factor"),
        ({"learning_rate_schedule": "linear:2", "optimizer": "adam"}, "learning_rate_schedule"),
        ({"style_layer_weights": (1.0,)}, "1 weights for 4 layers"),
        ({"style_layer_weights": (0.0,) * 4}, "all are zero"),
        ({"share_overlaps": True}, "share_overlaps"),
        (
            {"style_layers": (*FOUR["style_layers"], "relu5_1")},
            "style_layers=('relu1_1', 'relu2_1', 'relu3_1', 'relu4_1')",
        ),
        ({"learning_rate_schedule": "root:1"}, "learning_rate_schedule='constant'"),
        ({"evaluations": 20, "optimizer": "adam"}, "evaluations=0"),
        ({"style_normalization": "keras", "style_statistic": "wasserstein"}, "defined for Gram"),
        ({"style_normalization": "channels"}, "wasserstein"),
        ({"mask_mode": "cysmith", "mask": ("a.png", "b.png")}, "stretch"),
        ({"color": "sepia"}, "color='sepia'"),
        ({"means_weight": -1.0}, "means_weight"),
    ],
)
def test_a_bad_combination_ends_before_any_work(network, pictures, monkeypatch, change, words):
    monkeypatch.setattr(type(network), "forward", lambda *_: pytest.fail("the network was run"))
    with pytest.raises(handstyle.HandstyleError) as caught:
        handstyle.stylize(pictures[0], pictures[1:], network=network, config=StyleConfig(**{**QUICK, **change}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_region_lost_on_the_way_is_named(network, pictures, tmp_path):
    plane = np.zeros((40, 32), np.uint8)
    plane[:6, :6] = 255
    config = StyleConfig(**QUICK, mask=(save(tmp_path / "m.png", plane),), mask_rule="inside")
    with pytest.raises(handstyle.HandstyleError, match=r"region 1 is too small for relu\d_1"):
        handstyle.stylize(*pictures[:2], network=network, config=config)


def test_a_painting_below_the_networks_reach_is_refused_with_the_size_that_is_enough(network, monkeypatch):
    content, painting = np.zeros((60, 80, 3), np.uint8), np.full((300, 400, 3), 99, np.uint8)
    with pytest.raises(handstyle.HandstyleError, match=r"relu5_1 has 3 x 2 values.*use style_size=64, or only") as e:
        handstyle.stylize(content, painting, network=network, config=StyleConfig(size=60, iterations=1))
    with pytest.raises(handstyle.HandstyleError, match=r"use size=64, or only"):
        handstyle.stylize(
            content, painting, network=network, config=StyleConfig(size=60, iterations=1, style_fit="stretch")
        )
    with pytest.raises(handstyle.HandstyleError, match=r"use a larger picture, or only"):
        handstyle.stylize(content, painting[:44, :44], network=network, config=StyleConfig(size=60))
    handstyle.stylize(
        content,
        painting,
        network=network,
        config=StyleConfig(size=60, iterations=1, style_size=64, pyramid_min_size=30),
    )
    assert "\n" not in str(e.value)


def test_a_painting_at_which_the_deepest_layer_sees_the_border_is_noted(network):
    content, painting = np.zeros((60, 80, 3), np.uint8), np.full((300, 400, 3), 99, np.uint8)
    result = handstyle.stylize(content, painting, network=network, config=StyleConfig(size=64, iterations=1))
    (note,) = [note for note in result.notes if "relu5_1 measures areas of 156 px" in note]
    assert re.search("; use a larger (picture of it|`style_size`)$", note)


def test_overlaps_are_shared_where_asked(network, pictures, half, monkeypatch):
    seen = {}
    monkeypatch.setattr(plan, "build_terms", lambda *a: seen.update(masks=a[4]) or build_terms(*a))
    full = save(Path(half[0]).parent / "full.png", np.full((40, 32), 255, np.uint8))
    for share, expected in ((False, 1.0), (True, 0.5)):
        config = StyleConfig(**QUICK, mask=(half[0], full), share_overlaps=share)
        handstyle.stylize(pictures[0], pictures[1:], network=network, config=config)
        assert [mask[16, 4] for mask in seen["masks"]] == pytest.approx([expected, expected], abs=0.02)
        assert seen["masks"][1][16, 24] == pytest.approx(1, abs=0.02)


# Settings in files, presets on the command line, weights carried over


def test_settings_there_and_back(tmp_path):
    for name, chosen in PRESETS.items():
        path = tmp_path / f"{name}.toml"
        path.write_text(settings_toml(chosen.config, {"weights": 'a "b"\\c.h5'}))
        found = read_settings(path, [*field_types(StyleConfig), "weights"])
        assert found.pop("weights") == 'a "b"\\c.h5'
        assert StyleConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in found.items()}) == chosen.config


@pytest.mark.parametrize(
    ("text", "words"),
    [("style_wieght = 1", "did you mean style_weight?"), ("[style]\nsize = 3", "table"), ("size = ", "not TOML")],
)
def test_a_bad_settings_file(tmp_path, text, words):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(handstyle.HandstyleError) as caught:
        read_settings(tmp_path / "bad.toml", field_types(StyleConfig))
    assert words in str(caught.value)


def written(capsys, *arguments):
    status = cli.app(
        ["stylize", "c.png", "s.png", "-o", "o.png", "--write-config", *arguments],
        result_action="return_value",
        exit_on_error=False,
    )
    assert status == 0
    return tomllib.loads(capsys.readouterr().out)


def test_what_is_typed_goes_before_the_file_and_the_file_before_the_preset(capsys, tmp_path):
    (tmp_path / "run.toml").write_text("tv_weight = 3.5\nsize = 300\n")
    found = written(
        capsys,
        "--preset",
        "neural-style",
        "--config",
        str(tmp_path / "run.toml"),
        "--size",
        "200",
        "--content-weight",
        "1.0",
    )
    assert found["size"] == 200  # typed
    assert found["content_weight"] == 1.0  # typed, though it is the default's own value
    assert found["tv_weight"] == 3.5  # the file's
    assert found["style_weight"] == 100.0  # the preset's
    assert found["rounding"] == "up"
    assert found["lbfgs_history"] == 100
    assert found["preset"] == "neural-style"


OTHER = {  # a value that is not the default, for each field, typed and as TOML
    "size": 300,
    "strength": 0.75,
    "style_weight": 3.0,
    "bits": 16,
    "size_rule": "short",
    "print": "A4@150",
    "style_size": 200,
    "style_fit": "stretch",
    "init": "gray",
    "content_layers": ("conv4_2", "relu2_2"),
    "style_layers": ("relu1_2", "relu2_2"),
    "content_normalization": "mean",
    "style_normalization": "mean",
    "style_statistic": "covariance",
    "tv": "absolute",
    "optimizer": "adam",
    "learning_rate_schedule": "root:0.5",
    "blend": "losses",
    "style_at": ("relu1_1", "all"),
    "mask": ("a.png", "b.png"),
    "style_mask": ("all", "c.png"),
    "style_region": ("red=a, b.jpg", "rgb(0, 0, 255)"),
    "regions": "map.png",
    "unmasked": "paint",
    "mask_rule": "inside",
    "mask_mode": "cysmith",
    "color": "match",
    "color_space": "lab",
    "color_match": "pca",
    "preset": "gatys-norm",
    "precision": "float64",
    "weights": 'a "b"\\c.h5',
    "backend": "numpy",
    "kernels": "im2col",
    "pooling": "average",
    "padding": "first-replicate",
    "rounding": "up",
}


def other(field):
    """Return a value of the field's type that is not its default."""
    default = field.default
    if field.name in OTHER:
        return OTHER[field.name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, tuple):
        return (2, 1) if field.hint == tuple[int, ...] else (2.5, 1.5)
    return type(default)(default + 1) if isinstance(default, int) else default / 2 + 0.25


def typed(field, value):
    flag = "--" + field.name.replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    values = value if isinstance(value, tuple) else (value,)
    return [word for one in values for word in (flag, str(one))]


COMMANDS = {
    "stylize": (STYLIZE_NAMES, ["c.png", "s.png"]),
    "texture": (TEXTURE_NAMES, ["s.png"]),
    "reconstruct": (RECONSTRUCT_NAMES, ["c.png", "--layer", "relu1_1"]),
}


@pytest.mark.parametrize(
    ("command", "name"), [(command, name) for command, (names, _) in COMMANDS.items() for name in names]
)
def test_every_option_is_a_flag_and_a_setting(capsys, tmp_path, monkeypatch, command, name):
    field, pictures = all_fields()[name], COMMANDS[command][1]
    if name in FLAGS_ONLY:
        (tmp_path / "run.toml").write_text(f'{name} = "x"')
        with pytest.raises(handstyle.HandstyleError, match=f"{name} is allowed only on the command line"):
            settings(capsys, command, *pictures, "--config", tmp_path / "run.toml")
        return

    def unchecked(self):  # one option alone may make no sense
        if self.strength is None and self.style_weight is None:
            object.__setattr__(self, "strength", STRENGTH)

    monkeypatch.setattr(handstyle.StyleConfig, "__post_init__", unchecked)
    value = other(field)
    assert value != field.default
    text = settings(capsys, command, *pictures, *typed(field, value))
    expected = list(value) if isinstance(value, tuple) else value
    assert tomllib.loads(text)[name] == expected
    (tmp_path / "run.toml").write_text(text)
    assert settings(capsys, command, *pictures, "--config", tmp_path / "run.toml") == text
    if field.default not in ((), None):  # which cannot be typed
        flags = typed(field, field.default)
        over = tomllib.loads(settings(capsys, command, *pictures, "--config", tmp_path / "run.toml", *flags))
        assert over[name] == (list(field.default) if isinstance(field.default, tuple) else field.default)


def settings(capsys, command, *arguments):
    status = cli.app(
        [command, *map(str, arguments), "-o", "o.png", "--write-config"],
        result_action="return_value",
        exit_on_error=False,
    )
    assert status == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_reaches_the_run(capsys, name):
    found = written(capsys, "--preset", name)
    for field, expected in find_preset(name).config.in_use().items():
        assert found[field] == (list(expected) if isinstance(expected, tuple) else expected), field
    assert ("strength" in found) != ("style_weight" in found)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_settings_file(tmp_path, name):
    """Its table in presets.toml, as it stands there with its comments, is what ``--config`` reads."""
    path = tmp_path / "own.toml"
    tables = (files("handstyle") / "painting" / "presets.toml").read_text(encoding="utf-8")
    path.write_text(tables.partition(f"[{name}]\n")[2].partition("\n[")[0], encoding="utf-8")
    nothing, chosen = make_flags("Flags", list(all_fields()), everything=False), find_preset(name)
    found = resolve(replace(nothing, config=str(path)))
    assert found.config == chosen.config
    own = ("source", "architecture", "convention", "pooling", "padding", "rounding", "input", "features", "notes")
    assert [getattr(found.chosen, key) for key in own] == [getattr(chosen, key) for key in own]


def test_commands(tmp_path, monkeypatch, pictures, capsys):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "s.png", pictures[1])
    fast = ["--weights", "random", "--backend", "numpy", "--size", "32", "--iterations", "2"]
    four = ["--style-layers", *FOUR["style_layers"]]
    for arguments in (
        ["texture", "s.png", "-o", "t.png", *four],
        ["reconstruct", "s.png", "--layer", "relu2_1", "-o", "r.png"],
        ["reconstruct", "s.png", "--layer", "relu2_1", "--of", "style", "-o", "q.png"],
    ):
        assert cli.app([*arguments, *fast], result_action="return_value", exit_on_error=False) == 0
        assert (tmp_path / arguments[arguments.index("-o") + 1]).exists()
    with pytest.raises(handstyle.HandstyleError, match="no photograph"):
        handstyle.texture("s.png", color="match")
    for arguments in (["--preset", "all"], ["--preset", "crowson"], ["--preset", "keras", "--as", "gatys"]):
        assert cli.app(["info", *arguments, "--weights", "random"], result_action="return_value") == 0
    assert "relu5_1" in capsys.readouterr().out


def test_the_demonstration_of_regions_leaves_the_head_in_neither(tmp_path, capsys):
    fast = ["--weights", "random", "--backend", "numpy", "--size", "48", "--iterations", "2"]
    assert cli.app(["demo", "--regions", "-o", str(tmp_path / "d"), *fast], result_action="return_value") == 0
    masks = [read_mask(path, (48, 36)) for path in sorted((tmp_path / "d").glob("mask_*.png"))]
    assert len(masks) == 2
    left = uncovered(masks)
    assert 0.1 < left.mean() < 0.6
    assert left[20, 18] > 0.9  # the middle of the face
    assert (tmp_path / "d" / "painted.png").exists()


def test_the_classic_loop_names_its_pictures_from_0(tmp_path):
    assert (
        outputs.path_at_iteration(
            tmp_path / "o.png", 1, StyleConfig(restarts=10, evaluations=20, pyramid_min_size=0)
        ).name
        == "o_at_iteration_0.png"
    )
    assert outputs.path_at_iteration(tmp_path / "o.png", 20, StyleConfig()).name == "o_at_iteration_20.png"


def test_carried_weights_give_the_same_gradient(network, pictures):
    # neural-style-pt's content and style in the units of gatys-norm: the same terms, so the same value and gradient.
    p, a, _ = (picture.astype(np.float64) for picture in pictures)
    source, target = find_preset("neural-style-pt"), find_preset("gatys-norm")
    rows = {row.term: row for row in equivalent_weights(source, target, network, *p.shape[:2])}
    assert rows["total variation"].equivalent is None
    assert rows["total variation"].note == "the other has no total variation"
    layers = source.config.style_layers
    carried = StyleConfig(
        **{
            **target.settings,
            "content_weight": rows["content relu4_2"].equivalent,
            "style_weight": 1.0,
            "style_layer_weights": tuple(rows[f"style {tap}"].equivalent for tap in layers),
        }
    )
    original = StyleConfig(**{**source.settings, "tv_weight": 0.0})
    exact, _ = fit_network(network.astype("float64"), source)
    (value, g), (expected, g0) = (value_of(exact, config, p, [a]) for config in (carried, original))
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(g, g0, rtol=1e-9, atol=1e-12 * np.abs(g0).max())


def test_a_relative_weight_needs_the_pictures(network):
    (row, *_) = equivalent_weights(find_preset("gatys"), find_preset("handstyle"), network, 64, 64)
    assert row.equivalent is None
    assert "pictures" in row.note
    rows = {
        row.term: row
        for row in equivalent_weights(find_preset("neural-style-pt"), find_preset("aleksa"), network, 64, 64)
    }
    assert rows["total variation"].equivalent == pytest.approx(1e-3)
    assert "wasserstein" in equivalent_weights(find_preset("gatys"), find_preset("crowson"), network, 64, 64)[1].note


def test_terms_of_every_kind_have_names_of_their_own(network, pictures):
    p, a, b = (picture.astype(np.float64) for picture in pictures)
    config = StyleConfig(means_weight=1.0, range_weight=0.1, blend="losses", style_statistic="wasserstein")
    terms = build_terms(network, config, p, [a, b])
    assert len({term.name for term in terms}) == len(terms) == 5 + 5 + 1 + 1 + 1
    assert sum(isinstance(term, DistributionTerm) for term in terms) == 10
    assert not any(isinstance(term, StyleTerm) for term in terms)


def test_carried_masks_reach_the_terms(network, pictures):
    p, a, _ = (picture.astype(np.float64) for picture in pictures)
    mask = np.zeros(p.shape[:2])
    mask[:, 10:] = 1
    config = StyleConfig(content_weight=0, tv_weight=0, hard_masks=True)
    terms = build_terms(network, config, p, [Painting(a, region=1)], [mask])
    for term in terms:
        expected = carry_mask(network.layers, mask, [term.tap], hard=True)[term.tap]
        np.testing.assert_array_equal(term.mask, expected)
        assert term.mask.dtype == np.float32
