"""Quoted code: shorter docstrings and lines, the same program."""

import ast
import re
import sys
from typing import Protocol

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
    return scaled, f"the entries of {x}, each multiplied by {factor + 0.0} and moved by the offset {offset}"
'''


def test_the_shapes_stand_above_the_function_and_the_rest_fits():
    lines = quoting.fit(quoting.shorten_docstrings(LONG), 60).splitlines()
    assert lines[0] == "# (H, W, C), (), () -> (H, W, C)"
    assert lines[1].startswith("def scale(")
    assert max(map(len, lines)) <= 60
    assert "Parameters" not in "\n".join(lines)
    assert "    # row by row, since x may be a list of lists" in lines
    assert '        f"the entries of {x}, each multiplied by "' in lines  # and not within {factor + 0.0}


@pytest.mark.parametrize("columns", [quoting.NARROW, quoting.WIDE])
@pytest.mark.parametrize("module", ["network/sequence", "losses/gram", "foundations/gradcheck", "optimize/trace"])
def test_every_function_quoted_stays_the_same_program(module, columns):
    source = (ROOT / "handstyle" / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            code = ast.get_source_segment(source, node)
            assert quoting.program(quoting.fit(quoting.shorten_docstrings(code), columns)) == quoting.program(code)


EXPLODED = """\
def call(
    first: int,
    second: float = 2.0,
    *,
    third: str = "three",
    fourth: tuple[int, ...] = (1, 2),
    fifth: None = None,
    sixth: bool = True,
) -> Report:
    table = {
        "a": 1,
        "b": 2,
    }
    return Report(
        max(
            first,
            second,
        ),
        third,  # said of this one
        table,
    )
"""


def test_arguments_share_lines_as_words_do():
    assert quoting.fit(EXPLODED, 60).splitlines() == [
        "def call(",
        "    first: int, second: float = 2.0, *,",
        '    third: str = "three", fourth: tuple[int, ...] = (1, 2),',
        "    fifth: None = None, sixth: bool = True",
        ") -> Report:",
        "    table = {",
        '        "a": 1,',
        '        "b": 2,',
        "    }",
        "    return Report(",
        "        max(first, second),",
        "        third,  # said of this one",
        "        table,",
        "    )",
    ]


def test_a_quote_that_was_changed_stops_the_build(monkeypatch):
    monkeypatch.setattr(quoting, "formatted", lambda code, columns: code.replace("factor +", "factor -"))
    with pytest.raises(quoting.ExtensionError, match="was changed"):
        quoting.fit(LONG, 60)


@pytest.mark.parametrize("columns", [quoting.NARROW, quoting.WIDE])
@pytest.mark.parametrize(
    "path", sorted((ROOT / "handstyle" / "kernels" / "cuda" / "src").glob("*.cu*")), ids=lambda p: p.name
)
def test_every_kernel_quoted_fits_and_stays_the_same_program(path, columns):
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"^[a-z_][^;=\n]*?(\w+)\([^;]*$", text, re.MULTILINE):
        first, last = quoting.kernel_lines(text, name)
        code = "\n".join(text.splitlines()[first - 1 : last])
        fitted = quoting.fit_kernel(code, columns)
        assert quoting.tokens(fitted) == quoting.tokens(code)
        widest = [line for line in fitted.splitlines() if '"' not in line]  # strings are left as they are
        assert columns == quoting.NARROW or max(map(len, widest)) <= columns
        assert code.splitlines()[-1] == "}"


def test_a_comment_too_long_is_filled_again_above_its_line():
    code = "    int a = f(b, c);  // the first of all, and the last of the others, whichever comes sooner\n"
    assert quoting.fit_kernel(code, 40).splitlines() == [
        "// the first of all, and the last of the",
        "// others, whichever comes sooner",
        "int a = f(b, c);",
    ]


def test_a_kernel_that_is_not_there_stops_the_build():
    with pytest.raises(quoting.ExtensionError, match="no function unpooled"):
        quoting.kernel_lines("void pooled(int a) {\n}\n", "unpooled")


def test_a_kernel_is_quoted_from_its_head_to_its_brace():
    text = "int above;\n\ntemplate <int M>\nvoid f(int a) {\n    a;\n}\n\nvoid g() {\n}\n"
    assert quoting.kernel_lines(text, "f") == (3, 6)
    assert quoting.kernel_lines(text, "g") == (8, 9)


def test_a_kernel_that_was_changed_stops_the_build(monkeypatch):
    code = "int a = f(b, c);  // the first of all, and the last of the others, whichever comes sooner\n"
    monkeypatch.setattr(quoting.textwrap, "wrap", lambda *_, **__: ["int more;"])
    with pytest.raises(quoting.ExtensionError, match="was changed"):
        quoting.fit_kernel(code, 40)


def test_examples_in_the_reference_are_shown_as_they_are():
    book = pytest.importorskip("book", reason="the extensions of the book are not installed: pip install --group docs")
    lines = ["Return |x|.", "", ">>> {1} | {2}", "{1, 2}", "", ">>> for x in (1 | 2,):", "...     x | 4"]
    book.plain_docstring(None, "function", "f", None, None, lines)
    assert lines == ["Return \\|x\\|.", "", ">>> {1} | {2}", "{1, 2}", "", ">>> for x in (1 | 2,):", "...     x | 4"]


def test_signatures_in_the_reference_say_what_a_reader_needs():
    book = pytest.importorskip("book", reason="the extensions of the book are not installed: pip install --group docs")

    def shown(signature, obj=None, what="function"):
        return book.plain_signature(None, what, "f", obj, None, signature, None)

    class Called(Protocol):
        pass

    assert shown(None) is None
    assert shown("(*args, **kwargs)", Called, "class") == ("", None)
    assert shown("(*args, **kwargs)", dict, "class") == ("(*args, **kwargs)", None)
    assert shown("(a, flags=Flags(b=(1, 2), c=None), d=(0, 0))") == ("(a, flags=Flags(...), d=(0, 0))", None)
    assert shown("(dtype=<class 'numpy.float32'>, add=<function add_lists>)") == (
        "(dtype=numpy.float32, add=add_lists)",
        None,
    )
    assert shown("(kept=<factory>)") == ("(kept=...)", None)
