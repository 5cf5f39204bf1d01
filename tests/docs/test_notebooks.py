"""Each chapter as a notebook: the page's own cells, Markdown without Sphinx, and nothing needed of the checkout."""

import os
import re
import subprocess
import sys

import notebooks
import pytest
from chapters import CHAPTERS
from conftest_docs import DOCS, ROOT

PAGES = [chapter.page for chapter in CHAPTERS]


@pytest.mark.parametrize("page", PAGES)
def test_a_notebook_has_the_cells_of_its_page(page):
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    made = notebooks.notebook(DOCS / f"{page}.md")["cells"]
    code = [cell["source"] for cell in made if cell["cell_type"] == "code"]
    tables = len(re.findall(r"^:tags: \[remove-input\b", text, re.MULTILINE))  # of the checkout's measurements
    assert len(code) == len(re.findall(r"^```\{code-cell\}", text, re.MULTILINE)) - tables
    for source in code:
        assert source in text
    words = "\n".join(cell["source"] for cell in made if cell["cell_type"] == "markdown")
    assert re.findall(r"\{(?:doc|eq|cite:t|cite:p|numref|ref)\}`|^:::|^```\{", words, re.MULTILINE) == []
    assert re.search(r"^# .", words, re.MULTILINE)


def test_quoted_code_is_the_packages():
    made = notebooks.notebook(DOCS / "network" / "convolution.md")["cells"]
    words = "\n".join(cell["source"] for cell in made)
    assert "dxpad[i : i + H, j : j + W] += dy @ w[i, j].T" in words
    assert "\\tag{conv-backward}" in words


@pytest.mark.slow
@pytest.mark.parametrize("page", ["network/convolution", "painting/color"])
def test_a_notebook_runs_top_to_bottom_with_the_package_alone(page, tmp_path):
    cells = [c["source"] for c in notebooks.notebook(DOCS / f"{page}.md")["cells"] if c["cell_type"] == "code"]
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells), encoding="utf-8")
    (tmp_path / "handstyle").symlink_to(ROOT / "handstyle", target_is_directory=True)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
