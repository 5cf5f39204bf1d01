"""Write the chapters as Jupyter notebooks: ``python docs/notebooks.py OUT [PAGE ...]``.

A chapter is a text notebook already. Its cells are taken as they are, and they run with the installed package
and matplotlib alone. What only Sphinx understands becomes plain Markdown: code that a page quotes is quoted here,
figures are named by their captions, exercises and solutions are headings, references are words.
"""

import ast
import json
import re
import sys
import textwrap
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BACKTICKS = re.compile(r"\{(doc|eq|numref|ref|cite:t|cite:p)\}`(?:([^`<]*?)\s*<)?([^`>]+)>?`")
BLOCK = re.compile(r"^(`{3,}|:{3,})\{([\w:-]+)\}[ \t]*([^\n]*)\n(.*?)^\1[ \t]*$", re.DOTALL | re.MULTILINE)


def cells_of(page: Path) -> list[tuple[str, str]]:
    """Return the cells of a page in order: pairs of ``code`` or ``markdown`` and the text."""
    text = re.sub(r"\A---\n.*?\n---\n", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found, at = [], 0
    for match in re.finditer(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        found.append(("markdown", text[at : match.start()]))
        if "remove-input" in match[1]:  # it prints measurements of the checkout's benchmarks
            found.append(("markdown", "*In the book a table of measurements stands here.*"))
        else:
            found.append(("code", match[2].rstrip("\n")))
        at = match.end()
    found.append(("markdown", text[at:]))
    plain = [(kind, plain_markdown(part, page) if kind == "markdown" else part) for kind, part in found]
    return [(kind, part) for kind, part in plain if part.strip()]


def plain_markdown(text: str, page: Path) -> str:
    """Return MyST Markdown without what only Sphinx understands."""

    def block(match: re.Match[str]) -> str:
        name, argument, body = match[2], match[3].strip(), match[4]
        options = dict(re.findall(r"^:([\w-]+):[ \t]*([^\n]*)$", body, re.MULTILINE))
        body = re.sub(r"\A(:[\w-]+:[^\n]*\n)+", "", body)
        if name == "math":
            label = f" \\tag{{{options['label']}}}" if "label" in options else ""
            return f"$$\n{body.strip()}{label}\n$$\n"
        if name == "literalinclude":
            return f"```python\n{quoted(page, argument, options.get('pyobject', ''))}\n```\n"
        if name == "drawn":
            return f"*Figure ({argument}): {plain_markdown(body, page).strip()}*\n"
        if name == "exercise":
            return f"### Exercise, {argument}\n\n{plain_markdown(body, page)}"
        if name == "solution-start":
            return "**A solution.**\n"
        if name in ("solution-end", "raw"):
            return ""
        if name == "dropdown":
            return f"*{argument}:* {plain_markdown(body, page)}"
        return plain_markdown(body, page)

    text = BLOCK.sub(block, text)
    text = re.sub(r"^<(noscript|script)\b.*$|^:{3,}[ \t]*$", "", text, flags=re.MULTILINE)
    text = BACKTICKS.sub(lambda m: f"({m[3]})" if m[1] == "eq" else (m[2] or m[3].strip("/")), text)
    for macro, plain in ((r"\R", r"\mathbb{R}"), (r"\T", r"^{\mathsf{T}}"), (r"\pad", r"\mathsf{pad}")):
        text = re.sub(re.escape(macro) + r"(?![a-zA-Z])", lambda _, plain=plain: plain, text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def quoted(page: Path, path: str, name: str) -> str:
    """Return the source of a function or class, or of the whole file where no name is given or it is no Python."""
    file = (page.parent / path).resolve() if not path.startswith("/") else DOCS / path[1:]
    source = file.read_text(encoding="utf-8")
    if not name or file.suffix != ".py":
        return source.strip()
    found: ast.AST = ast.parse(source)
    for part in name.split("."):
        found = next(node for node in ast.walk(found) if getattr(node, "name", None) == part)
    return textwrap.dedent(ast.get_source_segment(source, found, padded=True) or "")


# Macros of the book that take arguments; a notebook's MathJax learns them from the first cell.
MACROS = (
    r"$\newcommand{\norm}[1]{\lVert #1 \rVert} \newcommand{\abs}[1]{\lvert #1 \rvert}"
    r" \newcommand{\dotp}[2]{\langle #1,\, #2 \rangle} \newcommand{\shape}[2]{\underset{\scriptscriptstyle #2}{#1}}$"
)


def notebook(page: Path) -> dict[str, object]:
    """Return a page as a notebook of format 4.5."""
    cells: list[dict[str, object]] = []
    for n, (kind, text) in enumerate([("markdown", MACROS), *cells_of(page)]):
        cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{n}", "metadata": {}, "source": text}
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def write_all(out: Path, pages: list[str]) -> list[Path]:
    """Write notebooks of pages below ``docs/``, without their endings, into a folder; return the files."""
    written = []
    for page in pages:
        file = out / f"{page.replace('/', '_')}.ipynb"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(notebook(DOCS / f"{page}.md"), indent=1, ensure_ascii=False), encoding="utf-8")
        written.append(file)
    return written


if __name__ == "__main__":
    from chapters import CHAPTERS

    for path in write_all(Path(sys.argv[1]), sys.argv[2:] or [chapter.page for chapter in CHAPTERS]):
        print(path)
