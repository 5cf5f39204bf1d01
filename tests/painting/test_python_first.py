"""The package from Python: what it loads, what it exports, and that it paints what the command line paints."""

import base64
import doctest
import importlib
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main
from handstyle.losses.terms import WHOLE
from handstyle.painting.load import fit_network
from handstyle.painting.presets import find_preset

pytestmark = pytest.mark.smoke


def test_importing_loads_nothing_heavy():
    code = "import handstyle, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "scipy", "PIL", "h5py", "cyclopts", "rich", "cupy", "matplotlib", "torch"} & set(loaded)


def test_painting_from_python_loads_no_parser():
    code = "import handstyle, sys; handstyle.stylize; print('cyclopts' in sys.modules, 'rich' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_public_name_is_there_and_documented():
    for name in handstyle.__all__:
        assert getattr(handstyle, name) is not None
        assert name == "__version__" or getattr(handstyle, name).__doc__
    assert set(handstyle.__all__) <= set(dir(handstyle))
    assert handstyle.__version__ == version("handstyle")
    with pytest.raises(AttributeError, match="stylise"):
        _ = handstyle.stylise


@pytest.mark.parametrize(
    "module", ["painting.config", "painting.load", "painting.presets", "painting.stylize", "painting.targets"]
)
def test_the_examples_run(module):
    assert doctest.testmod(importlib.import_module(f"handstyle.{module}")).failed == 0


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    for name in ("photo.png", "art.png"):
        smooth = np.clip(np.cumsum(rng.normal(0, 8, (160, 130, 3)), axis=1) + 128, 0, 255)
        Image.fromarray(smooth.astype(np.uint8)).save(name)
    return "photo.png", "art.png"


def test_equal_input_gives_an_equal_picture_three_ways(pictures):
    # 160 px, so that the default's pyramid has two scales where it begins at half of them.
    few = {"iterations": 2, "size": 160}
    with pytest.raises(SystemExit) as ended:
        main(["stylize", *pictures, "--iterations", "2", "--size", "160", "--backend", "numpy"])
    assert ended.value.code == 0
    with Image.open("photo_painting.png") as painted:
        typed = np.asarray(painted)
    network = handstyle.load_network(backend="numpy")
    called = handstyle.stylize(*pictures, network=network, **few)
    chosen = handstyle.stylize(*pictures, network=network, preset="handstyle", **few)
    np.testing.assert_array_equal(called.image, typed)
    np.testing.assert_array_equal(chosen.image, typed)
    assert handstyle.preset("handstyle") == handstyle.StyleConfig()
    one_scale = handstyle.stylize(*pictures, network=network, pyramid_min_size=0, size=256, iterations=1)
    assert len(one_scale.trace) == 1
    assert len(handstyle.stylize(*pictures, network=network, size=160, pyramid_min_size=80, iterations=1).trace) == 2


FEW = {"network": "random", "size": 32, "iterations": 1, "style_layers": "relu1_1,relu2_1"}


def test_a_preset_brings_what_it_asks_of_the_network(pictures):
    network = handstyle.load_network("random", backend="numpy")
    options = {"size": 48, "iterations": 2, "content_layers": "relu2_1"}
    options |= {"style_layers": "relu1_1", "style_layer_weights": (1.0,)}
    direct = handstyle.stylize(*pictures, network=network, preset="gatys", **options)
    assert any("mean activation of 1" in note for note in direct.notes)
    fitted, _ = fit_network(network, find_preset("gatys"))
    assert {layer.kind for layer in fitted.layers if hasattr(layer, "kind")} == {"average"}
    config = handstyle.StyleConfig(**{**find_preset("gatys").settings, **options})
    np.testing.assert_array_equal(handstyle.stylize(*pictures, network=fitted, config=config).image, direct.image)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"sise": 3}, "no setting is called sise: did you mean size?"),
        ({"rate": 3}, "rate: it is now called learning_rate"),
        ({"config": 3}, "config=3: give a StyleConfig"),
        ({"config": "run.toml"}, "config='run.toml': give a StyleConfig"),
        ({"network": 3}, "network=int: give a Network"),
        ({"preset": "crowsn"}, "did you mean crowson"),
        ({"preset": "neural_styl"}, "did you mean neural-style?"),
        ({"preset": "gatys", "config": {}}, "config and preset: give one"),
        ({"network": "vgg19", "weights": "vgg16"}, "network and weights: give one"),
        ({"pooling": "average"}, "pooling='average' is a setting of the network: use network=load_network("),
        ({"precision": "float64"}, "load_network('vgg19-slim', dtype="),
        ({"callback": 3}, "callback=int: give a function"),
        ({"progress": print}, "give a function as callback"),
        ({"size": "64"}, "size='64': must be a whole number"),
        ({"optimizer": print}, "optimizer=builtin_function_or_method: use lbfgsb"),
        ({"mask": np.full((9, 9), 7)}, "mask: an array is a mask if"),
        ({"init": 3}, "init=3: must be text or a path"),
        ({"style_layers": {"relu1_1": 1}, "style_layer_weights": (1,)}, "leave style_layer_weights out"),
    ],
)
def test_what_stylize_cannot_take_is_one_line(pictures, given, words):
    with pytest.raises(handstyle.HandstyleError) as caught:
        handstyle.stylize(*pictures, **given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("function", "given", "names"),
    [
        (handstyle.stylize, ("a.png", "b.png", "c.png"), "content and styles"),
        (handstyle.texture, ("a.png", "b.png"), "styles"),
        (handstyle.reconstruct, ("a.png", "relu1_1", "content"), "picture and layer"),
    ],
)
def test_more_arguments_without_a_name_are_answered_with_what_to_do(function, given, names):
    words = (
        rf"{function.__name__}: {len(given)} arguments without a name, for {names}: give several pictures as one list"
    )
    with pytest.raises(handstyle.HandstyleError, match=words) as caught:
        function(*given)
    assert "\n" not in str(caught.value)


def test_what_is_no_picture_is_named(pictures):
    for content, style, words in (
        (3, pictures[1], "content=int: give a path"),
        (pictures[0], [None], "styles=NoneType"),
    ):
        with pytest.raises(handstyle.HandstyleError, match=words):
            handstyle.stylize(content, style, **FEW)


def test_settings_may_be_a_dict(pictures):
    empty = handstyle.stylize(*pictures, config={}, **FEW)
    full = handstyle.stylize(*pictures, network="random", config={k: v for k, v in FEW.items() if k != "network"})
    np.testing.assert_array_equal(empty.image, full.image)


def test_a_network_and_a_result_are_a_line_and_a_picture(pictures, tmp_path):
    clear = np.dstack([np.full((40, 40, 3), 90, np.uint8), np.tile(np.arange(0, 240, 6, dtype=np.uint8), (40, 1))])
    result = handstyle.stylize(clear, pictures[1], **FEW)
    (tmp_path / "shown.png").write_bytes(result._repr_png_())
    with Image.open(tmp_path / "shown.png") as shown:
        assert shown.mode == "RGBA"
        np.testing.assert_array_equal(np.asarray(shown)[..., :3], result.image)
    assert repr(result) == "<Result 32 x 32 px, 1 iterations: all 1 iterations done>"
    page = result._repr_html_()
    assert base64.b64encode(result._repr_png_()).decode() in page
    assert "32 x 32 px, 1 iterations: all 1 iterations done</figcaption>" in page
    assert len(repr(handstyle.load_network("random"))) < 200
    assert repr(handstyle.load_network("random").layers[0]) == "Convolution(name='conv1_1', padding='zero')"


def test_the_losses_are_plotted_on_a_logarithmic_axis(pictures, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    result = handstyle.stylize(*pictures, **{**FEW, "iterations": 3})
    axes = result.plot()
    assert axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.get_lines()] == ["loss", *result.trace[0].terms]
    assert list(axes.get_lines()[0].get_ydata()) == [row.value for row in result.trace]
    assert result.plot(axes) is axes
    matplotlib.pyplot.close("all")
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(handstyle.HandstyleError, match="pip install matplotlib"):
        result.plot()


def test_an_interruption_raises_and_keeps_the_picture(pictures):
    seen = []

    def interrupt(progress):
        seen.append(progress)
        if progress.iteration == 2:
            raise KeyboardInterrupt

    with pytest.raises(
        KeyboardInterrupt, match=r"interrupted after 2 iterations; .* handstyle\.last_result\(\)"
    ) as caught:
        handstyle.stylize(*pictures, **{**FEW, "iterations": 9}, callback=interrupt)
    assert caught.value.result is handstyle.last_result()
    np.testing.assert_array_equal(caught.value.result.array, seen[-1].array)


def test_the_last_result_is_that_of_a_run_that_ended_too(pictures, monkeypatch):
    monkeypatch.setattr("handstyle.painting.result._kept", [])
    with pytest.raises(handstyle.HandstyleError, match="nothing has been painted yet"):
        handstyle.last_result()
    assert handstyle.stylize(*pictures, **FEW) is handstyle.last_result()
    assert handstyle.texture(pictures[1], **FEW) is handstyle.last_result()


def test_progress_is_lines_where_there_is_no_terminal(pictures, capsys):
    handstyle.stylize(*pictures, progress=True, **FEW)
    assert "26 x 32 px: iteration 1 of 1, loss " in capsys.readouterr().err
    handstyle.stylize(*pictures, **FEW)
    assert capsys.readouterr().err == ""


def test_masks_and_starts_may_be_arrays_and_pictures(pictures, tmp_path):
    plane = np.zeros((160, 130), bool)
    plane[:80] = True
    Image.fromarray(plane.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    styles = [pictures[1]]
    expected = handstyle.stylize(pictures[0], styles, mask="mask.png", init="art.png", **FEW).array
    for mask in (plane, plane.astype(float), [plane.astype(np.uint8) * 255], [Image.open("mask.png")], ["mask.png"]):
        with Image.open("art.png") as start:
            found = handstyle.stylize(pictures[0], styles, config={"mask": mask, "init": np.asarray(start)}, **FEW)
        np.testing.assert_array_equal(found.array, expected)


def test_dicts_give_layers_and_paintings_their_weights(pictures):
    few = {**FEW, "style_layers": ("relu1_1", "relu2_1")}
    both = list(pictures)
    expected = handstyle.stylize(pictures[0], both, style_blend=(1, 3), style_layer_weights=(1, 0.5), **few).array
    few["style_layers"] = {"relu1_1": 1, "relu2_1": 0.5}
    few["weights"] = few.pop("network")
    found = handstyle.stylize(pictures[0], dict(zip(both, (1, 3), strict=True)), **few).array
    np.testing.assert_array_equal(found, expected)
    assert handstyle.texture(dict(zip(both, (1, 3), strict=True)), **few).array.shape == (32, 32, 3)


@dataclass
class Darkness:
    """The mean of the picture: a term that a user types."""

    name: str = "darkness"
    tap: str = "picture"
    weight: float = 1.0

    def measure(self, f, where=WHOLE):
        return f.sum(dtype=np.float64)

    def loss(self, s):
        return s / 1e4, np.float64(1e-4)

    def spread(self, ds, f, where=WHOLE):
        return np.full_like(f, ds)


def test_terms_of_ones_own_are_added(pictures):
    few = {**FEW, "size": 64, "pyramid_min_size": 32}
    plain = handstyle.stylize(*pictures, **few)
    dark = handstyle.stylize(*pictures, terms=[Darkness(weight=50.0)], **few)
    assert dark.array.mean() < plain.array.mean() - 1
    assert "darkness" in dark.trace[-1].terms
    assert "the term darkness is not in the recipe: `handstyle again` paints without it" in dark.notes
    seen = []

    def at_each_scale(network, size):
        seen.append((network.architecture, size))
        return [Darkness(weight=50.0)]

    np.testing.assert_array_equal(handstyle.stylize(*pictures, terms=at_each_scale, **few).array, dark.array)
    assert seen == [("vgg19", (32, 26)), ("vgg19", (64, 52))]
    for terms, words in (
        (3, "terms=int: give a list of terms"),
        ([3], "terms=int: a term has name, tap"),
        ([Darkness(tap="relu9")], "terms='relu9': no such layer"),
    ):
        with pytest.raises(handstyle.HandstyleError, match=words):
            handstyle.stylize(*pictures, terms=terms, **few)


def test_callbacks_may_be_several(pictures):
    seen = []
    calls = [lambda now: seen.append(("a", now.iteration)), lambda now: seen.append(("b", now.iteration))]
    handstyle.stylize(*pictures, callback=calls, progress=True, **FEW)
    assert seen == [("a", 1), ("b", 1)]


def test_texture_and_reconstruction(pictures):
    assert handstyle.texture(pictures[1], **FEW).image.shape == (32, 32, 3)
    assert handstyle.reconstruct(pictures[0], "relu1_2", network="random", size=32, iterations=1).image.shape[0] == 32
    with pytest.raises(handstyle.HandstyleError, match="layer='relu9': no such layer"):
        handstyle.reconstruct(pictures[0], "relu9", network="random")
    with pytest.raises(handstyle.HandstyleError, match="of='both': use content or style"):
        handstyle.reconstruct(pictures[0], "relu1_1", of="both", network="random")
