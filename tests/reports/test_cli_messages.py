"""What people typed, and what the command line must say or do: one line, in flags, before any work."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import handstyle.cli
from handstyle.cli.help import FOREIGN_FLAGS
from handstyle.cli.options import all_fields, as_flags, flag
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.presets import PRESETS
from handstyle.painting.setting_values import RENAMED

FAST = ["--weights", "random", "--backend", "numpy", "--size", "32", "--style-layers", "relu1_1,relu2_1"]
BOTH = ["stylize", "content.png", "style.png"]


@pytest.fixture
def told(tmp_path, monkeypatch, commanded):
    """Give what runs a command: its exit status, and what it said on both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.png", "photo.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save(name)
    return commanded


def refused(told, *words):
    status, _, said = told(*words)
    lines = said.strip().splitlines()
    assert status == 2
    assert len(lines) == 1, said
    return lines[0]


# Help


def test_help_is_in_groups_and_below_60_lines(told):
    status, text, _ = told("stylize", "--help")
    lines = text.splitlines()
    assert status == 0
    assert len(lines) < 60
    groups = [line for line in lines if line in ("Pictures", "Look", "Regions", "Color", "Size", "Optimizer", "Output")]
    assert groups == ["Pictures", "Look", "Regions", "Color", "Size", "Optimizer", "Output"]
    assert "STYLE [STYLE...]" in text
    assert "--help-all" in text
    assert "--beta1" not in text
    assert max(map(len, lines)) <= 80


def test_help_all_has_every_flag(told):
    _, text, _ = told("stylize", "--help-all")
    assert [name for name in all_fields() if flag(name) not in text] == []
    assert "--mask" not in told("texture", "--help-all")[1].replace("--style-mask", "")


@pytest.mark.parametrize(
    ("command", "start"), [("texture", "blurred-noise"), ("reconstruct", ""), ("sweep", "content")]
)
def test_help_shows_the_defaults_of_its_command(told, command, start):
    text = " ".join(told(command, "--help")[1].split())
    assert f"long side in pixels. [{512 if command == 'texture' else 256}]" in text
    assert (f"The picture to start from. [{start}]" in text) == bool(start)


# Names of other programs and earlier versions


def test_a_flag_of_another_program_is_answered_with_ours(told):
    for word, ours in (
        ("--image-size", "--size"),
        ("-image_size", "--size"),
        ("-i", "--iterations"),
        ("-cw", "--content-weight"),
        ("--original-colors", "--color luminance"),
        ("-num_iterations", "--iterations"),
    ):
        assert f"has no {word}: use {ours}" in refused(told, *BOTH, word, "1")


def test_a_neural_style_command_is_answered_with_ours(told):
    typed = "-content_image content.png -style_image style.png,b.png -image_size 64 -output_image out.png -print_iter 0"
    more = "-original_colors 1 -tv_weight 1e-3 -gpu -1 -init image -pooling avg -model_file n.pth -cudnn_autotune"
    said = refused(told, "stylize", *typed.split(), *more.split())
    assert said.endswith(
        "; write handstyle stylize content.png style.png b.png --size 64 --output out.png --color luminance-after "
        "--tv-weight 1e-3 --backend numpy --init content --pooling average --weights n.pth; nothing here is like "
        "-cudnn_autotune; "
        "another program's weights are in its own units: add its --preset (handstyle info --preset all)"
    )


@pytest.mark.parametrize(
    ("typed", "ours"),
    [
        ("-gpu 0", "--backend cupy"),
        ("-gpu c", "--backend numpy"),
        ("--cuda 0", "--backend numpy"),
        ("--device /cpu:0", "--backend numpy"),
        ("-original_colors 0", "no flag: it is the default"),
        ("--init-image k.png", "--init k.png"),
        ("--image-size=96", "--size 96"),
        ("--model-file", "--weights vgg19"),
        ("-s 96", "--size 96"),
        ("--style-scale-fac 1.5", "--style-scale 1.5"),
        ("-ad 0.9", "--averaging 0.9"),
    ],
)
def test_the_value_of_another_programs_flag_is_kept(told, typed, ours):
    word = typed.split("=")[0].split()[0]
    said = refused(told, *BOTH, *typed.split())
    assert said.endswith(f"has no {word.replace('-o', '--o', 1) if word[:2] == '-o' else word}: use {ours}")


def test_several_unknown_flags_beside_known_ones_are_answered_with_the_whole_command(told):
    said = refused(told, "stylize", "my picture.png", "style.png", "--seed", "3", "--image-size", "96", "--iters=5")
    assert said.endswith("; write handstyle stylize 'my picture.png' style.png --seed 3 --size 96 --iterations 5")


def test_a_flag_that_begins_with_o_is_not_read_as_an_output(told):
    assert "restarted; use --optimizer lbfgsb" in refused(told, *BOTH, "-optimizer", "adam", "--restarts", "2")
    assert "the output elsewhere has no ending" in refused(told, *BOTH, "-oelsewhere")


def test_several_paintings_and_starts_as_neural_style_names_them(told):
    assert "several are separated by spaces" in refused(told, "stylize", "content.png", "style.png,style.png")
    assert "--init random: did you mean noise? Use content, noise" in refused(told, *BOTH, *FAST, "--init", "random")


def test_a_reconstruction_is_not_said_to_be_in_its_own_style(told):
    status, text, _ = told("reconstruct", "content.png", "--layer", "relu1_1", *FAST[:6], "--iterations", "1")
    assert status == 0
    assert "content.png by its features at relu1_1, style weight 0" in text


def test_the_word_help_is_the_flag(told):
    assert told("help") == told("--help")
    assert told("help", "stylize") == told("stylize", "--help")


def test_without_words_the_help_is_shown_and_says_how_to_begin(told):
    status, text, _ = told()
    assert status == 0
    assert "To begin: handstyle demo, or handstyle stylize photograph.jpg painting.jpg" in text
    commands = re.findall(r"^  (\w+) ", text, re.MULTILINE)
    assert commands[:4] == ["stylize", "texture", "reconstruct", "demo"]
    assert commands[-1] == "weights"


def test_a_name_with_spaces_and_without_quotes_is_recognized(told):
    Image.open("content.png").save("my old picture.png")
    said = refused(told, "stylize", "my", "old", "picture.png", "style.png")
    assert said.endswith(
        "my does not exist: check the path of the picture; put a name with spaces in quotes: 'my old picture.png'"
    )
    assert "quotes" not in refused(told, "stylize", "my", "style.png")


def test_every_answer_for_another_programs_flag_is_a_flag_of_ours():
    ours = {*map(flag, all_fields()), "--output"}
    assert [answer for answer in FOREIGN_FLAGS if answer.startswith("--") and answer.split()[0] not in ours] == []
    names = [name for theirs in FOREIGN_FLAGS.values() for name in theirs.split()]
    assert len(names) == len(set(names))
    assert not {f"--{name}" for name in names} & ours


def test_a_mistyped_flag_is_answered_with_the_nearest(told):
    assert "did you mean --iterations?" in refused(told, *BOTH, "--iteration", "3")
    assert "write --style-weight" in refused(told, *BOTH, "-style_weight", "3")


def test_a_flag_that_another_command_has_is_said(told):
    assert refused(told, "texture", "style.png", "--content-weight", "3").endswith(
        "texture has no --content-weight: it is a flag of stylize"
    )


@pytest.mark.parametrize("words", [("content.png", "style.png"), ("-content_image", "content.png")])
def test_pictures_without_a_command_are_answered_with_stylize(told, words):
    assert f"{words[0]} is not a command; to paint: handstyle stylize CONTENT STYLE" in refused(told, *words)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["stylize"], "stylize needs CONTENT: handstyle stylize CONTENT STYLE [STYLE...] [-o OUTPUT] [FLAGS]"),
        (["stylize", "content.png"], "stylize needs a STYLE after CONTENT"),
        (["sweep", "content.png", "style.png"], "sweep needs --over: handstyle sweep CONTENT STYLE [STYLE...] --over"),
        (["sweep", "content.png", "style.png", "--over"], "--over: name a setting and its values"),
        (["weights", "get"], "weights get needs NAME: handstyle weights get --help"),
        ([*BOTH, "--size"], "--size needs a value"),
        ([*BOTH, "-o"], "-o needs a value"),
        ([*BOTH, "--plan"], "stylize has no --plan: plan is a command: handstyle plan [CONTENT STYLE"),
        (["bench", "--compare", "a.json", "b.json"], "a.json cannot be read: No such file"),
        (["frames", "nofilm", "style.png"], "nofilm cannot be read: No such file"),
        (["frames", "photo.jpg", "style.png"], "photo.jpg: a film is a folder of pictures, or ends in .gif"),
        (["info", "a.png", "b.png"], "info takes no b.png; handstyle info --help"),
    ],
)
def test_what_is_missing_and_what_is_too_much_are_named_with_what_to_type(told, words, answer):
    assert refused(told, *words).startswith(f"handstyle: {answer}")


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_flag_is_answered_with_its_new_name(told, tmp_path, old):
    said = refused(told, *BOTH, flag(old), "1")
    assert f"{flag(old)}: it is now called {flag(RENAMED[old])}" in said
    (tmp_path / "old.toml").write_text(f"{old} = 1")
    assert f"{old}: it is now called {RENAMED[old]}" in refused(told, *BOTH, "--config", "old.toml")


@pytest.mark.parametrize(("old", "new"), [("--licence", "--license"), ("--normalise", "--normalize")])
def test_an_old_flag_of_another_command_is_answered_with_its_new_name(told, old, new):
    assert f"{old}: it is now called {new}" in refused(told, "weights", "convert", "a.pth", "a.h5", old)


def test_a_mistyped_preset_and_a_mistyped_layer_are_answered_with_the_nearest(told):
    assert "did you mean crowson?" in refused(told, *BOTH, "--preset", "crowsn")
    said = refused(told, *BOTH, *FAST[:-1], "relu1_1,relu2_11", "--iterations", "1")
    assert "--style-layers relu2_11: no such layer: did you mean relu2_1?" in said


def test_a_preset_is_found_by_its_authors_name(told):
    for alias, name in (("jcjohnson", "neural-style"), ("keras.io", "keras-io"), ("GordicAleksa", "aleksa")):
        assert f"# {name}: " in told("info", "--preset", alias)[1]
    aliases = [alias for one in PRESETS.values() for alias in one.aliases]
    assert len(aliases) == len({*aliases, *PRESETS}) - len(PRESETS)


# Typed flags and files


def test_typed_iterations_win_over_a_presets_iterations_by_scale(told):
    weights = ["--style-layer-weights", "1,1"]
    status, out, _ = told(*BOTH, *FAST, "--preset", "crowson", "--iterations", "2", *weights)
    assert status == 0
    assert "all 2 iterations done" in out


def test_a_key_that_is_also_a_command_is_obeyed(told, tmp_path):
    (tmp_path / "run.toml").write_text(
        'weights = "random"\nbackend = "numpy"\nsize = 32\nstyle_layers = "relu1_1"\niterations = 1\n'
    )
    status, out, _ = told(*BOTH, "--config", "run.toml")
    assert status == 0
    assert "network random" in out


def test_a_key_of_the_network_is_obeyed_and_goes_round(told, tmp_path):
    (tmp_path / "run.toml").write_text('input = "caffe-256"\npreset = "gatys"\nfeatures = "any"\n')
    _, text, _ = told(*BOTH, "--config", "run.toml", "--write-config")
    assert 'input = "caffe-256"' in text
    assert 'features = "any"' in text
    (tmp_path / "again.toml").write_text(text)
    assert told(*BOTH, "--config", "again.toml", "--write-config")[1] == text
    (tmp_path / "run.toml").write_text('input = "caffe-257"\n')
    assert "--input" not in refused(told, *BOTH, "--config", "run.toml")
    assert "use rgb-255, caffe-256" in refused(told, *BOTH, "--config", "run.toml")


@pytest.mark.parametrize("key", ["output", "overwrite", "checkpoint", "resume", "config"])
def test_a_settings_file_cannot_name_a_file_to_be_written(told, tmp_path, key):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "run.toml").write_text(f'optimizer = "lbfgs"\n{key} = "{victim}"\n')
    said = refused(told, *BOTH, *FAST, "--iterations", "1", "--config", "run.toml")
    assert f"{key} is allowed only on the command line" in said
    assert victim.read_text() == "mine"


@pytest.mark.parametrize(
    "command", [BOTH, ["texture", "style.png"], ["reconstruct", "content.png", "--layer", "relu1_1"]]
)
def test_a_settings_file_that_is_not_there_is_said(told, command):
    assert "nosuch.toml: No such file" in refused(told, *command, "--config", "nosuch.toml")


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "size = " + "9" * 5000, "size = \xff"])
def test_a_hostile_settings_file_is_one_line(told, tmp_path, text):
    (tmp_path / "run.toml").write_bytes(text.encode("latin-1"))
    assert "not TOML" in refused(told, *BOTH, "--config", "run.toml")


# Values


def test_half_an_iteration_is_refused(told):
    assert "--iterations 1.5: must be a whole number" in refused(told, *BOTH, "--iterations", "1.5")
    assert "--style-weight much: must be a number" in refused(told, *BOTH, "--style-weight", "much")


def test_lists_may_be_typed_with_commas(told):
    _, text, _ = told(*BOTH, "--style-layers", "relu1_1,relu2_1", "--style-layer-weights", "1,0.5", "--write-config")
    assert 'style_layers = ["relu1_1", "relu2_1"]' in text
    assert "style_layer_weights = [1.0, 0.5]" in text


def test_a_list_flag_that_took_the_pictures_says_so(told):
    said = refused(told, "stylize", "--mask", "m.png", "content.png", "style.png")
    assert "--mask took m.png content.png style.png: put the pictures before it" in said


def test_a_tall_paintings_size_is_answered_with_style_size(told, tmp_path):
    Image.new("RGB", (400, 100), (90, 10, 200)).save(tmp_path / "wide.png")
    said = refused(told, "stylize", "content.png", "wide.png", *FAST, "--style-size", "40")
    assert "use a larger --style-size 64" in said
    status, _, _ = told("stylize", "content.png", "wide.png", *FAST, "--style-size", "64", "--iterations", "1")
    assert status == 0


def test_reconstruct_speaks_of_its_own_flag(told):
    said = refused(told, "reconstruct", "content.png", "--layer", "relu9", *FAST[:2])
    assert "--layer relu9: no such layer" in said
    assert "--content-layers" not in said


# Outputs


def test_a_picture_without_a_name_gets_a_free_one(told, tmp_path):
    for name in ("content_painting.png", "content_painting_2.png", "content_painting_3.png"):
        status, out, _ = told(*BOTH, *FAST, "--iterations", "1")
        assert status == 0
        assert f"is in {name}" in out
        assert (tmp_path / name).exists()


TWO = [*FAST[:-4], "--size", "64", *FAST[-2:], "--pyramid-min-size", "32", "--iterations", "2"]


def test_the_beginning_says_what_is_painted_and_the_end_size_duration_and_settings(told):
    status, said, progress = told(*BOTH, "style.png", "-o", "out.png", *TWO)
    assert status == 0, progress
    strength = "strength 0.5 (style weight 10)"
    assert f"content.png in the style of style.png and style.png blended, {strength}, 32 x 40 px, 2 iterations" in said
    lines = said.splitlines()
    assert re.fullmatch(r"stopped: all 2 iterations done; \d+ evaluations", lines[-3])
    assert lines[-2] == "the picture is in out.png"
    assert re.sub(r"\d+ s;", "0 s;", lines[-1]) == (
        "32 x 40 px in 0 s; settings: preset handstyle, size 64, style_layers relu1_1 relu2_1, pyramid_min_size 32, "
        "iterations 2, weights random, backend numpy"
    )
    assert "32 x 40 px: iteration 2 of 2, loss " in progress


def test_the_beginning_of_a_texture_and_of_regions_says_so(told):
    assert "a texture in the style of style.png, style weight 10" in told("texture", "style.png", *TWO)[1]
    with Image.open("content.png") as image:
        size = image.size
    halves = Image.new("RGB", size)
    halves.paste("white", (0, 0, size[0] // 2, size[1]))
    halves.save("map.png")
    regions = ["--regions", "map.png", "--style-region", "white=style.png", "black=style.png"]
    status, said, errors = told("stylize", "content.png", *regions, *TWO)
    assert status == 0, errors
    assert "in the style of style.png and style.png, strength" in said


def test_notes_on_reading_the_pictures_come_before_the_work_and_once(told):
    Image.open("content.png").save("film.gif", save_all=True, append_images=[Image.open("style.png")])
    _, said, _ = told("stylize", "film.gif", "style.png", *TWO)
    assert said.count("of several frames the first was taken") == 1
    assert said.index("of several frames the first was taken") < said.index("stopped: ")
    lines = [line for line in said.splitlines() if line.startswith("note: ")]
    assert lines[0] == "note: film.gif: of several frames the first was taken; handstyle frames paints a film"


def test_plan_says_what_stylize_says_of_the_pictures(told):
    _, said, _ = told("plan", "content.png", "style.png", "--print", "10x8cm@300", *FAST[:-4], *FAST[-2:])
    assert "note: content.png: 32 x 40 px, too few for --print 10x8cm@300" in said
    assert "largest square picture that fits: " in said
    assert "largest with tiles" not in said  # no more fits with them: the optimizer's vectors fill the memory


def test_the_beginning_says_how_often_iterations_are_taken(told):
    Image.new("RGB", (64, 64), (90, 120, 150)).save("large.png")
    _, said, _ = told("stylize", "large.png", "style.png", *TWO)
    assert "64 x 64 px, 4 iterations: 2 at each of 2 scales" in said
    _, said, _ = told("stylize", "large.png", "style.png", *TWO[:-2], "--iterations-by-scale", "3", "1")
    assert "64 x 64 px, 4 iterations at 2 scales: 3 + 1" in said


def test_quiet_says_nothing_but_errors(told, tmp_path):
    assert told(*BOTH, *TWO, "--quiet", "-o", "out.png") == (0, "", "")
    assert (tmp_path / "out.png").exists()
    assert "out.png exists" in refused(told, *BOTH, *TWO, "--quiet", "-o", "out.png")


def test_json_is_one_event_a_line_and_nothing_else(told):
    status, said, errors = told(*BOTH, *TWO, "--json", "-o", ":smile:.png")
    assert (status, errors) == (0, "")
    found = [json.loads(line) for line in said.splitlines()]
    assert [one["event"] for one in found if one["event"] != "note"] == ["begin", "iteration", "iteration", "end"]
    assert found[0]["sizes"] == [[32, 40]]
    assert found[0]["iterations"] == 2
    assert found[0]["network"] == "random"
    last = [one for one in found if one["event"] == "iteration"][-1]
    assert last["loss"] == pytest.approx(sum(last["terms"].values()))
    assert last["seconds_left"] == 0
    assert found[-1]["path"] == ":smile:.png"
    assert (found[-1]["status"], found[-1]["width"], found[-1]["height"]) == (0, 32, 40)


def test_with_json_a_mistake_is_an_event_and_a_line(told):
    status, said, errors = told(*BOTH, "--json", "--sise", "3")
    assert json.loads(said) == {"event": "error", "message": errors.strip().removeprefix("handstyle: "), "status": 2}
    assert status == 2
    assert told(*BOTH, "--sise", "3")[1] == ""


def test_pictures_on_the_way_have_the_size_and_the_colors_of_the_last(told, tmp_path):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 4), np.uint8)).save("large.png")
    told("stylize", "large.png", "style.png", *TWO, "--save-every", "1", "--color", "luminance", "-o", "out.png")
    pictures = {path.name: np.asarray(read_picture(path).pixels) for path in tmp_path.glob("out*.png")}
    assert len(pictures) == 5
    assert {picture.shape for picture in pictures.values()} == {(64, 64, 3)}
    assert np.ptp(pictures["out_at_iteration_1.png"], axis=2).max() > 9
    assert read_picture("out_at_iteration_1.png").alpha is not None


def test_an_output_that_exists_is_answered_with_overwrite(told, tmp_path):
    (tmp_path / "out.png").write_bytes(b"mine")
    assert "--overwrite" in refused(told, *BOTH, *FAST, "-o", "out.png")
    assert (tmp_path / "out.png").read_bytes() == b"mine"


def test_brackets_in_names_are_printed_as_they_are(told, tmp_path):
    folder = tmp_path / "set["
    folder.mkdir()
    for name in ("out [final].png", "set[/out].png", "[bold]x.png"):
        status, out, _ = told(*BOTH, *FAST, "--iterations", "1", "-o", name)
        assert status == 0
        assert f"the picture is in {name}" in out
        assert f"{name} exists" in refused(told, *BOTH, *FAST, "-o", name)


# Messages of the library in terms of flags


@pytest.mark.parametrize(
    ("message", "flags"),
    [
        ("style_size=8: must be 16 or more, or 0 for `size`", "--style-size 8: must be 16 or more, or 0 for --size"),
        ("clamp=True: not here; or clamp=False", "--clamp: not here; or --no-clamp"),
        ("color='sepia': use none", "--color sepia: use none"),
        ("use style_layers=('relu1_1', 'relu2_1')", "use --style-layers relu1_1 relu2_1"),
        ("that run has print='', this one print='A4'", "that run has no --print, this one --print A4"),
        ("network='vgg1': no", "--weights vgg1: no"),
        ("size of the picture, a=b, my_size=3", "size of the picture, a=b, my_size=3"),
        ("restarts=0 evaluations=2", "--restarts 0 --evaluations 2"),
    ],
)
def test_parameters_become_flags(message, flags):
    assert as_flags(message) == flags


def test_the_reader_of_other_commands_is_still_there(told):
    for command in ("check", "info", "plan", "bench", "demo"):
        assert told(command, "--help")[0] == 0
    assert "paint is not a command; to paint: handstyle stylize" in refused(told, "paint")
    assert 'Did you mean "stylize"' in refused(told, "styleize", *BOTH[1:])
    assert 'Did you mean "list"' in refused(told, "weights", "lst")
    assert "give the sides without a flag" in refused(told, "bench", "--size", "96")
    assert handstyle.cli.app is not handstyle.cli.make_app(everything=True)
