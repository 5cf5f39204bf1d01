"""The commands as a person with a GPU has them, on a CuPy that only pretends."""

import re
import signal
import sys
from pathlib import Path

import pytest
from PIL import Image
from support import fake_cupy

import handstyle.cli
from handstyle.cli import main
from handstyle.painting.recipe import read_recipe

# `main` reads sys.argv, as it does for a person.
pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application invoked without tokens")


def town(side):
    """Return the demonstration's photograph, squashed to a square."""
    with Image.open(Path(handstyle.cli.__file__).parents[1] / "data" / "photograph.jpg") as picture:
        return picture.resize((side, side))


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Give what runs a command: its exit status, and what it said."""
    fake_cupy.pretend(monkeypatch)
    terminated = signal.getsignal(signal.SIGTERM)  # which `main` takes over
    town(96).save(tmp_path / "photograph.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["handstyle", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, " ".join((said.out + said.err).split())

    yield run
    signal.signal(signal.SIGTERM, terminated)


PAINT = "stylize", "photograph.png", "photograph.png", "-o", "out.png", "--size", "64", "--iterations", "3"


def test_the_network_is_shown_with_the_ways_of_its_precision(told):
    status, float32 = told("info", "--backend", "cupy")
    assert status == 0
    assert "kernels cuda: products by cuBLAS; first: conv1_1 forward, conv1_1 adjoint; winograd4: conv1_2" in float32
    for way in ("forward", "adjoint"):
        assert f"conv5_1 {way}" in float32
    status, tf32 = told("info", "--backend", "cupy", "--kernels", "cuda-tf32")
    assert status == 0
    assert "tensor" in tf32
    assert "tensor" not in float32


def test_a_plan_is_for_the_gpu_that_is_there(told):
    device, host = {}, {}
    for optimizer in ("lbfgsb", "lbfgs", "adam"):
        status, said = told("plan", "--size", "512", "--backend", "cupy", "--optimizer", optimizer)
        assert status == 0
        assert f"vgg19-slim, cuda, {optimizer}, MiB" in said
        peaks = re.search(
            r"peak memory: ([\d.]+) MiB of the GPU, ([\d.]+) MiB of the host; 24,\d{3}.\d MiB are free", said
        )
        device[optimizer], host[optimizer] = map(float, peaks.groups())
        assert "largest square picture that fits: " in said
    assert device["lbfgsb"] < device["adam"] < device["lbfgs"]
    assert host["lbfgs"] == host["adam"] < host["lbfgsb"]


def test_it_paints_and_says_what_the_other_optimizer_would_save(told, tmp_path):
    status, said = told(*PAINT, "--backend", "cupy")
    assert status == 0
    assert "kernels cuda, cupy on no GPU at all" in said
    assert "--optimizer lbfgs avoids both" in said
    assert "launched as one graph" in read_recipe(tmp_path / "out.png").environment["engine"]
    status, said = told(*PAINT, "--backend", "cupy", "--optimizer", "lbfgs", "--overwrite")
    assert status == 0
    assert "avoids both" not in said


def test_what_does_not_fit_is_one_line_before_any_work(told, monkeypatch, tmp_path):
    monkeypatch.setattr(fake_cupy, "TOTAL", 60 << 20)
    town(512).save(tmp_path / "photograph.png")
    status, said = told(*PAINT[:-3], "512", "--backend", "cupy")
    assert status == 2
    assert "512 x 512 px need" in said
    assert "would fit" in said
    assert not (tmp_path / "out.png").exists()
