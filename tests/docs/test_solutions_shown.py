"""The solution that a page shows is the one that is graded: the same in the page's cells and in its module."""

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
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
]


def in_the_cells(page, name):
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    trees = [ast.parse(re.sub(r"^(:.*|%.*)$", "", cell, flags=re.MULTILINE)) for cell in cells]
    kinds = ast.FunctionDef | ast.ClassDef
    return [node for tree in trees for node in tree.body if isinstance(node, kinds) and node.name == name]


def without_docstring(node):
    body = ast.Module(node.body[bool(ast.get_docstring(node)) :], [])
    return ast.dump(body), ast.dump(node.args) if isinstance(node, ast.FunctionDef) else ""


@pytest.mark.parametrize(("chapter", "solution"), SOLUTIONS, ids=[f"{c}-{node.name}" for c, node in SOLUTIONS])
def test_the_page_shows_the_solution_that_is_graded(chapter, solution):
    shown = in_the_cells(PAGES[chapter], solution.name)
    assert [without_docstring(node) for node in shown] in ([], [without_docstring(solution)])
