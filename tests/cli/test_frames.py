"""A film painted by one command: frames in order, gone on with, written as a film, and what cannot be begun."""

import json
import signal

import numpy as np
import pytest
from PIL import Image

import handstyle.cli.frames
from handstyle.cli import main
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.film import FRAME, frame_facts
from handstyle.painting.recipe import read_recipe

pytest.importorskip("skimage", reason="scikit-image is not installed: pip install scikit-image")

FAST = ["--weights", "random", "--backend", "numpy", "--size", "48", "--style-layers", "relu1_1,relu2_1"]


@pytest.fixture
def told(tmp_path, monkeypatch, commanded):
    """Give what runs a film of four frames, the last of another scene: its exit status, and what it said."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.uniform(0, 255, (12, 16, 3)), np.ones((5, 5, 1)))
    ramp = np.linspace(-40, 40, 80)[None, :, None]
    wide = np.clip(blocks + ramp, 0, 255).astype(np.uint8)
    (tmp_path / "in").mkdir()
    for number in (2, 9, 10):
        left = {2: 0, 9: 2, 10: 4}[number]
        Image.fromarray(wide[:, left : left + 48]).save(f"in/f{number}.png")
    Image.fromarray(np.kron(rng.integers(0, 256, (6, 6, 3)), np.ones((10, 8, 1))).astype(np.uint8)).save("in/f11.png")
    Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save("style.png")

    def run(*words, source="in", out="out"):
        status, said, errors = commanded("frames", source, "style.png", "-o", out, *FAST, "--iterations", 3, *words)
        return status, said.splitlines(), errors

    return run


def test_frames_are_painted_in_order_and_a_line_says_how_each_began(told, tmp_path):
    status, lines, _ = told()
    assert status == 0
    assert lines[0] == "1 of 4: f2.png: painted, the first frame"
    assert lines[1].startswith("2 of 4: f9.png: painted, flicker ")
    assert lines[2].startswith("3 of 4: f10.png: painted, flicker ")
    assert lines[3] == "4 of 4: f11.png: painted, a new scene"
    assert lines[4].startswith("4 frames are in ")
    assert "gray levels; 0 failed, 0 not begun" in lines[4]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f10.png", "f11.png", "f2.png", "f9.png"]
    recipes = {n: read_recipe(tmp_path / f"out/f{n}.png") for n in (2, 9, 10, 11)}
    assert [recipe.named("content")[0].name for recipe in recipes.values()] == [f"f{n}.png" for n in recipes]
    facts = {n: frame_facts(tmp_path / f"out/f{n}.png") for n in recipes}
    assert [one["start"] for one in facts.values()] == ["the first frame", *["the last frame"] * 2, "a new scene"]
    assert [facts[n]["previous"] for n in (9, 10, 11)] == [recipes[n].result["sha256"] for n in (2, 9, 10)]
    assert recipes[9].result["terms"]["temporal"] >= 0
    assert "temporal" not in recipes[11].result["terms"]


def test_the_same_command_passes_over_what_is_done_and_another_says_what_differs(told, tmp_path):
    told()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    status, lines, _ = told()
    assert (status, [line.split(": ")[2] for line in lines[:4]]) == (0, ["done before"] * 4)
    assert before == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    status, lines, _ = told("--temporal-weight", "2")
    assert status == 1
    assert "has other settings (temporal_weight 0.02)" in lines[1]
    status, lines, _ = told("--style-weight", "2", "--overwrite")
    assert [line.split(": ")[2].split(",")[0] for line in lines[:4]] == ["painted"] * 4


def test_a_frame_made_again_otherwise_makes_those_after_it_otherwise(told, tmp_path):
    told()
    (tmp_path / "out/f2.png").unlink()
    _, lines, _ = told("--seed", "1", "--init-noise", "0.2")
    assert "1 of 4: f2.png: painted" in lines[0]
    assert "has other settings (seed 0, after another frame)" in lines[1]


def test_a_film_that_was_ended_goes_on_as_if_it_had_not_been(told, tmp_path, monkeypatch):
    told(out="whole")
    real = handstyle.cli.batch.say

    def said(line):
        real(line)
        if line.startswith("2 of 4"):
            monkeypatch.setattr(handstyle.cli.batch, "say", real)
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(handstyle.cli.batch, "say", said)
    status, lines, _ = told()
    assert status == 128 + signal.SIGTERM
    assert lines[-1].endswith("0 failed, 2 not begun")
    status, lines, _ = told()
    assert status == 0
    assert [line.split(": ")[2].split(",")[0] for line in lines[:4]] == ["done before"] * 2 + ["painted"] * 2
    for n in (2, 9, 10, 11):
        one, other = (read_picture(tmp_path / f"{folder}/f{n}.png").pixels for folder in ("whole", "out"))
        np.testing.assert_array_equal(one, other)


def test_a_frame_that_cannot_be_painted_is_said_and_the_next_goes_on_from_the_last_one(told, tmp_path):
    (tmp_path / "in/f9.png").write_bytes(b"no picture")
    status, lines, _ = told()
    assert status == 1
    assert "f9.png: failed: " in lines[1]
    assert lines[2].startswith("3 of 4: f10.png: painted, flicker ")
    assert frame_facts(tmp_path / "out/f10.png")["previous"] == read_recipe(tmp_path / "out/f2.png").result["sha256"]


@pytest.mark.parametrize("name", ["film.webp", "film.gif"])
def test_a_film_comes_out_of_a_film(told, tmp_path, name):
    images = [Image.open(f"in/f{n}.png") for n in (2, 9, 10)]
    images[0].save("in.gif", save_all=True, append_images=images[1:], duration=[80, 160, 80], loop=0)
    status, lines, _ = told(source="in.gif", out=name)
    assert status == 0, lines
    assert lines[-1] == f"the film is in {name}"
    with Image.open(name) as image:
        assert (image.n_frames, image.size) == (3, (38, 48))
        image.seek(1)
        image.load()
        assert image.info["duration"] == 160
    assert sorted(path.name for path in (tmp_path / "film_frames").iterdir()) == [f"in_000{i}.png" for i in (1, 2, 3)]
    status, _, said = told(source="in.gif", out=name)
    assert status == 2
    assert "exists" in said
    status, lines, _ = told("--overwrite", "--fps", "5", source="in.gif", out=name)
    assert [line.split(": ")[2] for line in lines[:3]] == ["done before"] * 3  # another rate paints nothing
    with Image.open(name) as image:
        image.seek(1)
        image.load()
        assert image.info["duration"] == 200


def test_a_frame_alone_is_not_made_again(told, capsys):
    told()
    with pytest.raises(SystemExit) as ended:
        main(["again", "out/f9.png", "in", "style.png"])
    assert ended.value.code == 2
    assert "f9.png: a frame of a film, which depends on the frame before it; use `handstyle" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["again", "out/f2.png", "in", "style.png", "-o", "f2_again.png"])
    assert ended.value.code == 0


def test_events_for_programs(told):
    status, lines, _ = told("--json")
    events = [json.loads(line) for line in lines]
    assert status == 0
    pictures = [one for one in events if one["event"] == "picture"]
    assert [(one["number"], one["count"], one["failed"]) for one in pictures] == [(n, 4, False) for n in (1, 2, 3, 4)]
    assert events[-1] == {"event": "done", "painted": 4, "failed": 0, "not_begun": 0, "status": 0}
    assert sum(one["event"] == "iteration" for one in events) >= 12
    assert not any(one["event"] == "note" and "temporal" in one["text"] for one in events)


def test_without_an_output_a_folder_gives_a_folder_and_a_film_a_film(told, tmp_path, commanded):
    words = (*FAST, "--iterations", 1)
    assert commanded("frames", "in", "style.png", *words)[0] == 0
    assert len(list((tmp_path / "in_painting").iterdir())) == 4
    first, *rest = [Image.open(f"in/f{number}.png") for number in (2, 9)]
    first.save("walk.v2.gif", save_all=True, append_images=rest)
    assert commanded("frames", "walk.v2.gif", "style.png", *words)[0] == 0
    with Image.open("walk.v2_painting.gif") as film:
        assert film.n_frames == 2


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["in", "style.png", "-o", "in"], "is the folder of the film"),
        (["in", "style.png", "-o", "f.txt"], "a film is a folder, or ends in .gif"),
        (["style.png", "style.png", "-o", "out"], "style.png is a single picture, not a film"),
        (["nowhere", "style.png", "-o", "out"], "nowhere cannot be read"),
        (["in", "style.png", "-o", "out", "--fps", "-1"], "--fps -1: must lie between"),
        (["in", "style.png", "-o", "out", "--temporal-weight", "-1"], "temporal"),
        (["in", "style.png", "-o", "out", "--color", "match-after"], "--color match-after: "),
        (["in", "style.png", "-o", "nowhere/f.gif"], "its folder does not exist"),
    ],
)
def test_what_cannot_be_begun_is_one_line(told, tmp_path, capsys, words, meant):
    with pytest.raises(SystemExit) as ended:
        main(["frames", *words, *FAST])
    said = capsys.readouterr().err.strip().splitlines()
    assert (ended.value.code, len(said)) == (2, 1)
    assert meant in said[0]


def test_metadata_that_anybody_wrote_is_no_frame(tmp_path):
    from handstyle.foundations.picture_writing import write_picture

    for i, text in enumerate(("[1]", "no JSON", '{"start": 1}')):
        write_picture(tmp_path / f"{i}.png", np.zeros((16, 16, 3)), metadata={FRAME: text})
    assert [frame_facts(tmp_path / f"{i}.png") for i in range(3)] == [{}, {}, {"start": 1}]
