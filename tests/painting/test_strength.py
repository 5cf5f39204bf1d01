"""Strength: one number that means the same on every calibrated network, in every place where a setting is given."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import handstyle
from handstyle.cli import main
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.network.weights import EMBEDDED
from handstyle.painting.config import StyleConfig, style_config
from handstyle.painting.load import load_network
from handstyle.painting.planned_terms import planned_terms
from handstyle.painting.presets import PRESETS, find_preset
from handstyle.painting.recipe import read_recipe
from handstyle.painting.settings import settings_toml
from handstyle.painting.strength import (
    CURVES,
    DEFAULT_WEIGHT,
    MAX_RATIO,
    Curve,
    curve_name,
    style_weight,
    with_style_weight,
)
from handstyle.painting.stylize import texture_config
from handstyle.painting.targets import build_terms

FOUR = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


@pytest.fixture(scope="module")
def small():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8)))


@pytest.fixture(scope="module")
def full():
    return build_network(random_weights(widths=WIDTHS, deepest="conv2_1"))


def test_a_curve_is_the_odds_to_a_power_and_ends_at_both_sides():
    curve = Curve(2.0, 1.5)
    assert curve.style_weight(0) == 0
    assert curve.style_weight(0.5) == 2
    assert curve.style_weight(0.8) == pytest.approx(2 * 4**1.5)
    assert curve.style_weight(0.2) == pytest.approx(2 / 4**1.5)
    assert curve.style_weight(1) == curve.style_weight(1 - 1e-12) == 2 * MAX_RATIO
    weights = [curve.style_weight(s) for s in np.linspace(0, 1, 101)]
    assert all(a < b for a, b in itertools.pairwise(weights))


def test_a_network_is_known_by_its_values_or_its_widths(small, full):
    assert curve_name(load_network(EMBEDDED, backend="numpy")) == EMBEDDED
    assert curve_name(full) == "vgg"
    assert curve_name(small) == ""
    assert curve_name(load_network("random", backend="numpy")) == ""


def test_the_default_is_one_half_and_the_small_networks_is_five(full):
    embedded = load_network(EMBEDDED, backend="numpy")
    assert StyleConfig().strength == 0.5
    assert StyleConfig().style_weight is None
    assert style_weight(StyleConfig(), embedded) == 5
    assert style_weight(StyleConfig(), full) == CURVES["vgg", "gram"].half < 5
    for statistic in ("gram",):
        config = StyleConfig(strength=0.25, style_statistic=statistic)
        weights = [style_weight(config, network) for network in (embedded, full)]
        assert weights == [CURVES[name, statistic].style_weight(0.25) for name in (EMBEDDED, "vgg")]


def rows_with_curves(name, statistic):
    """Return the rows of the newest results of a name, whose curves must be the package's for this statistic."""
    results = Path(__file__).parents[2] / "benchmarks" / "results"
    newest = json.loads(max(results.glob(f"*-{name}.json")).read_text(encoding="utf-8"))
    measured = {" ".join(key): curve._asdict() for key, curve in CURVES.items() if key[1] == statistic}
    assert {name: curve for name, curve in newest["curves"].items() if name in measured} == measured
    return newest["rows"]


def test_the_curves_are_those_of_the_newest_measurement():
    rows = [row for row in rows_with_curves("detail", "gram") if row["look"] == "gram"]
    errors = {
        name: [
            np.mean(list(row["gram"].values()))
            for row in rows
            if (row["network"], row["style_weight"]) == (name, CURVES[curve, "gram"].half)
        ]
        for name, curve in ((EMBEDDED, EMBEDDED), ("vgg19", "vgg"))
    }
    assert len(errors["vgg19"]) == len(errors[EMBEDDED]) >= 12
    assert np.mean(errors["vgg19"]) == pytest.approx(np.mean(errors[EMBEDDED]), rel=0.05)


def test_the_curves_of_wasserstein_are_those_of_its_newest_measurement():
    lost = {
        (row["network"], row["style_weight"], row["content"], row["style"]): row["content_error"]
        for row in rows_with_curves("looks", "w2")
    }
    for name in (EMBEDDED, "vgg19"):
        assert len({key[2:] for key in lost if key[:2] == (name, 1)}) == 12
    pairs = {key[2:] for key in lost if key[:2] == ("vgg19", CURVES["vgg", "w2"].half)}
    assert len(pairs) >= 3
    below, above = (sum(lost[EMBEDDED, weight, *pair] for pair in pairs) for weight in (0.3, 1))
    assert 0.3 < CURVES[EMBEDDED, "w2"].half < 1  # and so does its content error lie between those of 0.3 and 1
    assert below < sum(lost["vgg19", CURVES["vgg", "w2"].half, *pair] for pair in pairs) < above


def test_the_preset_wasserstein_has_curves_of_its_own(small, full):
    preset = find_preset("wasserstein")
    embedded = load_network(EMBEDDED, backend="numpy")
    for name, network in ((EMBEDDED, embedded), ("vgg", full)):
        assert style_weight(preset.config, network) == CURVES[name, "w2"].half
        weaker = preset.updated({"strength": 0.2}).config
        assert style_weight(weaker, network) == CURVES[name, "w2"].style_weight(0.2) < CURVES[name, "w2"].half
    assert style_weight(preset.config, small) == texture_config(preset.config).style_weight == 1
    for other in ({"content_normalization": "relative"}, {"style_normalization": "relative"}):
        config = preset.updated(other).config
        assert style_weight(config, full) == DEFAULT_WEIGHT
        with pytest.raises(handstyle.HandstyleError, match="this loss"):
            style_weight(replace(config, strength=0.2), full)


def test_the_terms_have_the_weight_of_the_strength(full):
    p, painting = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    config = StyleConfig(strength=0.7, style_layers="relu1_1", content_layers="relu2_1")
    wanted = style_weight(config, full)
    built = build_terms(full, config, p, [painting])
    planned = planned_terms(config, full, (16, 16))
    assert built[0].weight == planned[0].weight == wanted != style_weight(StyleConfig(), full)
    assert with_style_weight(config, full).style_weight == wanted
    nothing = build_terms(full, replace(config, strength=0.0), p, [painting])
    assert [term.name for term in nothing] == ["content relu2_1", "total variation"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [({}, "network"), ({"style_normalization": "mean"}, "loss"), ({"content_normalization": "sum"}, "loss")],
)
def test_without_a_curve_one_half_is_a_documented_weight_and_another_is_refused(small, full, changes, what):
    network = full if changes else small
    assert style_weight(StyleConfig(**changes), network) == DEFAULT_WEIGHT
    with pytest.raises(
        handstyle.HandstyleError, match=f"strength=0.7: not calibrated for this {what}; give `style_weight`"
    ):
        style_weight(StyleConfig(strength=0.7, **changes), network)
    assert style_weight(StyleConfig(style_weight=2, **changes), network) == 2


def test_it_is_refused_before_the_pictures_are_painted(small):
    p, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    with pytest.raises(handstyle.HandstyleError, match=r"strength=0\.7"):
        handstyle.stylize(p, painting, network=small, strength=0.7, style_layers=FOUR[:2], size=32)


@pytest.mark.parametrize("given", [-0.1, 1.1, float("nan")])
def test_it_lies_between_0_and_1(given):
    with pytest.raises(handstyle.HandstyleError, match="strength="):
        StyleConfig(strength=given)


def test_one_of_the_two_is_given_and_what_is_said_later_counts():
    for strength in (0.5, 0.7):  # the default, too, if it is typed
        for both in (StyleConfig, style_config):
            with pytest.raises(handstyle.HandstyleError, match=rf"strength={strength}.*style_weight=3.*give one"):
                both(strength=strength, style_weight=3)
    assert style_config({"strength": 0.7}, style_weight=3) == StyleConfig(style_weight=3)
    assert style_config({"style_weight": 3}, strength=0.7) == StyleConfig(strength=0.7)
    assert style_config(StyleConfig(style_weight=3), strength=0.7) == StyleConfig(strength=0.7)
    assert style_config(StyleConfig(strength=0.7), style_weight=3) == StyleConfig(style_weight=3)
    assert style_config(StyleConfig(style_weight=3), size=64).style_weight == 3


def test_a_preset_with_units_of_its_own_keeps_its_weight_and_refuses_a_strength():
    own = [one for one in PRESETS.values() if "style_weight" in one.settings]
    assert len(own) > 10
    for one in own:
        assert one.config.style_weight == one.settings["style_weight"]
        with pytest.raises(handstyle.HandstyleError, match=r"strength=0.5"):
            one.updated({"strength": 0.5})
        with pytest.raises(handstyle.HandstyleError, match=r"strength=0.5"):
            handstyle.stylize(np.zeros((32, 32, 3)), np.zeros((32, 32, 3)), preset=one.name, strength=0.5)
        assert one.updated({"style_weight": 7.0}).config.style_weight == 7
    assert find_preset("handstyle").updated({"strength": 0.3}).config.strength == 0.3


def test_a_file_of_settings_says_one_of_the_two():
    assert "strength = 0.5\n" in settings_toml(StyleConfig(), {})
    assert "style_weight" not in settings_toml(StyleConfig(), {})
    weighed = settings_toml(StyleConfig(style_weight=2), {})
    assert "style_weight = 2.0\n" in weighed
    assert "\nstrength" not in weighed


def test_a_texture_has_no_content_beside_which_it_could_be_measured(full):
    assert texture_config(StyleConfig()).style_weight == DEFAULT_WEIGHT
    assert texture_config(StyleConfig(style_weight=3)).style_weight == 3
    with pytest.raises(handstyle.HandstyleError, match=r"strength=0.7: a texture"):
        texture_config(StyleConfig(strength=0.7))


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("photo.png", "art.png"):
        handstyle.write_picture(name, rng.uniform(0, 255, (32, 32, 3)))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


FAST = ("--size", "32", "--iterations", "2", "--backend", "numpy", "--style-layers", *FOUR[:2])


def test_the_command_line_says_it_and_the_recipe_holds_it(told, tmp_path, monkeypatch):
    wanted = CURVES[EMBEDDED, "gram"].style_weight(0.7)
    status, out, err = told("stylize", "photo.png", "art.png", "-o", "a.png", "--strength", "0.7", *FAST)
    assert status == 0, err
    assert f"strength 0.7 (style weight {wanted:.3g})" in out
    recipe = read_recipe("a.png")
    assert (recipe.settings["strength"], recipe.result["style_weight"]) == (0.7, wanted)
    assert "style_weight" not in recipe.settings
    status, out, _ = told("info", "a.png")
    assert "strength = 0.7" in out
    assert "style_weight = " in out
    status, out, _ = told("again", "a.png")
    assert status == 0, out
    assert read_recipe("a_again.png").toml() == recipe.toml()
    monkeypatch.setitem(CURVES, (EMBEDDED, "gram"), Curve(7.0, 1.0))  # a later measurement
    status, out, _ = told("again", "a.png", "-o", "b.png")
    assert status == 0, out
    assert "equal to the bit" in out


def test_both_flags_are_refused_and_a_file_yields_to_a_flag(told, tmp_path):
    status, _, err = told("stylize", "photo.png", "art.png", "--strength", "0.5", "--style-weight", "3", *FAST)
    assert status == 2
    assert "--strength 0.5 and --style-weight 3" in err
    (tmp_path / "run.toml").write_text("strength = 0.2\n")
    status, out, _ = told(
        "stylize", "photo.png", "art.png", "--config", "run.toml", "--style-weight", "3", "--write-config"
    )
    assert status == 0
    assert "style_weight = 3.0" in out
    assert "strength = " not in out
    status, out, _ = told("stylize", "photo.png", "art.png", "--config", "run.toml", "--write-config")
    assert "strength = 0.2" in out


def test_plan_sweep_and_events_say_it(told):
    status, out, _ = told("plan", "photo.png", "art.png", "--strength", "0.3", *FAST)
    assert status == 0
    assert "strength 0.3 (style weight " in out
    status, out, _ = told("sweep", "photo.png", "art.png", "--over", "strength=0.3,0.6", "-o", "s.png", *FAST)
    assert status == 0
    assert "strength 0.6" in out
    status, out, _ = told("stylize", "photo.png", "art.png", "-o", "c.png", "--json", *FAST)
    begin = next(json.loads(line) for line in out.splitlines() if '"begin"' in line)
    assert begin["style_weight"] == 5
