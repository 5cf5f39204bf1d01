"""What was asked is done, refused or said."""

import signal
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main
from handstyle.cli.options import all_fields, make_flags, resolve
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.config import Group, StyleConfig
from handstyle.painting.inputs import change_colors_before, starting_picture
from handstyle.painting.plan import make_plan, terms_of_scale
from handstyle.painting.presets import PRESETS
from handstyle.painting.setting_values import field_types

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


def test_a_transparent_painting_under_masks_of_another_kind_is_said(tmp_path):
    Image.fromarray(np.full((64, 96), 255, np.uint8)).save(tmp_path / "m.png")
    options = {"mask": str(tmp_path / "m.png"), "mask_mode": "cysmith", "style_fit": "stretch", "size": 96}
    options |= {"iterations": 1, "style_layers": "relu1_1", "pyramid_min_size": 0, "network": "random"}
    photograph = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    result = handstyle.stylize(photograph, on_a_clear_canvas(core()), **options)
    assert any("its transparent part is used" in note for note in result.notes)
    result = handstyle.stylize(photograph, core(), **options)
    assert not any("transparent" in note for note in result.notes)


@pytest.mark.parametrize("color", ["match", "histogram", "luminance"])
def test_colors_are_matched_by_the_visible_part(color):
    photograph = np.random.default_rng(0).uniform(0, 255, (64, 64, 3))
    source = read_picture(on_a_clear_canvas(core()))
    config = handstyle.StyleConfig(color=color)
    _, (changed,) = change_colors_before(config, photograph, [source.pixels], [None], [source.alpha])
    _, (alone,) = change_colors_before(config, photograph, [core().astype(float)], [None], [None])
    np.testing.assert_allclose(changed[60:180, 96:288], alone, atol=0.1)


def test_noise_in_the_paintings_colors_is_of_the_visible_part():
    source = read_picture(on_a_clear_canvas(core()))
    start = starting_picture(
        handstyle.StyleConfig(init="style-stats"), np.zeros((100, 100, 3)), None, [source.pixels], [source.alpha]
    )
    alone = starting_picture(handstyle.StyleConfig(init="style-stats"), np.zeros((100, 100, 3)), None, [core()])
    assert start.std(axis=(0, 1)) == pytest.approx(alone.std(axis=(0, 1)), rel=0.02)


# Steps that are too long


@pytest.mark.parametrize("rate", [1e3, 1e5])
@pytest.mark.parametrize("optimizer", ["adam", "adam averaged", "adam clamped", "descent"])
def test_steps_of_which_none_helped_are_said(optimizer, rate, tmp_path):
    name, _, more = optimizer.partition(" ")
    options = {"averaging": 0.5} if more == "averaged" else {"clamp": True} if more == "clamped" else {}
    result = stepped(optimizer=name, learning_rate=rate * (1e9 if name == "descent" else 1), **options)
    assert result.failed
    assert "lower learning_rate=" in result.stopped
    assert "better than the start" in result.stopped or "not finite" in result.stopped


@pytest.mark.parametrize(
    "options",
    [{}, {"pyramid_min_size": 16}, {"averaging": 0.5}, {"optimizer": "lbfgs-fixed", "learning_rate": 1e5}],
)
def test_steps_that_help_are_not_called_useless(options):
    result = stepped(**options)
    assert not result.failed
    assert "better" not in result.stopped


def test_a_picture_that_cannot_be_better_has_not_failed():
    result = stepped(style_weight=0, tv_weight=0)
    assert not result.failed


def stepped(**options) -> handstyle.Result:
    photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    base = {"size": 32, "iterations": 6, "style_layers": "relu1_1", "pyramid_min_size": 0, "optimizer": "adam"}
    return handstyle.stylize(photograph, painting, network="random", **{**base, **options})


def test_the_command_ends_with_status_1_when_no_step_helped(told, tmp_path):
    words = ("--optimizer", "adam", "--learning-rate", "1000", "--iterations", "6", "-o", "out.png")
    status, said = told("stylize", "c.png", "c.png", *words, *FAST)
    assert status == 1
    assert "no step made the picture better than the start: lower --learning-rate 1000" in said
    assert (tmp_path / "out.png").exists()


# Pictures on the way


@pytest.mark.parametrize("color", ["luminance", "match-after", "luminance-after", "none"])
def test_pictures_on_the_way_are_finished_as_the_last_one_is(told, tmp_path, color):
    words = ("--color", color, "--save-every", "2", "--iterations", "2", "-o", "out.png", "--optimizer", "lbfgs")
    status, said = told("stylize", "rgba.png", "s.png", *words, *FAST)
    assert status == 0, said
    with Image.open(tmp_path / "out.png") as last, Image.open(tmp_path / "out_at_iteration_2.png") as on_the_way:
        assert on_the_way.mode == last.mode == "RGBA"
        assert on_the_way.size == last.size
        a, b = np.asarray(last, float), np.asarray(on_the_way, float)
    np.testing.assert_allclose(b, a, atol=1)
    assert np.ptp(b[..., :3], axis=2).max() > 20


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Give what runs a command in a folder with pictures: its exit status, and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    rng = np.random.default_rng(0)
    for name, channels in (("c.png", 3), ("s.png", 3), ("rgba.png", 4)):
        Image.fromarray(rng.integers(0, 256, (48, 48, channels), np.uint8)).save(name)
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP")]
    before = {number: signal.getsignal(number) for number in numbers}

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


FAST = ["--weights", "random", "--backend", "numpy", "--size", "48", "--style-layers", "relu1_1"]
FAST += ["--content-layers", "relu1_1", "--pyramid-min-size", "0"]


# Sizes that a picture does not have


@pytest.mark.parametrize(("flag", "value"), [("--style-scale", 2), ("--style-scale", 4), ("--style-size", 200)])
def test_a_painting_smaller_than_asked_is_said_before_the_work(told, flag, value):
    status, said = told("stylize", "c.png", "s.png", flag, value, "--iterations", "1", *FAST)
    assert status == 0
    asked = {"--style-scale": 48 * value, "--style-size": value}[flag]
    note = f"s.png: 48 x 48 px, too few for {flag} {value}, {asked} px: measured at its own size"
    assert said.count(note) == 1
    assert said.index(note) < said.index("stopped:")


@pytest.mark.parametrize("more", [(), ("--style-scale", "0.5"), ("--style-size", "48"), ("--style-fit", "stretch")])
def test_a_painting_that_is_large_enough_needs_no_note(told, more):
    _, said = told("stylize", "c.png", "s.png", *more, "--iterations", "1", *FAST)
    assert "too few" not in said


def test_a_photograph_smaller_than_the_size_is_said_before_the_work(told):
    _, said = told("stylize", "c.png", "s.png", "--iterations", "1", *FAST[:4], *FAST[6:], "--size", "100")
    note = "c.png: 48 x 48 px, too few for --size 100"
    assert said.count(note) == 1
    assert said.index(note) < said.index("stopped:")


def test_a_painting_of_which_the_deepest_layer_measures_the_border_is_said_before_the_work(told):
    words = ("c.png", "s.png", "--iterations", "1", *FAST[:6], "--style-layers")
    note = "s.png: used at 48 x 48 px, but relu4_1 measures areas of 68 px"
    for command in ("stylize", "plan"):
        _, said = told(command, *words, "relu4_1")
        assert said.count(note) == 1
        assert said.index(note) < said.index("stopped:" if command == "stylize" else "peak memory:")
    assert "measures areas" not in told("plan", *words, "relu3_1")[1]


def test_photographs_that_a_shell_has_listed_as_paintings_are_said(told):
    few = ("--iterations", "1", *FAST)
    assert "handstyle batch" not in told("stylize", "c.png", "s.png", "c.png", *few)[1]
    _, said = told("stylize", "c.png", "s.png", "c.png", "s.png", *few)
    assert "note: 3 paintings are blended; for several photographs: handstyle batch FOLDER STYLE\n" in said


# Typed flags


@pytest.mark.parametrize(
    ("flags", "note"),
    [
        (("--mask-feather", "2"), "--mask-feather has no effect without --mask or --regions"),
        (("--lbfgs-history", "3", "--optimizer", "adam"), "--lbfgs-history has no effect with --optimizer adam"),
        (("--learning-rate", "3"), "--learning-rate has no effect with --optimizer lbfgsb"),
        (("--color-space", "lab"), "--color-space has no effect with --color none"),
        (("--style-blend", "3"), "--style-blend has no effect with one painting"),
        (("--style-scale", "2", "--style-size", "40"), "--style-scale has no effect beside --style-size"),
        (("--tv", "keras", "--tv-weight", "0"), "--tv has no effect with --tv-weight 0"),
        (("--no-pyramid-detail", "--init", "noise"), "--pyramid-detail has no effect with --init noise"),
        (("--iterations-by-scale", "1,1"), "--iterations has no effect beside --iterations-by-scale"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_typed_flag_without_effect_is_said_before_the_work(told, flags, note):
    _, said = told("stylize", "c.png", "s.png", *flags, "--iterations", "1", *FAST)
    assert said.count(f"note: {note}\n") == 1
    assert said.count("has no effect") == 1
    assert said.index(note) < said.index("stopped:")


@pytest.mark.parametrize("name", PRESETS)
def test_a_setting_of_a_file_without_effect_is_said_and_those_of_its_preset_are_not(tmp_path, name):
    nothing = make_flags("Flags", list(all_fields()), everything=False)
    file = tmp_path / "all.toml"
    file.write_text(resolve(replace(nothing, preset=name)).toml())
    assert resolve(replace(nothing, config=str(file))).idle_notes(1) == []
    file.write_text(f'preset = "{name}"\nmask_feather = 2.0\n')
    (note,) = resolve(replace(nothing, config=str(file))).idle_notes(1)
    assert note == "`mask_feather` has no effect without `mask` or `regions`"


def test_a_setting_without_effect_is_a_note_in_python():
    rng = np.random.default_rng(0)
    photograph, painting = rng.uniform(0, 255, (2, 48, 48, 3))
    options = {"network": "random", "size": 48, "iterations": 1, "style_layers": "relu1_1"}
    assert (
        "`beta1` has no effect with optimizer='lbfgsb'"
        in handstyle.stylize(photograph, painting, beta1=0.5, **options).notes
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_typed_flag_wins_over_a_preset(name, monkeypatch):
    monkeypatch.setattr(Group, "__post_init__", lambda self: None)  # one option of a preset alone may make no sense
    nothing = make_flags("Flags", list(all_fields()), everything=False)
    own = PRESETS[name].config
    for option in field_types(StyleConfig):
        default = all_fields()[option].default
        if getattr(own, option) == default or default in ((), None):  # which cannot be typed
            continue
        words = tuple(map(str, default)) if isinstance(default, tuple) else default
        flags = replace(nothing, preset=name, **{option: words if isinstance(words, tuple | bool) else str(words)})
        assert getattr(resolve(flags).config, option) == default, option
