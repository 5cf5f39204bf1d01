"""The painter: what it promises before, during and after a run."""

from pkgutil import resolve_name

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.losses import gram
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.painting import inputs
from handstyle.painting.optimizers import OPTIMIZERS
from handstyle.painting.recipe import read_recipe
from handstyle.painting.setting_values import field_types, literal_values
from handstyle.painting.targets import build_terms

pytestmark = pytest.mark.smoke
FOUR = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")  # what so small a painting reaches
QUICK = handstyle.StyleConfig(size=32, iterations=4, style_layers=FOUR)


@pytest.fixture(scope="module")
def network():
    return handstyle.load_network("random", kernels="reference")


@pytest.fixture
def pictures(rng):
    smooth = np.cumsum(rng.normal(0, 8, (40, 32, 3)), axis=1) + 128
    return np.clip(smooth, 0, 255).astype(np.uint8), rng.integers(0, 256, (48, 36, 3), np.uint8)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_a_run_lowers_the_loss_and_keeps_the_size(network, pictures):
    seen = []
    result = handstyle.stylize(*pictures, network=network, config=QUICK, callback=seen.append)
    assert result.image.shape == (32, 26, 3)
    assert result.image.dtype == np.uint8
    assert [row.iteration for row in result.trace] == [1, 2, 3, 4] == [progress.iteration for progress in seen]
    assert result.trace[-1].value < result.trace[0].value
    assert result.trace[-1].value == pytest.approx(sum(result.trace[-1].terms.values()))
    assert result.ended == "done"
    assert result.stopped == "all 4 iterations done"
    assert not result.failed


def test_equal_runs_give_equal_pictures(network, pictures):
    config = handstyle.StyleConfig(size=32, iterations=3, init="noise", seed=3, style_layers=FOUR)
    one = handstyle.stylize(*pictures, network=network, config=config)
    two = handstyle.stylize(*pictures, network=network, config=config)
    np.testing.assert_array_equal(one.array, two.array)


def test_seed_changes_the_noise(network, pictures):
    starts = [inputs.starting_picture(handstyle.StyleConfig(init="noise", seed=s), pictures[0]) for s in (0, 1)]
    assert np.abs(starts[0] - starts[1]).mean() > 50


def test_alpha_survives_to_the_output(network, pictures, tmp_path):
    content, style = pictures
    alpha = np.full(content.shape[:2], 255, np.uint8)
    alpha[:10] = 0
    result = handstyle.stylize(np.dstack([content, alpha]), style, network=network, config=QUICK)
    result.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        saved = np.asarray(image)
    assert saved.shape == (32, 26, 4)
    assert saved[0, 0, 3] == 0
    assert saved[-1, 0, 3] == 255


def test_the_file_says_how_it_was_made(network, pictures, tmp_path):
    handstyle.stylize(*pictures, network=network, config=QUICK).save(tmp_path / "out.png")
    recipe = read_recipe(tmp_path / "out.png")
    assert recipe.settings["iterations"] == 4
    assert recipe.result["stopped"] == "all 4 iterations done"


def test_two_equal_styles_are_one(network, pictures):
    content, style = pictures
    one = build_terms(network, QUICK, content.astype(float), [style.astype(float)])
    two = build_terms(network, QUICK, content.astype(float), [style.astype(float)] * 2)
    for a, b in zip(one, two, strict=True):
        if isinstance(a, StyleTerm):
            np.testing.assert_allclose(a.target.outer / a.target.count, b.target.outer / b.target.count)


def test_a_weight_of_zero_leaves_the_term_out(network, pictures):
    config = handstyle.StyleConfig(size=32, style_weight=0, tv_weight=0)
    terms = build_terms(network, config, pictures[0].astype(float), [])
    assert [term.name for term in terms] == ["content relu4_2"]


def test_a_nan_keeps_the_last_good_picture(network, pictures, monkeypatch):
    calls = 0

    def spoiled(moments: Moments, target: Moments, scale: float | None) -> tuple[float, Moments]:
        nonlocal calls
        calls += 1
        value, dmoments = genuine(moments, target, scale)
        return (float("nan") if calls > 20 else value), dmoments

    genuine = gram.gram_loss
    monkeypatch.setattr(gram, "gram_loss", spoiled)
    config = handstyle.StyleConfig(size=32, iterations=20, style_layers=FOUR)
    result = handstyle.stylize(*pictures, network=network, config=config)
    assert result.failed
    assert result.ended == "not finite"
    assert "style relu" in result.stopped
    assert "nan" in result.stopped
    assert np.isfinite(result.array).all()
    assert calls > 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content_weight": -1.0}, "content_weight=-1.0"),
        ({"tv_weight": float("nan")}, "tv_weight=nan"),
        ({"size": 8}, "size=8"),
        ({"iterations": 0}, "iterations=0"),
        ({"style_size": 3}, "style_size=3"),
        ({"content_weight": 0.0, "style_weight": 0.0}, "nothing to paint"),
        ({"content_layers": ("relu9_9",)}, "relu9_9': no such layer"),
        ({"content_layers": ("relu5_2",)}, "relu5_2': this network ends at relu5_1"),
        ({"style_layers": ("relu1_1", "relu1_1")}, "named twice"),
        ({"init": "nowhere.png"}, "init='nowhere.png'"),
    ],
)
def test_a_bad_choice_ends_before_any_evaluation(network, pictures, monkeypatch, change, words):
    monkeypatch.setattr(
        "handstyle.optimize.lbfgsb.minimize_lbfgsb", lambda *_: pytest.fail("the optimizer was started")
    )
    with pytest.raises(handstyle.HandstyleError) as caught:
        handstyle.stylize(
            *pictures, network=network, config=handstyle.StyleConfig(**{"size": 32, "style_layers": FOUR, **change})
        )
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_style_too_small_is_refused(network, pictures):
    with pytest.raises(handstyle.HandstyleError, match="16"):
        handstyle.stylize(pictures[0], pictures[1][:9, :9], network=network, config=QUICK)


def test_no_style_is_refused(network, pictures):
    with pytest.raises(handstyle.HandstyleError, match="no style"):
        handstyle.stylize(pictures[0], [], network=network, config=QUICK)


def test_unknown_weights_name_what_there_is():
    with pytest.raises(handstyle.HandstyleError, match="vgg19-slim, random, vgg16, vgg19"):
        handstyle.load_network("vgg17")


def test_cupy_is_never_replaced_silently():
    try:
        backend = handstyle.choose_backend("cupy")
    except handstyle.HandstyleError as error:
        assert "cupy-cuda" in str(error)  # noqa: PT017  either outcome is right, on its own machine
    else:
        assert backend.name == "cupy"


def test_a_rate_too_high_is_told(network, pictures):
    config = handstyle.StyleConfig(size=32, iterations=60, optimizer="descent", learning_rate=1e9, style_layers=FOUR)
    result = handstyle.stylize(*pictures, network=network, config=config)
    assert result.failed
    assert "lower learning_rate=1e+09" in result.stopped


def test_every_optimizer_of_the_settings_is_in_the_table_and_is_there():
    names = literal_values(field_types(handstyle.StyleConfig)["optimizer"])
    assert set(OPTIMIZERS) == {*names, "restarted"}
    assert all(callable(resolve_name(path)) for path in OPTIMIZERS.values())
