"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# The CUDA engine needs a GPU; the command line is shown by its help and tested in tests/cli.
LEFT_OUT = ("handstyle.kernels.cuda", "handstyle.cli", "handstyle.__main__", "weights_tools.distill.__main__")


def modules() -> list[str]:
    """Return the modules whose source has an example."""
    names = []
    for path in [*sorted((ROOT / "handstyle").rglob("*.py")), *sorted((ROOT / "weights_tools").rglob("*.py"))]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(LEFT_OUT) and ">>> " in path.read_text(encoding="utf-8"):
            names.append(name)
    return names


@pytest.mark.parametrize("name", modules())
def test_examples_of(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0, "no example was found by doctest"
    assert found.failed == 0, f"{found.failed} of {found.attempted} examples fail: see the captured output"
