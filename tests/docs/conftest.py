"""What the tests of the book share: where it is, and a browser."""

import sys
from collections.abc import Iterator
from pathlib import Path

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
