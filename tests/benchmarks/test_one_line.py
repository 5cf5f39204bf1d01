"""Benchmarks that lack what they need end in one line, and help is had without a measurement."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the benchmarks are not in this tree")


def ended(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr.strip().splitlines()[-1:]


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_a_benchmark_of_the_gpu_without_cupy_is_one_line(tmp_path):
    status, _, (said,) = ended("benchmarks/gpu/run.py", "--out", str(tmp_path / "gpu.json"))
    assert status == 2
    assert "CuPy is not installed" in said
    assert "--rehearse needs no GPU" in said


@pytest.mark.skipif(importlib.util.find_spec("ncnn") is not None, reason="ncnn is installed")
def test_layers_without_ncnn_are_one_line():
    status, _, (said,) = ended("-m", "benchmarks.peers.layers")
    assert status == 2
    assert "pip install ncnn torch" in said


def test_help_of_the_choices_measures_nothing():
    status, said, _ = ended("-m", "benchmarks.gradient_error", "--help")
    assert status == 0
    assert "error of a float32 gradient" in said
    assert "tiles" not in said
