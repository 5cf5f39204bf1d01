"""Right input that was refused or could not be used: masks, folders, paths, starts, whole numbers, Python types."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.inputs import read_inputs, read_mask, starting_picture
from handstyle.painting.plan import make_plan

FAST = ["--weights", "random", "--backend", "numpy", "--style-layers", "relu1_1", "--content-layers", "relu1_1"]
ONE = [*FAST, "--iterations", "1", "--pyramid-min-size", "0"]


def gray(path: Path, width: int, height: int, white: int | None = None) -> Path:
    """Write a mask whose left half, or as many columns as asked, is white."""
    plane = np.zeros((height, width), np.uint8)
    plane[:, : white or width // 2] = 255
    Image.fromarray(plane).save(path)
    return path


def colors(path: Path, width: int, height: int) -> Path:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Give what runs a command in an empty folder: its exit status, and what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    before = {
        getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in ("SIGTERM", "SIGINT", "SIGHUP")
    }

    def run(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_mask_as_large_as_a_panorama_fits_it_at_any_size(told, tmp_path):
    colors(tmp_path / "wide.png", 2000, 65)
    colors(tmp_path / "s.png", 64, 64)
    gray(tmp_path / "m.png", 2000, 65)
    status, said = told("stylize", "wide.png", "s.png", "--mask", "m.png", "--size", "512", *ONE)
    assert status == 0, said


def test_a_mask_as_large_as_the_photograph_fits_the_square_made_of_it(told, tmp_path):
    colors(tmp_path / "c.png", 120, 90)
    colors(tmp_path / "s.png", 64, 64)
    gray(tmp_path / "m.png", 120, 90)
    gray(tmp_path / "square.png", 70, 70)
    for mask in ("m.png", "square.png"):
        words = ("--mask", mask, "--size", "64", "--size-rule", "square")
        status, said = told("stylize", "c.png", "s.png", *words, *ONE)
        assert status == 0, said


def test_a_style_mask_as_large_as_its_painting_fits_the_stretched_one(told, tmp_path):
    colors(tmp_path / "c.png", 64, 64)
    colors(tmp_path / "s.png", 128, 96)
    gray(tmp_path / "m.png", 128, 96)
    status, said = told(
        "stylize", "c.png", "s.png", "--style-mask", "m.png", "--style-fit", "stretch", "--size", "64", *ONE
    )
    assert status == 0, said


def test_a_mask_stretched_with_its_picture_keeps_its_halves(tmp_path):
    mask = read_mask(gray(tmp_path / "m.png", 120, 90), (64, 64), (90, 120))
    assert mask.shape == (64, 64)
    assert mask[:, :30].min() > 0.98
    assert mask[:, 34:].max() < 0.02


def test_a_mask_of_other_proportions_is_refused_with_the_sizes_of_the_files(tmp_path):
    with pytest.raises(HandstyleError, match=r"m.png is 100 x 50 px, its picture 400 x 300: crop it to the same"):
        read_mask(gray(tmp_path / "m.png", 100, 50), (48, 64), (300, 400))


def test_what_is_transparent_in_a_mask_is_out(tmp_path):
    levels = np.full((60, 80, 4), 255, np.uint8)
    levels[:, 40:, 3] = 0
    levels[:, :20, :3] = 100
    Image.fromarray(levels).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", (60, 80))
    np.testing.assert_allclose(mask[:, :20], 100 / 255, atol=1e-5)
    np.testing.assert_allclose(mask[:, 20:40], 1, atol=1e-5)
    np.testing.assert_allclose(mask[:, 40:], 0, atol=1e-5)


def test_a_mask_is_read_as_every_picture_is(tmp_path, monkeypatch):
    gray(tmp_path / "m.png", 80, 60)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read_mask("~/m.png", (60, 80)).mean() == pytest.approx(0.5)
    levels = np.zeros((60, 80, 2), np.uint8)
    levels[:, :, 0] = 255
    levels[:, :10, 1] = 255
    Image.fromarray(levels).save(tmp_path / "turned.png", exif=turned())
    mask = read_mask(tmp_path / "turned.png", (80, 60))
    assert mask[:10].min() > 0.99
    assert mask[10:].max() < 0.01


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    return exif


def test_a_mask_in_colors_is_refused(told, tmp_path):
    colors(tmp_path / "c.png", 64, 64)
    levels = np.zeros((64, 64, 3), np.uint8)
    levels[:, :32, 0] = levels[:, 32:, 2] = 255
    Image.fromarray(levels).save(tmp_path / "m.png")
    for flag in ("--mask", "--style-mask"):
        status, said = told("stylize", "c.png", "c.png", flag, "m.png", "--size", "64", *ONE)
        assert status == 2
        assert "mask m.png is colored" in said


def test_a_gray_mask_in_a_jpeg_is_gray(tmp_path):
    draw = np.random.default_rng(0)
    plane = draw.integers(0, 230, (64, 64, 1)) + draw.integers(0, 25, (64, 64, 3))  # a few levels apart
    Image.fromarray(plane.astype(np.uint8)).save(tmp_path / "m.jpg", quality=80)
    assert read_mask(tmp_path / "m.jpg", (64, 64)).shape == (64, 64)


def test_a_folder_of_paintings_with_what_a_system_leaves_in_it(told, tmp_path, monkeypatch):
    colors(tmp_path / "c.png", 64, 64)
    folder = tmp_path / "paintings"
    folder.mkdir()
    colors(folder / "a.png", 64, 64)
    for junk in ("._a.png", ".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / junk).write_bytes(b"junk")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("paintings", "~/paintings"):
        status, said = told("stylize", "c.png", name, "--size", "64", *ONE)
        assert status == 0, said
    assert told("texture", "~/paintings", "--size", "64", *FAST[:6], "--iterations", "1")[0] == 0


def test_a_tilde_is_the_home_folder_in_every_path(told, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("c.png", "s.png"):
        colors(home / name, 64, 64)
    gray(home / "m.png", 64, 64)
    (home / "run.toml").write_text("size = 64\n")
    both = ("stylize", "~/c.png", "~/s.png")
    for words in (
        (*both, "-o", "~/1.png", "--mask", "~/m.png", "--style-mask", "~/m.png", "--config", "~/run.toml", *ONE),
        (*both, "-o", "~/2.png", "--init", "~/c.png", "--save-every", "1", "--size", "64", *ONE),
        (*both, "-o", "~/3.png", "--optimizer", "adam", "--checkpoint", "~/run.npz", "--size", "64", *ONE),
        (*both, "-o", "~/4.png", "--optimizer", "adam", "--resume", "~/run.npz", "--size", "64", *ONE),
        ("weights", "convert", "vgg19-slim", "~/slim.h5"),
        ("weights", "verify", "~/slim.h5"),
        ("weights", "card", "~/slim.h5", "--sheet", "~/sheet.png"),
        (*both, "-o", "~/5.png", "--weights", "~/slim.h5", "--size", "64", *ONE[2:]),
        (
            "reconstruct",
            "~/c.png",
            "--layer",
            "relu1_1",
            "-o",
            "~/6.png",
            "--size",
            "64",
            *FAST[:4],
            "--iterations",
            "1",
        ),
        ("texture", "~/s.png", "-o", "~/7.png", "--size", "64", *FAST[:6], "--iterations", "1"),
        ("bench", "32", "--rounds", "1", "--weights", "random", "--plot", "~/plot.png"),
        ("demo", "-o", "~/demo", "--size", "64", "--iterations", "1", "--weights", "random"),
    ):
        status, said = told(*words)
        assert status == 0, f"{words}: {said}"
    made = {path.name for path in home.iterdir()}
    assert {f"{number}.png" for number in range(1, 8)} <= made
    assert {"2_at_iteration_1.png", "run.npz", "slim.h5", "sheet.png", "plot.png", "demo"} <= made
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_tilde_in_python(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("c.png", "s.png"):
        colors(tmp_path / name, 32, 32)
    options = {"network": "random", "size": 32, "style_layers": "relu1_1", "pyramid_min_size": 0, "optimizer": "adam"}

    def keep(progress):
        progress.save(Path("~/run.npz"))

    handstyle.stylize("~/c.png", "~/s.png", iterations=1, callback=keep, **options)
    result = handstyle.stylize("~/c.png", "~/s.png", iterations=2, resume="~/run.npz", **options)
    assert len(result.trace) == 2
    result.save("~/out.png")
    assert (tmp_path / "out.png").exists()


def test_a_start_of_other_proportions_is_refused(told, tmp_path):
    colors(tmp_path / "c.png", 64, 64)
    colors(tmp_path / "start.png", 128, 96)
    status, said = told("stylize", "c.png", "c.png", "--init", "start.png", "--size", "64", *ONE)
    assert status == 2
    assert "--init start.png is 128 x 96 px, its picture 64 x 64: crop it to the same proportions" in said


def test_a_start_of_the_photographs_proportions_is_taken_at_every_rule(tmp_path):
    start = colors(tmp_path / "start.png", 120, 90)
    for p in (np.zeros((48, 64, 3)), np.zeros((64, 64, 3))):
        config = handstyle.StyleConfig(init=str(start))
        assert starting_picture(config, p, full=(90, 120)).shape == p.shape
    with pytest.raises(HandstyleError, match="proportions"):
        starting_picture(config, np.zeros((64, 64, 3)))


@pytest.mark.parametrize("flag", ["--init", "--mask", "--style-mask", "--weights"])
def test_a_url_is_called_one_wherever_a_file_is_named(told, tmp_path, flag):
    colors(tmp_path / "c.png", 64, 64)
    url = "https://example.com/a.png"
    words = ONE if flag != "--weights" else ONE[2:]
    status, said = told("stylize", "c.png", "c.png", flag, url, "--size", "64", *words)
    assert status == 2
    assert f"{url} is a URL, not a file" in said
    for pictures in ((url, "c.png"), ("c.png", url)):
        assert f"{url} is a URL, not a file" in told("stylize", *pictures, "--size", "64", *ONE)[1]


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--iterations", "1.5"),
        ("demo", "--size", "64.5"),
        ("bench", "64.5"),
        ("bench", "64", "--rounds", "1.5"),
        ("check", "--size", "32.5"),
        ("check", "--seed", "0.5"),
        ("info", "--size", "64.5"),
        ("plan", "--styles", "1.5"),
        ("again", "c.png", "--bits", "8.5"),
        *((command, "c.png", *more, name, "1.5") for command, more in (
            ("stylize", ("c.png",)), ("texture", ()), ("reconstruct", ("--layer", "relu1_1"))
        ) for name in ("--iterations", "--size", "--save-every", "--checkpoint-every", "--seed", "--lbfgs-history")),
    ],
)  # fmt: skip
def test_half_of_a_whole_number_is_refused_by_every_command(told, words):
    status, said = told(*words)
    assert status == 2
    assert said.strip().endswith("5: must be a whole number")


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_a_network_that_is_not_here_is_not_replaced_in_bench(told, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path))
    status, said = told("bench", "32", "--rounds", "1", "--weights", name)
    assert status == 2
    assert f"{name} is not on this machine: handstyle weights get {name}" in said


def test_a_plan_by_the_shape_of_a_network_that_is_not_here_says_so(told, tmp_path, monkeypatch):
    monkeypatch.setenv("HANDSTYLE_CACHE", str(tmp_path))
    status, said = told("plan", "--size", "64", "--weights", "vgg16")
    assert status == 0
    assert "vgg16 is not installed: the forecast uses the shapes of its layers" in said


@pytest.mark.parametrize("command", ["info", "bench", "plan"])
def test_brackets_in_the_name_of_weights_are_printed_as_they_are(told, tmp_path, command):
    assert told("weights", "convert", "vgg19-slim", "net [final].h5")[0] == 0
    words = {"info": (), "bench": ("32", "--rounds", "1"), "plan": ("--size", "64")}[command]
    status, said = told(command, *words, "--weights", "net [final].h5")
    assert status == 0
    assert "net [final].h5" in said


WRONG = {
    "an array as start": lambda: handstyle.StyleConfig(init=np.zeros((4, 4, 3))),
    "a number as layers": lambda: handstyle.StyleConfig(style_layers=3),
    "a dict as layers": lambda: handstyle.StyleConfig(style_layers={"relu1_1": 1}),
    "nothing as layers": lambda: handstyle.StyleConfig(style_layers=None),
    "no number as weights": lambda: handstyle.StyleConfig(style_layer_weights=np.array("x")),
    "a list as configuration": lambda: paint(config=[]),
    "a number as a setting's name": lambda: paint(config={3: 4}),
    "a number as network": lambda: paint(network=3),
    "a number as a network's name": lambda: handstyle.load_network(3),
    "a number as engine": lambda: handstyle.load_network("random", kernels=3),
    "a number as backend": lambda: handstyle.load_network("random", backend=3),
    "a number as preset": lambda: paint(preset=3),
    "a number as run": lambda: paint(resume=3),
    "a number as callback": lambda: paint(callback=3),
    "a number as painting": lambda: handstyle.stylize(PIXELS, 3, network="random"),
    "a dict as paintings": lambda: handstyle.stylize(PIXELS, {"a": 1}, network="random"),
    "nothing as paintings": lambda: handstyle.stylize(PIXELS, None, network="random"),
    "nothing as photograph": lambda: handstyle.stylize(None, PIXELS, network="random"),
    "a number as mask": lambda: paint(mask=3),
    "a number as texture": lambda: handstyle.texture(5, network="random", size=32),
    "a number as layer": lambda: handstyle.reconstruct(PIXELS, 3, network="random"),
    "a text as number": lambda: paint(size="32"),
}
PIXELS = np.random.default_rng(0).uniform(0, 255, (32, 32, 3))


def paint(**options):
    fast = {"network": "random", "size": 32, "iterations": 1, "style_layers": "relu1_1", "pyramid_min_size": 0}
    fast = {} if "config" in options or "preset" in options else fast
    return handstyle.stylize(PIXELS, PIXELS, **{**fast, **options})


@pytest.mark.parametrize("case", WRONG)
def test_a_value_of_another_type_is_one_line(case):
    with pytest.raises(HandstyleError) as error:
        WRONG[case]()
    assert "\n" not in str(error.value)


def test_values_of_types_that_mean_the_same_are_taken():
    assert paint(config={}, network="random", style_layers="relu1_1", size=32, iterations=1).array.shape == (32, 32, 3)
    config = handstyle.StyleConfig(style_layers="relu1_1", style_layer_weights=np.array(0.5), size=np.int64(64))
    assert config.style_layer_weights == (0.5,)
    assert config.size == 64


# Large pictures


@pytest.fixture(scope="module")
def large_jpeg(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    Image.new("RGB", (12000, 9000), (10, 200, 30)).save(path, quality=90)
    return path


@pytest.mark.parametrize("role", ["photograph", "painting", "mask", "start", "regions"])
def test_a_jpeg_of_108_megapixels_is_shrunk_while_it_is_decoded(role, large_jpeg, tmp_path):
    resource = pytest.importorskip("resource")
    colors(tmp_path / "p.png", 128, 96)
    if role == "mask":
        large_jpeg = tmp_path / "m.jpg"
        Image.new("L", (12000, 9000), 255).save(large_jpeg)
    pictures = {"photograph": (large_jpeg, "p.png"), "painting": ("p.png", large_jpeg)}.get(role, ("p.png", "p.png"))
    more = {"mask": ("--mask", large_jpeg), "start": ("--init", large_jpeg)}.get(role, ())
    if role == "regions":
        pictures, more = ("p.png",), ("--regions", large_jpeg, "--style-region", "#0ac81e=p.png")
    words = ("stylize", *pictures, *more, "-o", "out.png", "--size", "128", *ONE)

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (2_500_000 * 1024, 2_500_000 * 1024))

    done = subprocess.run(
        [sys.executable, "-m", "handstyle", *map(str, words)],
        cwd=tmp_path,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (128, 96)


@pytest.mark.parametrize("rule", ["long", "short", "height", "square"])
@pytest.mark.parametrize("fit", ["keep", "stretch"])
@pytest.mark.parametrize("turned_too", [False, True])
def test_a_picture_reduced_while_it_is_read_is_used_as_the_whole_one_is(rule, fit, turned_too, tmp_path):
    rng = np.random.default_rng(0)
    for name, (width, height) in (("c.png", (901, 600)), ("s.png", (500, 803))):
        pixels = rng.integers(0, 256, (height // 20 + 1, width // 20 + 1, 3), np.uint8)
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
        image.save(tmp_path / name, exif=turned() if turned_too else Image.Exif())
    config = handstyle.StyleConfig(size=48, size_rule=rule, style_fit=fit, style_scale=0.8)
    small = make_plan(config, *read_inputs(config, tmp_path / "c.png", [tmp_path / "s.png"]))
    whole = make_plan(config, read_picture(tmp_path / "c.png"), [read_picture(tmp_path / "s.png")])
    assert small.sizes == whole.sizes
    assert small.style_sizes == whole.style_sizes
    assert small.photograph.pixels.size < whole.photograph.pixels.size
    for a, b in ((small.p, whole.p), (small.paintings[0], whole.paintings[0])):
        assert np.abs(a - b).mean() < 1
        assert np.abs(a - b).max() < 8


def test_the_limit_on_pixels_is_a_flag_for_every_picture(told, tmp_path):
    colors(tmp_path / "c.png", 64, 64)
    colors(tmp_path / "large.png", 128, 128)
    gray(tmp_path / "m.png", 128, 128)
    limit = ("--max-pixels", "5000", "--size", "64", *ONE)
    for words in (
        ("stylize", "large.png", "c.png"),
        ("stylize", "c.png", "large.png"),
        ("stylize", "c.png", "c.png", "--mask", "m.png"),
        ("stylize", "c.png", "c.png", "--style-mask", "m.png"),
        ("stylize", "c.png", "c.png", "--init", "large.png"),
        ("texture", "large.png"),
        ("reconstruct", "large.png", "--layer", "relu1_1"),
    ):
        options = limit if words[0] == "stylize" else ("--max-pixels", "5000", "--size", "64", *FAST[:4])
        status, said = told(*words, *options, "--iterations", "1") if words[0] != "stylize" else told(*words, *options)
        assert status == 2, words
        assert "is too large" in said
        assert "allow more by --max-pixels" in said
    assert told("stylize", "large.png", "c.png", "--max-pixels", "20000", "--size", "64", *ONE)[0] == 0


def test_a_picture_above_the_usual_limit_is_read_by_those_who_mean_it(told, tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # as if it were that of a small machine
    colors(tmp_path / "large.png", 128, 128)
    status, said = told("stylize", "large.png", "large.png", "--size", "64", *ONE)
    assert status == 2
    assert "allow more by --max-pixels" in said
    status, said = told("stylize", "large.png", "large.png", "--size", "64", "--max-pixels", "20000", *ONE)
    assert status == 0, said
    assert Image.MAX_IMAGE_PIXELS == 5000
