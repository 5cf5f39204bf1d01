"""Functions that a chapter's cells repeat, so that it runs without the checkout, are those that the tests hold."""

import ast
import re
import sys

import pytest
from chapters import CHAPTERS
from conftest_docs import DOCS, ROOT

sys.path.insert(0, str(DOCS / "_ext"))
quoting = pytest.importorskip("quoting", reason="Sphinx is not installed: pip install --group docs")

PAGES = [f"{chapter.page}.md" for chapter in CHAPTERS]


def functions(text: str) -> dict[str, str]:
    """Return the functions at the top of a module, as programs without their docstrings."""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {node.name: quoting.program(ast.unparse(node)) for node in found}


def held() -> dict[str, str]:
    """Return the bugs that the checker must reject and the solutions that grade themselves."""
    paths = [ROOT / "tests" / "mutants" / "catalogue.py", *sorted((DOCS / "solutions").glob("ch*.py"))]
    return {name: f for path in paths for name, f in functions(path.read_text(encoding="utf-8")).items()}


@pytest.mark.parametrize("page", PAGES)
def test_a_function_of_a_cell_that_has_the_name_of_a_held_one_is_that_one(page):
    cells = re.findall(r"```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    written, expected = {}, held()
    for _, cell in cells:
        written |= functions(cell)
    assert {name for name in set(written) & set(expected) if written[name] != expected[name]} == set()


@pytest.mark.parametrize(
    "page", sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("[a-z]*.md") if p.parent.name != "reference")
)
def test_a_cell_imports_nothing_of_the_checkout(page):
    cells = re.findall(r"```\{code-cell\}[^\n]*\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    cells = [cell for cell in cells if "remove-input" not in cell]  # a table of measurements, which no notebook has
    imports = re.findall(r"^\s*(?:from|import) (\w+)", "\n".join(cells), re.MULTILINE)
    assert set(imports) & {"solutions", "fig", "tests", "weights_tools", "benchmarks"} == set()


@pytest.mark.parametrize("page", PAGES)
def test_a_hint_stands_before_each_solution(page):
    text = (DOCS / page).read_text()
    assert len(re.findall(r":::\{dropdown\} Hint\n.+?\n:::\n\n:::\{solution", text)) == text.count("{exercise}")
