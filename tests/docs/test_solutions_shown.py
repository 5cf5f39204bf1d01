"""The solution that a page shows is the one that is graded: the same function in the page's cells and in its module."""

import ast
import re

import pytest
from chapters import CHAPTERS
from conftest_docs import DOCS

PAGES = {f"ch{c.number:02d}": (DOCS / f"{c.page}.md").read_text(encoding="utf-8") for c in CHAPTERS}
SOLUTIONS = [
    (path.stem, node)
    for path in sorted((DOCS / "solutions").glob("ch*.py"))
    for node in ast.parse(path.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
]


def in_the_cells(page, name):
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    trees = [ast.parse(re.sub(r"^(:.*|%.*)$", "", cell, flags=re.MULTILINE)) for cell in cells]
    return [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]


def without_docstring(function):
    return ast.dump(ast.Module(function.body[bool(ast.get_docstring(function)) :], [])), ast.dump(function.args)


@pytest.mark.parametrize(("chapter", "solution"), SOLUTIONS, ids=[f"{c}-{node.name}" for c, node in SOLUTIONS])
def test_the_page_shows_the_solution_that_is_graded(chapter, solution):
    shown = in_the_cells(PAGES[chapter], solution.name)
    assert [without_docstring(node) for node in shown] in ([], [without_docstring(solution)])
