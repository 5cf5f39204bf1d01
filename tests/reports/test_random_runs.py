"""What held when many runs were tried, in small: the same pixels, flat memory, no torn file, no traceback."""

import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import handstyle
from handstyle.cli import main
from handstyle.cli.options import all_fields, flag
from handstyle.foundations.picture_writing import write_picture
from handstyle.painting.setting_values import literal_values

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(handstyle.__file__).parents[1]), "COLUMNS": "200"}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's own account of the process")


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("pictures")
    for name, seed in (("photo.png", 0), ("style.png", 1)):
        pixels = np.random.default_rng(seed).integers(0, 256, (72, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return [str(folder / "photo.png"), str(folder / "style.png")]


WITH_THREADS = """
import os, sys
from handstyle.foundations import backend
threads, core = sys.argv[1:3]
backend.cpu_count = lambda: int(threads)
if core:
    os.sched_setaffinity(0, {int(core)})
from handstyle.cli import main
from handstyle.kernels.cpu.threads import Team
assert Team().threads == int(threads)
main(sys.argv[3:])
"""


@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs", "adam"])
def test_repeated_runs_of_one_thread_four_and_one_core_have_the_same_pixels(optimizer, files, tmp_path) -> None:
    flags = ["--size", "72", "--iterations", "4", "--optimizer", optimizer, "--pyramid-min-size", "40"]
    core = str(min(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ""
    found = []
    for run, (threads, one) in enumerate([("1", ""), ("4", ""), ("4", core)]):
        out = tmp_path / f"{run}.png"
        words = [sys.executable, "-c", WITH_THREADS, threads, one, "stylize", *files, "-o", str(out), *flags]
        environment = ENVIRONMENT | {"OPENBLAS_NUM_THREADS": threads}
        subprocess.run(words, env=environment, capture_output=True, check=True)
        with Image.open(out) as image:
            found.append(np.asarray(image))
    for pixels in found[1:]:
        np.testing.assert_array_equal(pixels, found[0])


# Each of the two programs below has a process of its own: threads and sockets of other tests end while it runs.
ACCOUNT = """
import gc, json, os, sys
from pathlib import Path
import handstyle

def account():
    # The memory of this process in MiB, its threads and its descriptors.
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"]), len(os.listdir("/proc/self/fd"))

seen = []
files = sys.argv[1:]
"""
OVER_ITERATIONS = """
def note(progress):
    if progress.iteration in (60, 300):
        seen.append(account())

options = dict(size=72, iterations=300, pyramid_min_size=0, style_layers="relu1_1,relu2_1")
handstyle.stylize(*files, network="random", optimizer="adam", callback=note, **options)
"""
OVER_RUNS = """
for run in range(12):
    handstyle.stylize(*files, network="random", size=48, iterations=2, pyramid_min_size=0, style_layers="relu1_1")
    if run in (3, 11):
        seen.append(account())
"""


@LINUX
@pytest.mark.parametrize(("program", "growth"), [(OVER_ITERATIONS, 4), (OVER_RUNS, 6)], ids=["iterations", "runs"])
def test_memory_threads_and_descriptors_stay_flat(program, growth, files) -> None:
    words = [sys.executable, "-c", ACCOUNT + program + "print(json.dumps(seen))", *files]
    ran = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    (before, *held), (after, *still_held) = json.loads(ran.stdout)
    assert after < before + growth  # MiB; a leak of a picture an iteration would be 60
    assert still_held == held


def test_a_picture_that_is_read_while_it_is_written_is_whole(tmp_path) -> None:
    """Read the file again and again while it is replaced by pictures of one gray each."""
    path, ended, seen = tmp_path / "out.png", threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            with Image.open(path) as image:
                seen.append(np.unique(np.asarray(image)).tolist())

    write_picture(path, np.zeros((128, 128, 3)))
    reader = threading.Thread(target=read)
    reader.start()
    for gray in range(1, 60):
        write_picture(path, np.full((128, 128, 3), float(gray)), overwrite=True)
    ended.set()
    reader.join()
    assert len(seen) > 20
    assert all(len(grays) == 1 for grays in seen)
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


VALUES = [
    "0",
    "1",
    "-1",
    "3",
    "0.5",
    "1e30",
    "nan",
    "inf",
    "",
    "relu1_1",
    "relu9_9",
    "a",
    "0,1",
    "9" * 400,
    "[x]",
    "\udce9",
]
KEPT_AWAY = {"overwrite", "resume", "checkpoint", "config", "weights", "size", "iterations", "json", "quiet", "preview"}


@pytest.mark.parametrize("seed", range(40))
def test_a_random_command_line_is_a_picture_or_one_line(seed, files, tmp_path, monkeypatch, capsys) -> None:
    """Three flags with values at random: status 0 or 2, an error in one line, and never a traceback."""
    draw = random.Random(seed)
    monkeypatch.chdir(tmp_path)
    fields = [field for name, field in all_fields().items() if name not in KEPT_AWAY]
    words = ["stylize", *files, "--weights", "random", "--size", "32", "--iterations", "1", "--style-layers", "relu1_1"]
    for field in draw.sample(fields, 3):
        value = draw.choice([*VALUES, *literal_values(field.hint)])
        words += [flag(field.name)] if field.hint is bool else [flag(field.name), value]
    with pytest.raises(SystemExit) as ended:
        main(words)
    said = capsys.readouterr().err
    assert ended.value.code in (0, 1, 2), words
    assert "Traceback" not in said
    if ended.value.code == 2:
        assert len([line for line in said.splitlines() if line.startswith("handstyle:")]) == 1, (words, said)
