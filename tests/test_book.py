"""``python -m handstyle.book``: what a reader sees who has installed the package and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke

WEIGHTS = """
import numpy as np
def weight_gradient(dy, x):
    H, W, _ = dy.shape
    xpad = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dw = np.zeros((3, 3, x.shape[2], dy.shape[2]))
    for i, j in np.ndindex(3, 3):
        dw[{index}] = np.einsum("rsc,rsk->ck", xpad[i:i+H, j:j+W], dy)
    return dw
"""
# Three answers that look right, by name: each was once accepted.
EUCLID = """
import numpy as np
def stops_at_once(value, gradient, gtol=1e-5):
    return bool(np.linalg.norm(gradient) <= gtol)
"""
NO_TUPLES = """
from handstyle.network.sequence import Convolution
def cache_bytes(layers, caches):
    pairs = zip(layers, caches, strict=False)
    return {l.name: 0 if isinstance(l, Convolution) else getattr(c, "nbytes", 0) for l, c in pairs}
"""
ONE_SWEEP = """
from handstyle.network.sequence import sequence_backward
def one_sweep_a_tap(layers, dfeatures, caches):
    return sequence_backward(layers, dfeatures, caches)
"""


def asked(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "handstyle.book", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def graded(folder: Path, what: str, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "mymodule.py").write_text(text, encoding="utf-8")
    return asked(folder, "grade", what, "mymodule.py")


def test_the_list_has_chapters_and_exercises(tmp_path: Path) -> None:
    done = asked(tmp_path, "list")
    assert done.returncode == 0, done.stderr
    assert "6. Convolution and its adjoint" in done.stdout
    assert "ch06-strided" in done.stdout
    assert asked(tmp_path, "list", "6").stdout.count("\n") == 3


def test_a_right_answer_has_two_lines_and_a_number(tmp_path: Path) -> None:
    done = graded(tmp_path, "ch06-weights", WEIGHTS.format(index="i, j"))
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, last = done.stdout.splitlines()
    assert first.startswith("right      ch06-weights: error ")
    assert "comparisons" in second
    assert last == "1 of 1 right"


def test_a_wrong_answer_is_told_what_it_resembles(tmp_path: Path) -> None:
    done = graded(tmp_path, "ch06-weights", WEIGHTS.format(index="j, i"))
    assert done.returncode == 1
    first, second, _ = done.stdout.splitlines()
    assert first.startswith("wrong      ch06-weights: error 0.8")
    assert "resembles “rows and columns exchanged”" in second


def test_one_function_of_a_chapter_is_not_the_chapter(tmp_path: Path) -> None:
    done = graded(tmp_path, "6", WEIGHTS.format(index="i, j"))
    assert done.returncode == 1
    assert "no answer  ch06-strided: every second pixel" in done.stdout
    assert done.stdout.endswith("1 of 2 right\n")


@pytest.mark.parametrize(
    ("what", "text", "named"),
    [
        ("ch17-stop", EUCLID, "the Euclidean norm"),
        ("ch09-terms", NO_TUPLES, "tuples skipped"),
        ("ch09-one-each", ONE_SWEEP, "one sweep"),
    ],
)
def test_an_answer_that_only_looks_right_is_rejected(tmp_path: Path, what: str, text: str, named: str) -> None:
    done = graded(tmp_path, what, text)
    assert done.returncode == 1
    assert f"resembles “{named}”" in done.stdout


def test_an_empty_file_fails(tmp_path: Path) -> None:
    done = graded(tmp_path, "6", "")
    assert done.returncode == 1
    assert done.stdout.endswith("0 of 2 right\n")


def test_an_error_of_the_readers_is_a_line_with_its_line(tmp_path: Path) -> None:
    done = graded(tmp_path, "ch06-weights", "def weight_gradient(dy, x):\n    return dy @ x\n")
    assert done.returncode == 1
    assert "ValueError: " in done.stdout
    assert "(line 2)" in done.stdout
    assert done.stdout.count("\n") == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("grade", "6", "nothing.py"), "nothing.py: no such file"),
        (("grade", "99", "mymodule.py"), "chapter 99 has no exercises to grade"),
        (("grade", "ch06-none", "mymodule.py"), "chapter 6 has ch06-strided, ch06-weights"),
        (("grade", "six", "mymodule.py"), "give a chapter's number"),
        (("list", "99"), "chapter 99 has no exercises to grade"),
        (("grade", "6", "broken.py"), "broken.py: SyntaxError: "),
    ],
)
def test_what_cannot_be_graded_is_said_in_a_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "mymodule.py").write_text("")
    (tmp_path / "broken.py").write_text("x = 1\ndef f(:\n")
    done = asked(tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
