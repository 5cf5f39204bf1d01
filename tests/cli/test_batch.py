"""A folder painted by one command: skipped, resumed, failed and shown."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle.cli.batch
from handstyle.cli import main
from handstyle.cli.checkpoints import checkpoint_path
from handstyle.painting.recipe import read_recipe

FAST = ["--weights", "random", "--backend", "numpy", "--size", "32", "--style-layers", "relu1_1,relu2_1"]


@pytest.fixture
def told(tmp_path, monkeypatch, commanded):
    """Give what runs a batch: its exit status, and what it said on both streams."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("in/a.png", "in/b & c.jpg", "in/b & c.png", "style.png", "other.png"):
        Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save(name)

    def run(*words, style="style.png", weights="random"):
        start = ("batch", "in", style, "-o", "out", "--weights", weights, *FAST[2:], "--iterations", 2)
        status, said, errors = commanded(*start, *words)
        return status, said.splitlines(), errors

    return run


def test_every_picture_is_painted_once_and_a_line_says_so(told, tmp_path):
    status, lines, _ = told()
    assert status == 0
    assert lines[:3] == ["1 of 3: a.png: painted", "2 of 3: b & c.jpg: painted", "3 of 3: b & c.png: painted"]
    assert len(lines) == 4
    pictures = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert pictures == ["a.png", "b & c.jpg.png", "b & c.png.png", "index.html"]  # two photographs have one name
    assert read_recipe(tmp_path / "out/a.png").named("content")[0].name == "a.png"
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    status, lines, _ = told()
    assert status == 0
    assert [line.split(": ")[2] for line in lines[:3]] == ["done before"] * 3
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}


def test_a_picture_that_cannot_be_painted_does_not_stop_the_others(told, tmp_path):
    (tmp_path / "in/a.png").write_bytes(b"no picture")
    status, lines, _ = told()
    assert status == 1
    assert "a.png: failed: in/a.png is not a picture" in lines[0]
    assert [line.split(": ")[2] for line in lines[1:3]] == ["painted"] * 2
    assert lines[3].startswith("2 pictures are in ")
    assert "1 failed, 0 not begun" in lines[3]


def test_a_painting_that_lies_among_the_photographs_is_not_painted(told):
    status, lines, _ = told(style="in/a.png")
    assert status == 0
    assert lines[:2] == ["not painted, since it is the style: a.png", "1 of 2: b & c.jpg: painted"]
    status, _, errors = told("in/b & c.jpg", "in/b & c.png", style="in/a.png")
    assert status == 2
    assert "no picture in it is left" in errors


def test_a_picture_made_otherwise_is_replaced_only_if_that_is_asked_for(told, tmp_path):
    told()
    status, lines, _ = told("--style-weight", "3")
    assert status == 1
    assert "a.png: a.png has other settings (strength 0.5): --overwrite replaces it" in lines[0]
    status, lines, _ = told(style="other.png")
    assert "has other settings (from other pictures)" in lines[0]
    status, lines, _ = told("--style-weight", "3", "--overwrite")
    assert (status, lines[0].split(": ")[2]) == (0, "painted")
    assert read_recipe(tmp_path / "out/a.png").settings["style_weight"] == 3
    status, lines, _ = told("--style-weight", "3", "--overwrite")
    assert lines[0].split(": ")[2] == "done before"  # to be painted again it would have to be removed


def test_what_a_finished_picture_lacks_is_named(told, tmp_path):
    """Another network, start or mask, more bits or a report must not be passed over as done before."""
    Image.fromarray(np.arange(40 * 32, dtype=np.uint8).reshape(40, 32)).save(tmp_path / "mask.png")
    told()
    for words, lacking in (
        (("--init", "noise"), "init content"),
        (("--init", "other.png"), "from other pictures"),
        (("--mask", "mask.png"), "from other pictures"),
        (("--pooling", "average"), "pooling max"),
        (("--bits", "16"), "bits 8"),
        (("--report",), "no report"),
    ):
        status, lines, _ = told(*words)
        assert status == 1
        assert f"a.png: a.png has other settings ({lacking}): --overwrite replaces it" in lines[0]
    status, lines, _ = told("--kernels", "reference", "--tile", "512", "--max-pixels", "100000")
    assert (status, lines[0].split(": ")[2]) == (0, "done before")  # they change the rounding at most
    assert told("--mask", "mask.png", "--init", "other.png", "--bits", "16", "--overwrite")[0] == 0
    (tmp_path / "other.png").rename(tmp_path / "renamed.png")
    status, lines, _ = told("--mask", "mask.png", "--init", "renamed.png", "--bits", "16")
    assert (status, lines[0].split(": ")[2]) == (0, "done before")


def test_another_network_is_named(told):
    told()
    status, lines, _ = told(weights="vgg19-slim")
    assert status == 1
    assert "a.png has other settings (network random): --overwrite replaces it" in lines[0]


def test_an_interruption_ends_the_batch_and_the_same_command_goes_on(told, tmp_path, monkeypatch):
    whole = handstyle.cli.batch.paint
    begun = []

    def cut_short(going, loaded, output, settings):
        begun.append(output.name)
        if len(begun) == 2:
            checkpoint_path(output).write_bytes(b"begun")
            return 130
        return whole(going, loaded, output, settings)

    monkeypatch.setattr(handstyle.cli.batch, "paint", cut_short)
    status, lines, _ = told()
    assert status == 130
    assert lines[1].endswith(": interrupted")
    assert "1 not begun" in lines[2]
    assert (tmp_path / "out/index.html").exists()
    taken = []

    def note(going, loaded, output, settings):
        resume = settings.run.resume
        taken.append(resume)
        if resume:
            resume.unlink()
        return 0

    monkeypatch.setattr(handstyle.cli.batch, "paint", note)
    status, lines, _ = told()
    assert status == 0
    assert [line.split(": ")[2] for line in lines[:3]] == ["done before", "resumed and painted", "painted"]
    assert [bool(path) for path in taken] == [True, False]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_between_two_pictures_ends_the_batch(told, tmp_path, monkeypatch, name):
    real = handstyle.cli.batch.say

    def said(line):  # the line of the first picture, when it is painted and the second not yet begun
        real(line)
        if line.startswith("1 of 3"):
            monkeypatch.setattr(handstyle.cli.batch, "say", real)
            signal.raise_signal(getattr(signal, name))

    monkeypatch.setattr(handstyle.cli.batch, "say", said)
    status, lines, _ = told()
    assert status == 128 + getattr(signal, name)
    assert lines[-1].endswith("0 failed, 2 not begun")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "index.html"]


def test_the_page_has_every_picture_and_no_markup_of_their_names(told, tmp_path):
    (tmp_path / "in/<b>.png").write_bytes(b"no picture")
    told()
    page = (tmp_path / "out/index.html").read_text()
    assert page.count("<img ") == 3
    assert "<h1>4 pictures in the style of style.png</h1>" in page
    assert "<p>Settings: preset handstyle, size 32, style_layers relu1_1 relu2_1, iterations 2, weights random" in page
    assert 'src="b%20%26%20c.jpg.png"' in page
    assert 'href="../in/a.png"' in page
    assert "&lt;b&gt;.png" in page
    assert "<b>" not in page
    assert "http" not in page


def test_without_an_output_the_folder_is_named_after_that_of_the_photographs(told, tmp_path, monkeypatch, commanded):
    (tmp_path / "in").rename(tmp_path / "trip.2")
    monkeypatch.chdir(tmp_path / "trip.2")
    words = ("batch", ".", "../style.png", *FAST, "--iterations", 2)
    assert commanded(*words)[0] == 0
    there = sorted(path.name for path in Path("trip_2_painting").glob("*.png"))
    assert there == ["a.png", "b & c.jpg.png", "b & c.png.png"]
    assert commanded(*words)[1].count("done before") == 3


def test_what_cannot_be_begun_is_one_line(told, tmp_path, capsys):
    for words, meant in (
        (["in", "style.png", "-o", "in"], "the folder of the photographs"),
        (["nowhere", "style.png", "-o", "out"], "nowhere cannot be read"),
        (["in", "style.png", "-o", "style.png"], "the folder cannot be created"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["batch", *words, *FAST])
        said = capsys.readouterr().err.strip().splitlines()
        assert (ended.value.code, len(said)) == (2, 1)
        assert meant in said[0]


@pytest.mark.slow
def test_a_cluster_paints_the_same_pictures(told, tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install distributed")
    tiles = ["--tile", "24", "--content-layers", "relu2_2", "--pyramid-min-size", "0"]
    status, _, _ = told(*tiles)
    assert status == 0
    (tmp_path / "out").rename(tmp_path / "alone")
    status, lines, _ = told(*tiles, "--cluster", "local:2")
    assert status == 0
    assert lines[0].startswith("cluster: 2 workers, dashboard http://")
    for name in ("a.png", "b & c.jpg.png", "b & c.png.png"):
        pictures = [np.asarray(Image.open(tmp_path / folder / name)) for folder in ("alone", "out")]
        np.testing.assert_array_equal(*pictures)
