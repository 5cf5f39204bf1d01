"""The recipe in a picture: what it holds, that it makes the picture again, and what of a stranger's is refused."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import app
from handstyle.cli.again import find_inputs
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_metadata import read_metadata
from handstyle.foundations.picture_reading import Picture, read_picture
from handstyle.foundations.picture_writing import write_picture
from handstyle.kernels.tiles import by_tiles
from handstyle.network.digests import tensors_sha256
from handstyle.painting.load import fit_network, load_network, load_weights
from handstyle.painting.presets import find_preset
from handstyle.painting.recipe import (
    KEY,
    MAX_BYTES,
    Input,
    Recipe,
    network_settings,
    parse_recipe,
    read_recipe,
    toml_value,
)

TAPS = ["relu1_1", "relu2_1"]
FAST = ["--weights", "random", "--backend", "numpy", "--size", "32", "--iterations", "3", "--style-layers", *TAPS]

GATYS = ("--preset", "gatys", "--style-layer-weights", "1", "1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.png", "other.png"):
        Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save(tmp_path / name)
    mask = np.zeros((40, 32), np.uint8)
    mask[:20] = 255
    Image.fromarray(mask).save(tmp_path / "top.png")
    Image.fromarray(255 - mask).save(tmp_path / "bottom.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return app([str(word) for word in words], result_action="return_value", exit_on_error=False, print_error=False)


def paint(*more, output="out.png"):
    assert run("stylize", "content.png", "style.png", "-o", output, *FAST, *more) == 0
    return read_recipe(output)


def with_recipe(path, text):
    write_picture(path, np.zeros((16, 16, 3)), metadata={KEY: text}, overwrite=True)


# --- what it holds --------------------------------------------------------------------------------------------------


def test_a_recipe_has_every_setting_every_input_the_network_the_machine_and_the_end(folder):
    recipe = paint("--seed", "7", "--padding", "reflect", "--init-noise", "0.5")
    assert set(handstyle.StyleConfig.__dataclass_fields__) - {"style_weight"} <= set(recipe.settings)
    assert recipe.result["style_weight"] == 10  # of the strength
    for name, value in {"seed": 7, "padding": "reflect", "pooling": "max", "weights": "random"}.items():
        assert recipe.settings[name] == value
    digest = hashlib.sha256((folder / "content.png").read_bytes()).hexdigest()
    assert recipe.inputs[0] == Input("content", "content.png", digest, 32)
    assert [one.role for one in recipe.inputs] == ["content", "style"]
    assert recipe.network["sha256"] == tensors_sha256(load_weights("random"))
    assert recipe.environment["numpy"] == np.__version__
    assert recipe.result["ended"] == "done"
    assert recipe.result["stopped"] == "all 3 iterations done"
    assert sum(recipe.result["terms"].values()) == pytest.approx(recipe.result["loss"])


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif"])
def test_every_format_keeps_it(folder, ending):
    assert paint(output=f"out.{ending}").settings["iterations"] == 3


def test_sixteen_bits_keep_it(folder):
    for name in ("deep.png", "deep.tif"):
        assert paint("--bits", "16", output=name).settings["size"] == 32


def test_no_folder_is_told(folder):
    masks = ["--mask", folder / "top.png", folder / "bottom.png", "--init", folder / "other.png"]
    words = [folder / "content.png", folder / "style.png", folder / "other.png", "-o", "out.png"]
    assert run("stylize", *words, *FAST, *masks) == 0
    assert str(folder) not in read_metadata("out.png")[KEY]
    recipe = read_recipe("out.png")
    assert recipe.settings["mask"] == ["top.png", "bottom.png"]
    assert recipe.settings["init"] == "other.png"
    assert [one.role for one in recipe.inputs] == ["content", "style", "style", "mask", "mask", "init"]


def test_the_same_run_writes_the_same_bytes(folder):
    paint(output="a.png")
    paint(output="b.png")
    assert (folder / "a.png").read_bytes() == (folder / "b.png").read_bytes()


def test_python_writes_what_the_command_line_writes(folder):
    ours = paint(*GATYS)
    layers = {"style_layer_weights": [1, 1], "size": 32, "iterations": 3, "style_layers": TAPS}
    network = load_network("random", backend="numpy")
    handstyle.stylize("content.png", "style.png", network=network, preset="gatys", **layers).save("python.png")
    assert read_recipe("python.png").toml() == ours.toml()


def test_the_digest_is_of_the_values_and_survives_a_change_of_dtype_and_engine():
    network = load_network("random", backend="numpy", dtype="float64", kernels="reference")
    assert network.origin.name == "random"
    assert network.origin.sha256 == tensors_sha256(load_weights("random"))
    fitted, _ = fit_network(network, find_preset("gatys"))
    assert fitted.origin.asked["preset"] == "gatys"
    assert fitted.origin.sha256 == network.origin.sha256


# --- making it again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--init", "noise", "--seed", "5"),
        ("--optimizer", "adam", "--learning-rate", "3"),
        GATYS,
        ("--preset", "crowson", "--style-layer-weights", "1", "1"),
        ("--pooling", "average", "--padding", "first-replicate", "--rounding", "up"),
        ("--precision", "float64", "--kernels", "reference"),
        ("--init", "other.png", "--pyramid-min-size", "16", "--iterations-by-scale", "3", "2"),
    ],
)
def test_painted_read_and_painted_again_the_bits_are_equal(folder, more, capsys):
    first = paint(*more)
    assert run("again", "out.png") == 0
    assert "equal to the bit" in capsys.readouterr().out
    again = read_recipe("out_again.png")
    assert again.toml() == first.toml()
    assert (folder / "out.png").read_bytes() == (folder / "out_again.png").read_bytes()


def test_masks_are_found_by_their_digests_under_other_names(folder, capsys):
    words = ["content.png", "style.png", "other.png", "-o", "out.png", "--mask", "top.png", "bottom.png"]
    assert run("stylize", *words, *FAST, "--style-mask", "all", "top.png") == 0
    (folder / "elsewhere").mkdir()
    for name in ("content", "style", "other", "top", "bottom"):
        (folder / f"{name}.png").rename(folder / "elsewhere" / f"renamed_{name}.png")
    with pytest.raises(HandstyleError, match=r"content.png, the content, was not found"):
        run("again", "out.png")
    assert run("again", "out.png", *sorted((folder / "elsewhere").iterdir())) == 0
    assert "equal to the bit" in capsys.readouterr().out


def test_a_texture_and_a_reconstruction_are_made_again(folder):
    assert run("texture", "style.png", "-o", "texture.png", *FAST) == 0
    flags = [*FAST[:-3]]
    assert run("reconstruct", "content.png", "--layer", "relu2_1", "-o", "features.png", *flags) == 0
    for name in ("texture", "features"):
        assert run("again", f"{name}.png") == 0
    assert run("texture", "style.png", "-o", "second.png", "--config", "texture.png") == 0
    assert read_recipe("second.png").result["sha256"] == read_recipe("texture.png").result["sha256"]
    words = ["reconstruct", "content.png", "--layer", "relu2_1", "-o", "third.png", "--config", "features.png"]
    assert run(*words) == 0
    assert read_recipe("third.png").result["sha256"] == read_recipe("features.png").result["sha256"]
    paint(output="photo.png")
    with pytest.raises(HandstyleError, match="strength cannot be chosen here: remove it"):
        run("texture", "style.png", "-o", "fourth.png", "--config", "photo.png")


@pytest.mark.parametrize(
    ("dropped", "more"),
    [("seed", ("--init", "noise", "--seed", "5")), ("padding", ("--padding", "reflect"))],
)
def test_a_recipe_without_what_changes_the_picture_is_caught(folder, dropped, more, capsys):
    recipe = paint(*more)
    settings = {name: value for name, value in recipe.settings.items() if name != dropped}
    pixels = read_picture("out.png").pixels
    text = replace(recipe, settings=settings).toml()
    write_picture("out.png", pixels, metadata={KEY: text}, overwrite=True)
    assert run("again", "out.png") == 1
    assert "differs: by" in capsys.readouterr().out


def test_a_picture_that_was_changed_since_is_told(folder, capsys):
    recipe = paint()
    pixels = read_picture("out.png").pixels.copy()
    pixels[3, 3] = 255 - pixels[3, 3]
    write_picture("out.png", pixels, metadata={KEY: recipe.toml()}, overwrite=True)
    assert run("again", "out.png") == 1
    assert "was changed since it was written" in capsys.readouterr().out


def test_a_jpeg_is_judged_by_the_digest_of_what_was_painted(folder, capsys):
    paint(output="out.jpg")
    assert run("again", "out.jpg") == 0
    assert "equal to the bit" in capsys.readouterr().out


def test_another_machine_is_named(folder, capsys):
    recipe = paint()
    recipe = replace(
        recipe, environment={**recipe.environment, "numpy": "1.99"}, result={**recipe.result, "sha256": ""}
    )
    write_picture("out.png", read_picture("out.png").pixels, metadata={KEY: recipe.toml()}, overwrite=True)
    assert run("again", "out.png") == 1
    assert f"environment: numpy was 1.99, is {np.__version__}" in capsys.readouterr().out


def test_another_file_another_network_and_an_unfinished_run_are_refused(folder):
    recipe = paint()
    Image.fromarray(np.zeros((40, 32, 3), np.uint8)).save(folder / "style.png")
    with pytest.raises(HandstyleError, match=r"style.png, the style, is not the file of that run"):
        run("again", "out.png")
    other = replace(recipe, network={**recipe.network, "sha256": "0" * 64}, inputs=[recipe.inputs[0]] * 2)
    with_recipe("x.png", other.toml())
    with pytest.raises(HandstyleError, match="photograph and paintings"):
        run("again", "x.png")
    one = [recipe.inputs[0], replace(recipe.inputs[0], role="style")]
    with_recipe("x.png", replace(other, inputs=one).toml())
    with pytest.raises(HandstyleError, match="not the network that painted"):
        run("again", "x.png")
    stopped = {**recipe.result, "ended": "interrupted"}
    with_recipe("x.png", replace(recipe, result=stopped).toml())
    with pytest.raises(HandstyleError, match="ended early"):
        run("again", "x.png")


def test_arrays_can_be_made_again_in_python_only(folder):
    array = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))
    options = {"size": 32, "iterations": 1, "style_layers": TAPS, "network": "random"}
    handstyle.stylize(array, "style.png", **options).save("out.png")
    with pytest.raises(HandstyleError, match="in Python, not a file"):
        find_inputs(read_recipe("out.png"), [folder])


def test_pictures_read_beforehand_in_python_are_made_again_to_the_bit(folder):
    options = {"size": 24, "iterations": 1, "style_layers": TAPS, "network": "random"}
    for number, side in enumerate((None, 36, 24)):  # whole, larger than used, as used
        pictures = [handstyle.read_picture(name, target=side) for name in ("content.png", "style.png")]
        handstyle.stylize(*pictures, **options).save(f"out{number}.png")
        assert run("again", f"out{number}.png") == 0
    digests = {read_recipe(f"out{number}.png").result["sha256"] for number in range(3)}
    assert len(digests) > 1  # how it was read does matter
    handstyle.stylize("content.png", "style.png", **options).save("named.png")
    assert read_recipe("named.png") == read_recipe("out2.png")


def test_what_was_changed_or_given_in_python_is_said_by_again_in_one_line(folder):
    read = handstyle.read_picture("content.png")
    options = {"size": 24, "iterations": 1, "style_layers": TAPS, "network": "random"}
    mask = np.tile(np.arange(32) < 16, (40, 1))
    own = Picture(read.pixels[:, ::-1], None, "content.png")
    for number, (content, more) in enumerate([(own, {}), ("content.png", {"mask": mask}), (read, {"init": own})]):
        handstyle.stylize(content, "style.png", **options, **more).save(f"out{number}.png")
        with pytest.raises(HandstyleError, match=r"^the (content|mask|init) was an array in Python, not a file"):
            run("again", f"out{number}.png")


def test_again_overwrites_nothing(folder):
    paint()
    (folder / "out_again.png").write_bytes(b"mine")
    assert run("again", "out.png") == 0
    assert (folder / "out_again.png").read_bytes() == b"mine"
    assert (folder / "out_again_2.png").exists()
    with pytest.raises(HandstyleError, match="exists"):
        run("again", "out.png", "-o", "out_again.png")


# --- its settings for other pictures --------------------------------------------------------------------------------


def test_config_takes_the_picture_and_the_toml_that_info_prints(folder, capsys):
    paint(*GATYS, "--seed", "3")
    capsys.readouterr()
    assert run("info", "out.png", "--recipe") == 0
    (folder / "recipe.toml").write_text(capsys.readouterr().out)
    for config in ("out.png", "recipe.toml"):
        assert run("stylize", "other.png", "style.png", "--config", config, "-o", f"{config}.new.png") == 0
        found = read_recipe(f"{config}.new.png")
        assert found.settings == read_recipe("out.png").settings
    assert run("stylize", "other.png", "style.png", "--config", "out.png", "--seed", "4", "-o", "over.png") == 0
    assert read_recipe("over.png").settings["seed"] == 4


def test_info_shows_what_differs_from_the_preset(folder, capsys):
    paint("--seed", "3")
    assert run("info", "out.png") == 0
    said = capsys.readouterr().out
    assert "  seed = 3\n" in said
    assert "tv_white" not in said
    assert "content: content.png (sha256 " in said
    assert "handstyle again out.png" in said
    with pytest.raises(HandstyleError, match="name the picture"):
        run("info", "--recipe")


def test_a_picture_without_a_recipe_says_so(folder):
    for command in (["info", "content.png"], ["again", "content.png"]):
        with pytest.raises(HandstyleError, match=r"content.png has no recipe"):
            run(*command)
    with pytest.raises(HandstyleError, match=r"content.png has no recipe"):
        run("stylize", "content.png", "style.png", "--config", "content.png", "-o", "out.png")


# --- a stranger's ---------------------------------------------------------------------------------------------------

GOOD = Recipe(
    {"seed": 1}, {}, [Input("content", "a.png", "0" * 64)], {}, {"loss": 0.5, "terms": {"style relu1_1": 0.5}}
)


def test_a_recipe_survives_its_text():
    assert parse_recipe(GOOD.toml(), "x.png") == GOOD


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * (MAX_BYTES + 1), "larger than 1 MiB"),
        ("recipe = 1\nsettings = [", "not TOML"),
        ("a = " + "[" * 100_000, "not TOML"),
        ("a = " + "9" * 5000, "not TOML"),
        ("recipe = 2\n", "has format 2"),
        ("seed = 1\n", "unknown part seed"),
        ("recipe = 1\n[extra]\na = 1\n", "unknown part extra"),
        ("recipe = 1\nsettings = 3\n", "not a table"),
        ("recipe = 1\ninputs = 3\n", "not written by handstyle"),
        ("recipe = 1\ninputs = [3]\n", "inputs is of type"),
        ("recipe = 1\n[result]\nterms = 3\n", "not a table"),
        ("recipe = 1\n[settings]\na.b = 1\n", "an invalid value of settings a"),
        ("recipe = 1\n[settings]\nseed = 1979-05-27\n", "an invalid value of settings seed"),
        (f'recipe = 1\n[settings]\ninit = "{"a" * 5000}"\n', "an invalid value of settings init"),
        ('recipe = 1\n[settings]\n"a\\u001b[2J" = 1\n', r"an invalid key in settings: a\x1b[2J"),
        ('recipe = 1\n[settings]\nmask = ["/etc/shadow"]\n', "a path with a folder"),
        ('recipe = 1\n[settings]\ninit = "../a.png"\n', "a path with a folder"),
        ('recipe = 1\n[settings]\nweights = "\\\\\\\\server\\\\share\\\\w.h5"\n', "a path with a folder"),
        ('recipe = 1\n[[inputs]]\nrole = "content"\nname = "a/b"\nsha256 = ""\n', "a path with a folder"),
        ('recipe = 1\n[[inputs]]\nrole = "weights"\nname = "b"\nsha256 = ""\n', "without a role"),
        ('recipe = 1\n[[inputs]]\nrole = "content"\nname = 3\nsha256 = ""\n', "without a role"),
    ],
)
def test_what_no_recipe_holds_is_refused_in_a_line(folder, text, words):
    with pytest.raises(HandstyleError) as caught:
        parse_recipe(text, "x.png")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("key", ["output", "overwrite", "checkpoint", "resume", "config", "write_config", "report"])
def test_a_picture_may_not_ask_for_a_file_to_be_written(folder, key):
    value = {"overwrite": "true", "write_config": "true", "report": "true"}.get(key, '"victim.txt"')
    (folder / "victim.txt").write_text("mine")
    good = paint()
    for extra in (f"{key} = {value}\n", 'nonsense = "x"\n'):
        text = good.toml().replace("[settings]\n", f"[settings]\n{extra}")
        with_recipe("hostile.png", text)
        for words in (
            ["stylize", "content.png", "style.png", "-o", "new.png", "--config", "hostile.png"],
            ["again", "hostile.png"],
        ):
            with pytest.raises(HandstyleError, match=extra.split()[0]):
                run(*words)
    assert (folder / "victim.txt").read_text() == "mine"
    assert not (folder / "new.png").exists()


def test_a_recipe_is_read_without_decoding_the_picture(folder):
    with_recipe("x.png", GOOD.toml())
    data = (folder / "x.png").read_bytes()
    at = data.index(b"IDAT")
    (folder / "x.png").write_bytes(data[:at] + b"IDAT" + b"\0" * 64)
    assert read_recipe("x.png") == GOOD


def test_what_a_terminal_is_sent_has_no_control_characters(folder, capsys):
    evil = "a\x1b[2J\x9b31m\u202eb"
    assert toml_value(evil).isprintable()
    recipe = paint()
    inputs = [replace(one, name=evil) for one in recipe.inputs]
    with_recipe("x.png", replace(recipe, inputs=inputs, environment={"numpy": evil}).toml())
    for words in (["info", "x.png"], ["info", "x.png", "--recipe"]):
        run(*words)
        said = capsys.readouterr().out
        assert all(c.isprintable() or c == "\n" for c in said)
    assert read_recipe("x.png").environment["numpy"] == evil


# --- every key is obeyed or refused ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "value"), [("input", "caffe-256"), ("features", "unit")])
def test_what_a_file_asks_of_the_network_is_obeyed_without_a_preset_too(folder, key, value):
    plain = paint("--pyramid-min-size", "0")
    (folder / "asks.toml").write_text(f'{key} = "{value}"\n')
    asked = paint("--pyramid-min-size", "0", "--config", "asks.toml", output="asked.png")
    assert asked.settings[key] == value
    assert asked.network["ran_sha256"] != plain.network["ran_sha256"]
    assert run("again", "asked.png") == 0


@pytest.mark.parametrize("key", ["weight", "features", "input", "architecture", "convention"])
def test_what_cannot_be_obeyed_is_refused_by_name(folder, key):
    (folder / "asks.toml").write_text(f'{key} = "nonsense"\n')
    with pytest.raises(HandstyleError, match=key):
        paint("--config", "asks.toml")


def test_tiles_that_memory_demanded_are_settings_of_the_network():
    whole = load_network("random", backend="numpy")
    assert "tile" not in network_settings(whole)
    settings = network_settings(by_tiles(whole, 512))
    assert (settings["tile"], settings["kernels"]) == (512, whole.engine.name)


def test_tiles_are_in_the_recipe_and_made_again(folder):
    more = ["--tile", "32", "--pyramid-min-size", "0", "--content-weight", "0"]
    larger = ["48" if word == "32" else word for word in FAST]
    assert run("stylize", "other.png", "style.png", "-o", "out.png", *larger, *more) == 0
    recipe = read_recipe("out.png")
    assert (recipe.settings["tile"], recipe.settings["kernels"]) == (32, "auto")
    assert run("again", "out.png") == 0
