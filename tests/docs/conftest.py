"""What the tests of the book share: where it is, and whose solutions are graded."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
for folder in (ROOT, DOCS, Path(__file__).parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from browser import Browser  # noqa: E402 - beside this file


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Open a browser for the tests of a module."""
    with Browser() as opened:
        yield opened


class Graded:
    """The functions of a module; one that is not written yet skips its test instead of failing it."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, name: str) -> object:
        """Return the function, or skip."""
        if not hasattr(self.module, name):
            pytest.skip(f"{self.module.__name__} has no {name} yet")
        return getattr(self.module, name)


@pytest.fixture
def mine(request: pytest.FixtureRequest) -> Graded:
    """Return the functions to grade: the reader's with ``--handstyle-module``, else the book's own solutions."""
    name = request.config.getoption("--handstyle-module")
    if name:
        sys.path.insert(0, str(request.config.invocation_params.dir))
        return Graded(importlib.import_module(name))
    chapter = next(m.name for m in request.node.iter_markers() if re.fullmatch(r"ch\d\d", m.name))
    return Graded(importlib.import_module(f"solutions.{chapter}"))
