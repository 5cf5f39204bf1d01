"""Reports on limits of memory: a limit of the address space or of a control group was not seen."""

import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from handstyle.foundations import free_memory

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits are read from Linux's own account")
LIMITED = """
import resource
from handstyle.foundations.free_memory import UNUSED_ADDRESSES, available_memory
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + UNUSED_ADDRESSES + (100 << 20),) * 2)
print(available_memory())
"""


@LINUX
def test_a_limit_of_the_address_space_was_not_seen():
    done = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert 90 << 20 < int(done.stdout) <= 100 << 20


@LINUX
@pytest.mark.parametrize("limit", [600, 800, 1000])
def test_a_run_under_prlimit_ended_in_tracebacks(limit, tmp_path):
    for name in ("content.png", "style.png"):
        noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / name)
    words = ["stylize", "content.png", "style.png", "-o", "out.png", "--size", "256", "--iterations", "1"]
    inside = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({limit}_000_000,) * 2)"
    code = f"{inside}; from handstyle.cli import main; main({words})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    if done.returncode == 0:
        assert (tmp_path / "out.png").exists()
        return
    assert done.returncode == 2
    last = [line for line in done.stderr.splitlines() if line.startswith("handstyle:")]
    assert len(last) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "would fit" in last[0]
    assert "--size 256 would fit" not in last[0]


@pytest.mark.parametrize(
    ("group", "files", "left"),
    [
        ("0::/\n", {"memory.max": "6000", "memory.current": "2000"}, 4000),
        ("0::/a/b\n", {"a/memory.max": "6000", "a/memory.current": "1000"}, 5000),  # of a group around it
        ("0::/a\n", {"a/memory.max": "max", "a/memory.current": "1000"}, 1 << 30),
        (
            "0::/\n",
            {"memory.max": "6000", "memory.current": "2000", "memory.stat": "anon 5\ninactive_file 500"},
            4500,
        ),
        (
            "4:cpu,memory:/job\n0::/\n",
            {"memory/job/memory.limit_in_bytes": "7000", "memory/job/memory.usage_in_bytes": "3000"},
            4000,
        ),
        ("4:memory:/not/here\n", {"memory/memory.limit_in_bytes": "7000", "memory/memory.usage_in_bytes": "0"}, 7000),
    ],
    ids=["v2", "around", "unlimited", "cached", "v1", "container"],
)
def test_a_limit_of_a_control_group_was_not_seen(group, files, left, monkeypatch, tmp_path):
    root = {"/proc/meminfo": "MemFree: 50 kB\nMemAvailable: 1048576 kB\n", "/proc/self/cgroup": group}
    root |= {f"/sys/fs/cgroup/{name}": text for name, text in files.items()}

    def moved(name):
        place = tmp_path / str(name).replace("/", "_")
        if str(name) in root:
            place.write_text(root[str(name)])
        return place

    monkeypatch.setattr(free_memory, "Path", moved)
    monkeypatch.setattr(free_memory, "open", lambda name, **options: moved(name).open(**options), raising=False)
    assert free_memory.available_memory() == left


def test_a_system_that_does_not_say_what_is_free_forecasts_and_paints(tmp_path, monkeypatch, commanded):
    monkeypatch.delattr(free_memory.os, "sysconf")  # as on Windows
    assert free_memory.available_memory() == math.inf
    pictures = [tmp_path / name for name in ("photograph.png", "painting.png")]
    for picture in pictures:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(picture)
    small = ["--size", "64", "--iterations", "1", "--style-layers", "relu1_1", "--content-layers", "relu1_1"]
    for number, more in enumerate(([], ["--tile", "32"])):
        status, said, _ = commanded("plan", *pictures, *small, *more)
        assert status == 0
        assert "how much is free is not known on this system" in said
        assert "largest" not in said
        status, said, _ = commanded("stylize", *pictures, *small, *more, "-o", tmp_path / f"out{number}.png")
        assert status == 0
        assert "all 1 iterations done" in said
