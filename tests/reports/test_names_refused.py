"""Names that the system refuses, and folders where a file is meant, are one line in every command."""

import json

import numpy as np
import pytest
from PIL import Image

LONG = "x" * 300  # longer than any file system takes
FAST = ["--weights", "random", "--size", "48", "--iterations", "1"]
FAST += ["--style-layers", "relu1_1", "--content-layers", "relu1_1"]


@pytest.fixture(autouse=True)
def pictures(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("c.png", "s.png", "folder/a.png"):
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 48, 3), np.uint8)).save(name)


@pytest.mark.parametrize(
    "words",
    [
        ["stylize", "c.png", "s.png", *FAST, "--init", LONG],
        ["stylize", "c.png", "s.png", *FAST, "--config", LONG],
        ["stylize", "c.png", "s.png", *FAST, "--checkpoint", LONG],
        ["stylize", "c.png", "s.png", *FAST, "--resume", LONG],
        ["stylize", "c.png", "s.png", "--weights", LONG],
        ["again", LONG],
        ["report", LONG],
        ["batch", LONG, "s.png", "-o", "b"],
        ["batch", "folder", "s.png", *FAST, "-o", LONG],
        ["frames", LONG, "s.png", "-o", "b"],
        ["info", LONG],
        ["weights", "verify", LONG],
        ["weights", "add", LONG, "--as", "vgg19"],
        ["texture", LONG, "-o", "t.png"],
    ],
)
def test_a_name_that_is_too_long_is_one_line(words, commanded):
    status, _, said = commanded(*words)
    assert status == 2
    assert [line for line in said.splitlines() if line.startswith("handstyle: ")] == said.splitlines()[-1:]
    assert LONG in said


@pytest.mark.parametrize(
    "more", [["-o", "."], ["--resume", "-o", "."], ["--checkpoint", "folder"], ["--checkpoint", "."]]
)
def test_a_folder_where_a_file_is_meant_is_one_line_before_the_work(more, commanded):
    status, said, errors = commanded("stylize", "c.png", "s.png", *FAST, *more)
    assert (status, said) == (2, "")
    assert f"{more[-1]} is a folder: name a" in errors


def test_a_disk_without_room_for_the_page_of_a_batch_is_said_after_its_pictures(commanded, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/index.html").mkdir()  # no file goes there
    status, said, _ = commanded("batch", "folder", "s.png", *FAST, "-o", "out")
    assert status == 1
    assert (tmp_path / "out/a.png").exists()
    assert "1 picture is in out; the page that shows them: out/index.html cannot be written: " in said
    assert "0 failed, 0 not begun" in said


def test_with_json_a_name_that_is_too_long_is_an_event(commanded):
    _, said, errors = commanded("stylize", "c.png", "s.png", *FAST, "--json", "--init", LONG)
    assert json.loads(said.splitlines()[-1]) == {
        "event": "error",
        "message": errors.splitlines()[-1].removeprefix("handstyle: "),
        "status": 2,
    }
