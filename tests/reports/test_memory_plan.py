"""Reports on ``handstyle plan``: it ran for a minute, took what is no number, and planned another run."""

import json
import re
import subprocess
import sys

import pytest
from PIL import Image

from handstyle.cli import app, bench, planning
from handstyle.foundations.errors import HandstyleError
from handstyle.optimize.objective import Objective
from handstyle.painting import trial

iteration = trial.seconds_of_iteration


@pytest.fixture(autouse=True)
def _untried(monkeypatch):
    monkeypatch.setattr(trial, "seconds_of_iteration", lambda run, size: 1e-6 * size[0] * size[1])


def plan(*words):
    return app(["plan", *words], result_action="return_value", exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--size", "1000000000"], "size=1000000000: must be 65536 or less"),
        (["--size", "-1"], "size=-1: must be 16 or more"),
        (["--gpu-memory", "nan"], "--gpu-memory nan"),
        (["--gpu-memory", "-3"], "--gpu-memory -3"),
        (["--styles", "0"], "--styles 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_planned_is_refused_at_once(words, told, monkeypatch):
    monkeypatch.setattr(planning, "_planned_run", lambda *_: pytest.fail("it was planned"))
    with pytest.raises(HandstyleError, match=re.escape(told)):
        plan(*words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--mask", "nosuch.png"], "nosuch.png does not exist"),
        (["--style-mask", "nosuch.png"], "nosuch.png does not exist"),
        (["--init", "nosuch.png"], "init='nosuch.png': use content"),
        (["--resume", "auto"], "no unfinished run"),
        (["--style-size", "40"], "all of them at the border"),
        (["--style-statistic", "patches", "--style-layers", "relu3_1", "--cluster", "local:1"], "--cluster"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_stylize_refuses_is_not_planned(words, told, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wide, _, small = pictures
    monkeypatch.setattr(planning, "run_time", lambda *_: pytest.fail("it was planned"))
    with pytest.raises(HandstyleError, match=re.escape(told)):
        plan(wide, small, "--size", "64", "--weights", "random", "--backend", "numpy", *words)


def test_a_plan_is_an_event_for_programs(pictures, commanded):
    wide, _, small = pictures
    words = (wide, small, "--size", "64", "--weights", "random", "--backend", "numpy", "--style-layers", "relu1_1")
    _, said, _ = commanded("plan", *words, "--json")
    (event,) = [json.loads(line) for line in said.splitlines()]
    assert (event["event"], event["fits"]) == ("plan", True)
    assert [(one["width"], one["height"]) for one in event["scales"]] == [(64, 32)]
    assert event["scales"][0]["bytes"] > 0
    assert commanded("plan", *words, "--quiet")[1] == ""
    settings = commanded("plan", *words, "--write-config")[1]
    assert settings == commanded("stylize", *words, "--write-config")[1]


def peak(capsys, *words):
    assert plan("--backend", "numpy", *words) == 0
    printed = capsys.readouterr().out
    return float(re.search(r"peak memory: ([\d,.]+) MiB", printed)[1].replace(",", "")), printed


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / name for name in ("wide.png", "tall.png", "small.png")]
    for path, size in zip(paths, ((320, 160), (80, 240), (64, 64)), strict=True):
        Image.new("RGB", size, "olive").save(path)
    return list(map(str, paths))


def test_a_plan_was_of_square_pictures_and_not_of_the_command(pictures, capsys):
    wide, tall, small = pictures
    assert plan(wide, tall, "--size", "256", "--pyramid-min-size", "0", "--backend", "numpy") == 0
    assert "256x128" in capsys.readouterr().out
    assert plan(small, tall, "--size", "256", "--pyramid-min-size", "0", "--backend", "numpy") == 0
    assert "64x64" in capsys.readouterr().out  # it is painted no larger than it is
    one = peak(capsys, wide, tall, "--size", "320")[0]
    two = peak(capsys, wide, tall, small, "--size", "320", "--style-blend", "1", "1", "--blend", "losses")[0]
    assert two > one


def test_a_plan_refuses_what_stylize_refuses(pictures, tmp_path):
    wide, tall, small = pictures
    with pytest.raises(HandstyleError, match="give the paintings"):
        plan(wide)
    with pytest.raises(HandstyleError, match="style_blend"):
        plan(wide, tall, small, "--style-blend", "1")
    with pytest.raises(HandstyleError, match=r"wide\.png"):
        plan(wide, tall, "-o", wide)
    assert plan(wide, tall, "--size", "64", "--style-layers", "relu2_1", "-o", str(tmp_path / "new.png")) == 0
    assert not (tmp_path / "new.png").exists()


def test_every_run_was_planned_with_scipys_optimizer(capsys):
    taken = {name: peak(capsys, "--size", "96", "--optimizer", name)[0] for name in ("lbfgsb", "lbfgs", "adam")}
    assert taken["adam"] < taken["lbfgs"] < taken["lbfgsb"]
    fewer, _ = peak(capsys, "--size", "96", "--optimizer", "lbfgs", "--lbfgs-history", "3")
    assert fewer < taken["lbfgs"]


def test_every_scale_is_planned_and_a_fall_of_memory_explained(capsys):
    _, printed = peak(capsys, "--size", "320", "--pyramid-min-size", "160")
    assert re.search(r"160x160.*320x320", printed, re.DOTALL)
    assert "transformed kernels of the convolutions are kept" in printed
    _, printed = peak(capsys, "--size", "336", "--pyramid-min-size", "0")
    assert "are kept" not in printed


def test_the_time_was_counted_and_not_measured(capsys, monkeypatch):
    words = ("--size", "96", "--weights", "random", "--iterations", "400")
    printed = peak(capsys, *words)[1]
    assert "an iteration at 96 x 96 px takes 0.00922 s (tried here); 400 iterations: 4 s" in printed
    evaluated, genuine = [], Objective.__call__
    monkeypatch.setattr(trial, "seconds_of_iteration", iteration)
    monkeypatch.setattr(Objective, "__call__", lambda self, v: (evaluated.append(self.shape), genuine(self, v))[1])
    printed = peak(capsys, *words)[1]
    assert "(tried here)" in printed
    assert len(evaluated) > 3
    assert set(evaluated) == {(96, 96, 3)}


def test_nothing_was_said_of_a_busy_machine(capsys, monkeypatch):
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    assert "the machine is busy (load 99.0" in peak(capsys, "--size", "48")[1]
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    assert "busy" not in peak(capsys, "--size", "48")[1]


PEAK = """
import gc, sys
from pathlib import Path
import numpy as np
import handstyle
import handstyle.kernels.cpu.engine, handstyle.kernels.cpu.forecast, h5py, PIL.Image, scipy.fft, scipy.optimize
from handstyle.foundations.picture_reading import read_picture
from handstyle.painting.memory import RunMemory

def account(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(key))

size, optimizer = int(sys.argv[1]), sys.argv[2]
pictures = list(np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8))
options = {"size": size, "optimizer": optimizer, "iterations": 13, "pyramid_min_size": 0}
handstyle.stylize
before = account("VmRSS")
network = handstyle.load_network()
photograph, painting = map(read_picture, pictures)
forecast = RunMemory.now(handstyle.StyleConfig(**options), network, photograph, [painting]).need().total
del photograph, painting
gc.collect()
Path("/proc/self/clear_refs").write_text("5")  # forget the peak of loading
handstyle.stylize(*pictures, network=network, **options)
print(forecast / (account("VmHWM") - before))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own account of the process")
@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs", "adam"])
@pytest.mark.parametrize("size", [64, 128])
def test_small_pictures_took_more_than_was_forecast(size, optimizer):
    done = subprocess.run([sys.executable, "-c", PEAK, str(size), optimizer], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < 1.1
