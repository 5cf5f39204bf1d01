"""``{mutants}``: all mutants of ``tests/mutants`` as one table, its rows sortable by every column.

The rows are those of ``tests/mutants/table.py``, which a test holds against the checks; the code is the catalogue's.
"""

import ast
import html
import re
import sys
from pathlib import Path
from typing import NamedTuple

from chapters import CHAPTERS
from docutils import nodes
from docutils.parsers.rst import Directive
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
HEADINGS = ("no.", "bug", "what is wrong", "seen by", "not seen by", "what it paints", "chapter")


class Row(NamedTuple):
    """A mutant as the page shows it; `page` is the chapter that quotes it, or empty."""

    number: int
    name: str
    breaks: str
    code: str
    rejected_by: tuple[str, ...]
    accepted_by: tuple[str, ...]
    picture: str
    page: str
    chapter: int


def mutant_rows() -> list[Row]:
    """Return a row for each mutant, in the order of the table."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    from mutants.table import MUTANTS

    source = (ROOT / "tests" / "mutants" / "catalogue.py").read_text(encoding="utf-8")
    code = {node.name: ast.get_source_segment(source, node) for node in ast.parse(source).body if hasattr(node, "name")}
    pages = {chapter.page: (DOCS / f"{chapter.page}.md").read_text(encoding="utf-8") for chapter in CHAPTERS}
    numbers = {chapter.page: chapter.number for chapter in CHAPTERS}
    rows = []
    for number, mutant in enumerate(MUTANTS, 1):
        name = mutant.function.__name__
        quoted = [p for p, text in pages.items() if re.search(rf"catalogue\.py\n:pyobject: {name}\n", text)]
        page = quoted[-1] if quoted else ""  # a bug is quoted early to show a check, and late where it is at home
        rows.append(
            Row(
                number,
                mutant.name,
                mutant.breaks,
                code[name],
                mutant.rejected_by,
                mutant.accepted_by,
                mutant.picture,
                page,
                numbers.get(page, 99),
            )
        )
    return rows


def table(up: str) -> str:
    """Return the table as HTML, for a page from which `up` leads to the root; its cells sort by ``data-key``."""

    def cell(text: str, key: object = "") -> str:
        return f'<td data-key="{html.escape(str(key))}">{text}</td>' if key != "" else f"<td>{text}</td>"

    def checks(names: tuple[str, ...]) -> str:
        return cell(html.escape("; ".join(names)) or "—", len(names))

    lines = ['<div class="mutants full-width"><table><thead><tr>']
    lines += [f'<th scope="col"><button type="button">{heading}</button></th>' for heading in HEADINGS]
    lines += ["</tr></thead><tbody>"]
    for row in mutant_rows():
        code = highlight(row.code, PythonLexer(), HtmlFormatter(nowrap=True))
        folded = f"<details><summary>the code</summary><div class='highlight'><pre>{code}</pre></div></details>"
        link = f'<a href="{up}{row.page}.html">{row.chapter}</a>' if row.page else "—"
        lines += [
            f'<tr id="mutant-{row.number}">',
            cell(str(row.number), row.number),
            f'<th scope="row">{html.escape(row.name)}</th>',
            cell(f"{html.escape(row.breaks)}{folded}"),
            checks(row.rejected_by),
            checks(row.accepted_by),
            cell(html.escape(row.picture)),
            cell(link, row.chapter),
            "</tr>",
        ]
    lines += ["</tbody></table></div>", f'<script defer src="{up}_static/mutants.js"></script>']
    return "\n".join(lines)


class Mutants(Directive):
    """The table, where the directive stands."""

    def run(self):
        here = self.state.document.settings.env.docname
        return [nodes.raw("", table("../" * here.count("/")), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("mutants", Mutants)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
