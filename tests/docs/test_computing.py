"""What the book computes again: a program whose code, as far as it ran, or whose files have changed, and no other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest_docs import DOCS

sys.path.insert(0, str(DOCS / "_ext"))

import freshness

RAN = '''"""A module."""

from other import SCALE, unused

BASE = 3
LIMIT = BASE
ELSE = 4


class Shape:
    """A class."""

    sides = 4

    def area(self):
        """Return."""
        return LIMIT * SCALE  # a comment

    def name(self):
        return "shape"


def main():
    """Run."""
    def inner():
        return Shape().area()

    return inner()


def never():
    return 0
'''
FILES = {
    "figure.py": "import json\nimport ran\nfrom pathlib import Path\n"
    "json.loads(Path('data/a.json').read_text())\nlist(Path('data').glob('*'))\nprint(ran.main())\n",
    "ran.py": RAN,
    "other.py": "SCALE = 2\nOTHER = 3\n\n\ndef unused():\n    return 1\n",
    "apart.py": "X = 1\n",
    "data/a.json": "[1]",
}


@pytest.fixture
def figure(tmp_path):
    """Return a folder with a program, what it ran, and the digests of that."""
    root = tmp_path / "root"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    out = tmp_path / "record"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(DOCS / "_ext"), str(root)])}
    command = [sys.executable, "-m", "recorder", str(root), str(out), "figure"]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "6\n"
    *ran, seconds = out.read_text().splitlines()
    assert float(seconds.removesuffix(" s")) < 60
    return root, ran, now(root, ran)


def now(root: Path, ran: list[str]) -> dict[str, str]:
    freshness.module.cache_clear()
    return freshness.digests(root, ran)


def test_a_record_names_functions_that_ran_modules_and_files(figure):
    _, ran, _ = figure
    assert {"figure.py:", "ran.py:", "other.py:", "ran.py:main", "ran.py:Shape.area", "data/a.json", "data/"} == set(
        ran
    )


def test_modules_run_one_after_another_each_with_a_record_of_its_own(tmp_path):
    (tmp_path / "good.py").write_text("import sys\nimport other\nprint(sys.argv[1])\n")
    (tmp_path / "bad.py").write_text("1 / 0\n")
    (tmp_path / "other.py").write_text("")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(DOCS / "_ext"), str(tmp_path)])}
    asked = "".join(f'["{tmp_path}", "{tmp_path}/{name}.txt", "{name}", "word"]\n' for name in ("good", "bad", "good"))
    command = [sys.executable, "-m", "recorder"]
    done = subprocess.run(command, input=asked, env=environment, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0] == answers[2] == [0, "word\n"]
    assert answers[1][0] == 1
    assert answers[1][1].endswith("ZeroDivisionError: division by zero\n")
    assert (tmp_path / "good.txt").read_text().splitlines()[:2] == ["good.py:", "other.py:"]
    assert (tmp_path / "bad.txt").read_text().splitlines()[0] == "bad.py:"


CHANGES = {
    "a function that ran": ("ran.py", "LIMIT * SCALE", "LIMIT + SCALE"),
    "a function within one that ran": ("ran.py", "Shape().area()", "Shape().area() + 0"),
    "a constant that it says": ("ran.py", "LIMIT = BASE", "LIMIT = 4"),
    "a constant that a constant says": ("ran.py", "BASE = 3", "BASE = 4"),
    "a constant of another module": ("other.py", "SCALE = 2", "SCALE = 3"),
    "a field of a class": ("ran.py", "sides = 4", "sides = 5"),
    "where a name comes from": ("ran.py", "from other import SCALE, unused", "from apart import X as SCALE"),
    "a statement that defines no name": ("other.py", "OTHER = 3", "print(3)"),
    "a file that was read": ("data/a.json", "[1]", "[2]"),
    "the program itself": ("figure.py", "print(ran.main())", "print(2 * ran.main())"),
}
NO_CHANGES = {
    "a docstring": ("ran.py", '"""Run."""', '"""Run it."""'),
    "a docstring that is gone": ("ran.py", '    """Return."""\n', ""),
    "a comment": ("ran.py", "  # a comment", "\n\n        # longer"),
    "a function that did not run": ("ran.py", "return 0", "return 1"),
    "a method that did not run": ("ran.py", 'return "shape"', 'return "form"'),
    "a function more": ("ran.py", "def never", "def more():\n    return 5\n\n\ndef never"),
    "an import that only others use": ("ran.py", "SCALE, unused", "SCALE, unused, OTHER"),
    "a constant that nothing uses": ("ran.py", "ELSE = 4", "ELSE = 5"),
    "a module that was never imported": ("apart.py", "X = 1", "X = 2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_what_ran_is_seen(figure, what):
    root, ran, before = figure
    change(root, *CHANGES[what])
    after = now(root, ran)
    assert [file for file in after if after[file] != before[file]] == [CHANGES[what][0]]


@pytest.mark.parametrize("what", NO_CHANGES)
def test_a_change_of_anything_else_is_none(figure, what):
    root, ran, before = figure
    change(root, *NO_CHANGES[what])
    assert now(root, ran) == before


def change(root, file, old, new):
    text = (root / file).read_text()
    assert text.count(old) == 1
    (root / file).write_text(text.replace(old, new))


def test_a_file_more_in_a_folder_that_was_listed_is_seen_and_a_module_that_is_gone(figure):
    root, ran, before = figure
    (root / "data" / "b.json").write_text("")
    with_one_more = now(root, ran)
    assert [file for file in before if with_one_more[file] != before[file]] == ["data/"]
    (root / "other.py").unlink()
    assert "other.py" in [file for file, digest in now(root, ran).items() if digest != before[file]]


def test_cells_are_part_of_what_ran(figure):
    root, ran, _ = figure
    before = [freshness.digests(root, ran, cells) for cells in ("x = ELSE", "x = LIMIT")]
    change(root, *NO_CHANGES["a constant that nothing uses"])
    freshness.module.cache_clear()
    after = [freshness.digests(root, ran, cells) for cells in ("x = ELSE", "x = LIMIT")]
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]


@pytest.fixture(scope="module")
def computing():
    """Return the extension, which needs Sphinx; the tests above do not."""
    return pytest.importorskip("computing", reason="Sphinx is not installed: pip install --group docs")


@pytest.fixture
def kept(figure, tmp_path, monkeypatch, computing):
    """Return the folder of the program, and a task whose record is the program's."""
    root, ran, _ = figure
    record = tmp_path / "record.json"
    record.write_text(json.dumps({"digests": freshness.digests(root, ran, "cells, all"), "seconds": 1.0, "ran": ran}))
    monkeypatch.setattr(computing, "ROOT", root)
    return root, computing.Task("figure", record, "cells, ", True, lambda out: None)


def test_a_task_knows_the_file_for_which_it_is_computed_again(kept, computing):
    root, task = kept
    assert computing.changes(task, "all") == set()
    assert computing.changes(task, "all but one") == {""}
    assert computing.changes(task._replace(there=False), "all") == {""}
    change(root, *CHANGES["a function that ran"])
    freshness.module.cache_clear()
    assert computing.changes(task, "all") == {"ran.py"}


def test_a_change_is_shown_first_by_the_pages_that_explain_or_quote_it_and_their_figures(computing):
    about = computing.shown_by()
    gram = {name for name, files in about.items() if "handstyle/losses/gram.py" in files}
    assert {"losses/gram", "shuffle"} <= gram
    assert "painting/controls" not in gram
    assert {"", "docs/fig/scales.py"} <= about["scales"]
    assert "parts" in computing.drawn_on("```\n:img-top: _generated/fig/parts/0.jpg\n")  # the cards of the landing page
    assert {figure.name for figure in computing.figures()} <= set(about)


@pytest.fixture
def near_and_far(kept, tmp_path, monkeypatch, computing):
    """Return two tasks, of which only the first is about the change, what was computed, and what a record ends with."""
    root, task = kept
    computed, tasks, used = [], [], ["0.1 s"]

    def draw(name):
        def compute(out):
            computed.append(name)
            Path(out).write_text("figure.py:\nran.py:\nran.py:main\n" + used[-1] + "\n")

        return compute

    for name in ("near", "far"):
        record = tmp_path / f"{name}.json"
        record.write_text(task.kept.read_text())
        tasks.append(computing.Task(name, record, "cells, ", True, draw(name)))
    for name, value in {
        "LEFT_OVER": tmp_path / "left_over.txt",
        "REST": 0.5,
        "figures": lambda: tasks[:1],
        "pages": lambda app, lock: tasks[1:],
        "common": lambda: "all",
        "shown_by": lambda: {"near": {"", "ran.py"}, "far": {"", "other.py"}},
    }.items():
        monkeypatch.setattr(computing, name, value)
    change(root, *CHANGES["a function that ran"])
    for file in root.rglob("*.py"):
        os.utime(file, (0, 0))  # written before the build began
    return tasks, computed, used


def first_pass(monkeypatch, computing):
    monkeypatch.setattr(computing, "FIRST", True)
    freshness.module.cache_clear()
    app = SimpleNamespace(env=SimpleNamespace())
    computing.compute(app)
    return app.env


@pytest.mark.parametrize(("ends", "limit"), [("1 painted, 0 kept", 50.0), ("0 painted, 1 kept", 40.0), ("", 40.0)])
def test_the_rest_is_computed_at_once_if_it_is_soon_done_or_nothing_had_to_be_painted(
    near_and_far, monkeypatch, computing, ends, limit
):
    _, computed, used = near_and_far
    monkeypatch.setattr(computing, "seconds", lambda task: 45.0)
    used.append(f"0.1 s, {ends}")
    monkeypatch.setattr(computing, "REST", limit)
    assert first_pass(monkeypatch, computing).left_over == set()
    assert computed == ["near", "far"]
    assert not computing.LEFT_OVER.is_file()


def test_a_task_whose_runs_were_kept_is_still_known_to_be_long(near_and_far, monkeypatch, computing):
    tasks, _, used = near_and_far
    used.append("0.1 s, 0 painted, 1 kept")
    first_pass(monkeypatch, computing)
    assert [computing.seconds(task) for task in tasks] == [1.0, 1.0]


def test_a_task_that_painted_all_of_its_runs_takes_what_it_took(near_and_far, monkeypatch, computing):
    tasks, _, used = near_and_far
    used.append("0.1 s, 2 painted, 0 kept")
    first_pass(monkeypatch, computing)
    assert computing.seconds(tasks[0]) == 0.1


def test_what_has_much_to_paint_is_left_over_until_the_whole_book_is_asked_for(
    near_and_far, kept, monkeypatch, computing
):
    tasks, computed, used = near_and_far
    used.append("0.1 s, 1 painted, 0 kept")
    program, listed = kept[0] / "figure.py", computing.LEFT_OVER
    app = SimpleNamespace(env=SimpleNamespace())
    for first, expected, left in ((True, {"near"}, {"far"}), (False, {"far"}, set()), (True, set(), set())):
        monkeypatch.setattr(computing, "FIRST", first)
        freshness.module.cache_clear()
        computing.compute(app)
        assert (app.env.computed, app.env.left_over) == (expected, left)
        assert listed.is_file() == bool(left)
        if left:
            assert listed.read_text() == "1 ran what has changed (1 s of a core): far\n"
    assert computed == ["near", "far"]
    program.write_text("print(1)\n")  # of which neither is about: all of it is the rest
    monkeypatch.setattr(computing, "FIRST", True)
    monkeypatch.setattr(computing, "REST", -1.0)
    freshness.module.cache_clear()
    computing.compute(app)
    assert listed.read_text().endswith(": far, near\n")
    os.utime(program, (1 << 32, 1 << 32))  # as if it were written while the next build computes
    monkeypatch.setattr(computing, "FIRST", False)
    freshness.module.cache_clear()
    computing.compute(app)
    assert computing.changes(tasks[0], "all") == {"figure.py"}


def test_pages_that_show_what_is_left_over_are_named_beside_them(tmp_path, computing):
    (tmp_path / "_static").mkdir()
    for page, text in {
        "a": ":::{drawn} far\n",
        "b": "_generated/fig/far/0.jpg",
        "c": ":::{drawn} near\n",
        "far": "",
    }.items():
        (tmp_path / f"{page}.md").write_text(text)
    environment = SimpleNamespace(
        found_docs={"a", "b", "c", "far"}, left_over={"far"}, doc2path=lambda page: tmp_path / f"{page}.md"
    )
    app = SimpleNamespace(env=environment, outdir=tmp_path, builder=SimpleNamespace(format="html"))
    computing.mark_left_over(app, None)
    assert (tmp_path / "_static/left_over.js").read_text() == 'const leftOver = ["a", "b", "far"];\n'
