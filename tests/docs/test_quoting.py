"""Quoted code: shorter docstrings and lines, the same program."""

import ast
import sys

import pytest
from conftest_docs import DOCS, ROOT

sys.path.insert(0, str(DOCS / "_ext"))
quoting = pytest.importorskip("quoting", reason="Sphinx is not installed: pip install --group docs")
pytest.importorskip("ruff", reason="ruff is not installed: pip install --group docs")

LONG = '''\
def scale(x, factor=2.0, offset=0.0):  # (H, W, C), (), () -> (H, W, C)
    """Multiply every entry of the feature map by a factor, and add an offset to each of them.

    Parameters
    ----------
    x : array
    """
    scaled = [[entry * factor + offset for entry in row] for row in x]  # row by row, since x may be a list of lists
    return scaled
'''


def test_the_shapes_stand_above_the_function_and_the_rest_fits():
    lines = quoting.fit(quoting.shorten_docstrings(LONG), 60).splitlines()
    assert lines[0] == "# (H, W, C), (), () -> (H, W, C)"
    assert lines[1].startswith("def scale(")
    assert max(map(len, lines)) <= 60
    assert "Parameters" not in "\n".join(lines)
    assert "    # row by row, since x may be a list of lists" in lines


@pytest.mark.parametrize("columns", [quoting.NARROW, quoting.WIDE])
@pytest.mark.parametrize("module", ["network/sequence", "losses/style", "foundations/gradcheck", "optimize/trace"])
def test_every_function_quoted_stays_the_same_program(module, columns):
    source = (ROOT / "handstyle" / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            code = ast.get_source_segment(source, node)
            assert quoting.program(quoting.fit(quoting.shorten_docstrings(code), columns)) == quoting.program(code)


def test_a_quote_that_was_changed_stops_the_build(monkeypatch):
    monkeypatch.setattr(quoting, "formatted", lambda code, columns: code.replace("factor +", "factor -"))
    with pytest.raises(quoting.ExtensionError, match="was changed"):
        quoting.fit(LONG, 60)
