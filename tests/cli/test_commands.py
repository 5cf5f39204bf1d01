"""The command line, run as a user runs it: a process, its exit status, its one line."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from handstyle.cli.announcing import lbfgs_advice
from handstyle.cli.signals import defer_signals

pytestmark = pytest.mark.smoke


@pytest.fixture(autouse=True)
def interruptible():
    """Let Ctrl-C arrive: a script's background jobs have it ignored, and so have all that they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


FOUR = ["--style-layers", "relu1_1", "relu2_1", "relu3_1", "relu4_1"]  # what so small a painting reaches
FAST = ["--weights", "random", "--size", "32", "--backend", "numpy", *FOUR]


def run(*arguments, cwd, timeout=120):
    environment = {**os.environ, "COLUMNS": "160", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "handstyle", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.png"):
        Image.fromarray(rng.integers(0, 256, (40, 32, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


def test_stylize_paints_and_says_why_it_stopped(folder):
    done = run(
        *("stylize", "content.png", "style.png", "-o", "out.png", *FAST, "--iterations", "4", "--save-every", "2"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "stopped: all 4 iterations done" in done.stdout
    assert "not trained" in done.stdout
    assert size_of(folder / "out.png") == (26, 32)
    assert sorted(p.name for p in folder.glob("out_at*")) == ["out_at_iteration_2.png", "out_at_iteration_4.png"]


@pytest.mark.parametrize("name", ["out.png", "out.tif"])
def test_sixteen_bits_and_the_photographs_resolution_are_written(folder, name):
    with Image.open(folder / "content.png") as image:
        image.save(folder / "content.png", dpi=(300, 300))
    done = run(
        "stylize", "content.png", "style.png", "-o", name, *FAST, "--iterations", "1", "--bits", "16", cwd=folder
    )
    assert done.returncode == 0, done.stderr
    data = (folder / name).read_bytes()
    with Image.open(folder / name) as image:
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert "icc_profile" in image.info
        assert data[24] == 16 if name == "out.png" else image.tag_v2[258] == (16, 16, 16)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.png", "style.png", "-o", "out.png"], "missing.png"),
        (["content.png", "style.png", "-o", "out.xyz"], "out.xyz"),
        (["content.png", "style.png", "-o", "out.jpg", "--bits", "16"], "16 bits"),
        (["content.png", "style.png", "-o", "out.png", "--bits", "12"], "--bits 12"),
        (["content.png", "style.png", "-o", "nowhere/out.png"], "nowhere"),
        (["content.png", "style.png", "-o", "content.png"], "exists"),
        (["content.png", "style.png", "-o", "out.png", "--tv-weight", "-1"], "--tv-weight"),
        (["content.png", "style.png", "-o", "out.png", "--style-layers", "relu7_1"], "relu7_1"),
        (["content.png", "style.png", "-o", "out.png", "--pooling", "median"], "median"),
        (["content.png", "style.png", "-o", "out.png", "--size", "4"], "--size"),
        (["content.png", "style.png", "-o", "out.png", "--no-such-flag"], "no-such-flag"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(folder, arguments, words):
    before = sorted(folder.iterdir())
    done = run("stylize", *arguments, *(FAST if "--size" not in arguments else FAST[:2]), cwd=folder)
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1
    assert words in lines[0]
    assert sorted(folder.iterdir()) == before


def test_a_transparent_photograph_is_not_painted_for_a_jpeg(folder):
    Image.new("RGBA", (40, 40), (200, 100, 50, 100)).save(folder / "clear.png")
    done = run("stylize", "clear.png", "style.png", "-o", "out.jpg", *FAST, cwd=folder)
    assert done.returncode == 2
    assert "transparency" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_interruption_keeps_the_best_picture_and_says_where(folder):
    command = [sys.executable, "-m", "handstyle", "stylize", "content.png", "style.png", "-o", "out.png", *FAST]
    process = subprocess.Popen(
        [*command, "--iterations", "100000", "--save-every", "3"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (folder / "out_at_iteration_3.png").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.search(r"stopped: interrupted after \d+ iterations", stdout)
    assert "the best picture so far is in out.png" in stdout
    assert size_of(folder / "out.png") == (26, 32)


def test_check_passes_on_a_right_network_and_prints_the_numbers(folder):
    done = run("check", "--quick", "--weights", "random", "--backend", "numpy", cwd=folder)
    assert done.returncode == 0, done.stdout
    assert "conv5_1" in done.stdout
    assert "projection" in done.stdout
    assert re.search(r"all \d+ checks passed", done.stdout)


def test_check_fails_on_a_wrong_one(monkeypatch, capsys):
    from handstyle.cli.checking import check
    from handstyle.cli.options import NetworkConfig
    from handstyle.network import sequence

    genuine = sequence.conv3x3_backward
    monkeypatch.setattr(sequence, "conv3x3_backward", lambda dy, cache: genuine(dy, cache)[::-1])
    network = NetworkConfig(weights="random", backend="numpy", kernels="reference")
    assert check(quick=True, size=16, network=network) == 1
    assert "FAILED" in capsys.readouterr().out


def test_info_is_the_network_as_the_papers_table_has_it(folder):
    done = run("info", "--weights", "random", "--size", "512", cwd=folder)
    assert done.returncode == 0
    assert re.search(r"conv5_1.*32 x 32 x 128.*156 px", done.stdout)


def test_plan_forecasts_and_bench_measures(folder):
    planned = run("plan", "--weights", "vgg19", "--size", "2048", "--backend", "numpy", cwd=folder)
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"an iteration at 2048 x 2048 px takes [\d.]+ s \(from \d+ x \d+ px, tried here\)", planned.stdout)
    assert re.search(r"largest square picture that fits: \d+ px", planned.stdout)
    measured = run("bench", "32", "--rounds", "1", "--weights", "random", cwd=folder)
    assert measured.returncode == 0, measured.stderr
    assert "reference, CPU" in measured.stdout


def test_demo_paints_what_it_draws(folder):
    done = run("demo", "--weights", "random", "--size", "48", "--iterations", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (folder / "demo").iterdir()) == ["content.png", "painted.png", "style.png"]


@pytest.mark.weights
def test_the_main_job_on_real_weights(folder, test_data):
    weights = test_data / "weights" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    done = run(
        *("stylize", test_data / "images" / "tubingen.jpg", test_data / "images" / "starry_night.jpg", "-o", "out.png"),
        *("--weights", weights, "--size", "96", "--iterations", "12"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert size_of(folder / "out.png") == (96, 72)


def test_what_another_optimizer_would_save_is_said_in_seconds_and_bytes():
    said = lbfgs_advice(3 * 512 * 512, 4)
    assert "an iteration takes 0.1 s more, copies 6.0 MiB" in said
    assert "--optimizer lbfgs" in said


def test_an_interruption_that_a_finalizer_swallows_is_sent_again():
    class Finalised:
        def __del__(self):
            raise KeyboardInterrupt

    def work():
        Finalised()
        while time.monotonic() < began + 20:
            time.sleep(0.01)

    began = time.monotonic()
    with defer_signals() as requests, pytest.raises(KeyboardInterrupt):
        work()
    assert requests.numbers == [signal.SIGINT]
    assert time.monotonic() < began + 10
