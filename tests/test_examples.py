"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import re
import shlex
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from handstyle.cli import make_app
from handstyle.cli.signals import NAMES

ROOT = Path(__file__).parents[1]
SOURCES = [*sorted((ROOT / "handstyle").rglob("*.py")), *sorted((ROOT / "weights_tools").rglob("*.py"))]
LEFT_OUT = "handstyle.__main__"  # a program


def modules() -> list[str]:
    """Return the modules whose source has an example."""
    names = []
    for path in SOURCES:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(LEFT_OUT) and ">>> " in path.read_text(encoding="utf-8"):
            names.append(name)
    return names


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Restore the signal handlers, which the examples of the command line change."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in NAMES}
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the examples' temporary files, those of Dask's workers too, go with the test's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.parametrize("name", modules())
def test_examples_of(name: str) -> None:
    module = importlib.import_module(name)
    assert any(one.examples for one in doctest.DocTestFinder().find(module)), "no example was found by doctest"
    found = doctest.testmod(module)
    assert found.failed == 0, f"{found.failed} of {found.attempted} examples fail: see the captured output"


CONSOLE_LINES = [
    line for path in SOURCES for line in re.findall(r"^ +\$ handstyle (.*)$", path.read_text("utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("line", CONSOLE_LINES)
def test_a_console_line_has_the_flags_and_arguments_of_its_command(line: str) -> None:
    command, arguments, _ = make_app().parse_args(shlex.split(line), exit_on_error=False, print_error=False)
    assert callable(command), arguments
