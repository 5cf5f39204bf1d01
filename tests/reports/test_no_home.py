"""A user without a home folder, as in a container with a foreign number: every command works, or ends in one line."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="users of Unix")

HOMELESS = """
import os, pwd, sys
for name in ("HOME", "HANDSTYLE_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
def nobody(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = nobody
from handstyle.cli import main
main(sys.argv[1:])
"""
FAST = ["--weights", "random", "--backend", "numpy", "--style-layers", "relu1_1", "--content-layers", "relu1_1"]
FAST += ["--pyramid-min-size", "0", "--size", "48", "--iterations", "1"]
BOTH = ["stylize", "c.png", "s.png"]


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["--help"], 0, "stylize"),
        ([*BOTH, *FAST], 0, "the picture is in c_painting.png"),
        ([*BOTH, *FAST[2:], "--weights", "vgg19"], 2, "vgg19 is not on this machine"),
        ([*BOTH, *FAST[2:]], 0, "the picture is in c_painting.png"),
        ([BOTH[0], "~/c.png", "s.png", *FAST], 2, "~/c.png does not exist"),
        ([*BOTH, *FAST, "-o", "~/out.png"], 2, "the output ~/out.png: there is no folder ~"),
        ([*BOTH, *FAST, "--mask", "~/m.png"], 2, "~/m.png does not exist"),
        ([*BOTH, *FAST, "--config", "~/run.toml"], 2, "~/run.toml"),
        ([*BOTH, *FAST, "--optimizer", "adam", "--resume", "~/run"], 2, "~/run"),
        (["demo", "--size", "48", "--iterations", "1", "--weights", "random"], 0, "the picture is in demo"),
        (["plan", "--size", "64", "--weights", "vgg19"], 0, "the forecast uses the shapes"),
        (["info"], 0, "parameters"),
        (["bench", "32", "--rounds", "1", "--plot", "~/plot.png"], 2, "the folder ~ does not exist"),
        (["weights", "add", "none.h5", "--as", "vgg19"], 2, "none.h5"),
        (["weights", "card", "--sheet", "~/sheet.png"], 2, "the output ~/sheet.png: there is no folder ~"),
    ],
)
def test_without_a_home_folder(words, status, expected, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("c.png", "s.png"):
        Image.fromarray(rng.integers(0, 256, (48, 48, 3), np.uint8)).save(tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, *words],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
        env=dict(os.environ),
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    assert done.returncode == status, said
    assert expected in said, said
