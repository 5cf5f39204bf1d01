"""The command line as a process: encodings, and what it loads."""

import os
import subprocess
import sys

import pytest


def run(*words, **environment):
    command = [sys.executable, "-m", "handstyle", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=120)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
@pytest.mark.parametrize("words", [["--help"], ["stylize", "--help-all"], ["info", "--preset", "gatys"]])
def test_a_terminal_that_is_not_utf8_gets_its_text(encoding, words):
    done = run(*words, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert done.stdout.decode(encoding)


def test_an_error_about_a_name_that_the_terminal_lacks_is_one_line():
    done = run("stylize", "写真.png", "絵.png", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert b"no such file" in done.stderr.lower() or b"?" in done.stderr
