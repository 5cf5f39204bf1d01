"""``{mutants}``: all mutants of ``tests/mutants`` as one table, its rows sortable by every column.

The rows are those of ``tests/mutants/table.py``, which a test holds against the checks; the code is the catalogue's,
the wrong lines those of ``wrong_lines.py``. Pictures and losses are what ``docs/fig/mutants_painted.py`` left when the
book was built.
"""

import ast
import html
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

from chapters import CHAPTERS
from docutils import nodes
from docutils.parsers.rst import Directive
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
PAINTED = DOCS / "_generated" / "fig" / "mutants"
SHOWN = 256  # pixels: the width of a picture on the page
HEADINGS = ("no.", "bug", "picture", "loss", "what is wrong", "seen by", "not seen by", "what it paints", "chapter")


class Row(NamedTuple):
    """A mutant as the page shows it; `page` is the chapter that quotes it, or empty; `wrong` are the lines to mark."""

    number: int
    name: str
    breaks: str
    code: str
    wrong: tuple[int, ...]
    rejected_by: tuple[str, ...]
    accepted_by: tuple[str, ...]
    picture: str
    page: str
    chapter: int
    function: str


def mutant_rows() -> list[Row]:
    """Return a row for each mutant, in the order of the table."""
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    from mutants.table import MUTANTS
    from mutants.wrong_lines import WRONG_LINES

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
                tuple(line_of(code[name], part) for part in WRONG_LINES[name]),
                mutant.rejected_by,
                mutant.accepted_by,
                mutant.picture,
                page,
                numbers.get(page, 99),
                name,
            )
        )
    return rows


def line_of(code: str, part: str) -> int:
    """Return the number of the line that holds `part`, the first line of the function being 1."""
    (number,) = [n for n, line in enumerate(code.splitlines(), 1) if part in line and n > 1]
    return number


def painted() -> dict[str, list[float]]:
    """Return by mutant what the genuine code says of its picture and of its own, where both were painted."""
    file = PAINTED / "values.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def table(up: str) -> str:
    """Return the table as HTML, for a page from which `up` leads to the root; its cells sort by ``data-key``.

    A page shows each row as a card, with ``data-label`` before a cell that does not explain itself.
    """
    losses = painted()

    def cell(text: str, key: object = "", label: str = "") -> str:
        given = [(name, value) for name, value in (("key", key), ("label", label)) if value != ""]
        attributes = "".join(f' data-{name}="{html.escape(str(value))}"' for name, value in given)
        return f"<td{attributes}>{text}</td>"

    def checks(names: tuple[str, ...], label: str) -> str:
        return cell(html.escape("; ".join(names)) or "—", len(names), label)

    def picture(row: Row) -> str:
        file = PAINTED / f"{row.function}.png"
        if not file.is_file():
            return cell("none: painting does not show it", 1)
        with Image.open(file) as image:
            size = f'width="{SHOWN}" height="{SHOWN * image.height // image.width}"'
        source = f"{up}_static/mutants/{file.name}"
        return cell(f'<img src="{source}" {size} loading="lazy" alt="painted with: {row.name}">', 0)

    def loss(row: Row) -> str:
        if row.function not in losses:
            return cell("—", 1e9, "loss")
        value, genuine = losses[row.function]
        return cell(f"{value:.2f}<br><small>genuine {genuine:.2f}</small>", value / genuine, "loss")

    lines = ['<div class="mutants"><table><thead><tr>']
    lines += [f'<th scope="col"><button type="button">{heading}</button></th>' for heading in HEADINGS]
    lines += ["</tr></thead><tbody>"]
    for row in mutant_rows():
        code = highlight(row.code, PythonLexer(), HtmlFormatter(nowrap=True, hl_lines=row.wrong))
        folded = (
            f"<details><summary>the whole function</summary><div class='highlight'><pre>{code}</pre></div></details>"
        )
        wrong = "\n".join(row.code.splitlines()[n - 1].strip() for n in row.wrong)
        wrong = highlight(wrong, PythonLexer(), HtmlFormatter(nowrap=True))
        marked = f"<div class='highlight wrong'><pre>{wrong}</pre></div>"
        link = f'<a href="{up}{row.page}.html">{row.chapter}</a>' if row.page else "—"
        lines += [
            f'<tr id="mutant-{row.number}">',
            cell(str(row.number), row.number, "no."),
            f'<th scope="row">{html.escape(row.name)}</th>',
            picture(row),
            loss(row),
            cell(f"{html.escape(row.breaks)}{marked}{folded}"),
            checks(row.rejected_by, "seen by"),
            checks(row.accepted_by, "not seen by"),
            cell(html.escape(row.picture), label="what it paints"),
            cell(link, row.chapter, "chapter"),
            "</tr>",
        ]
    lines += ["</tbody></table></div>", f'<script defer src="{up}_static/mutants.js"></script>']
    return "\n".join(lines)


class Mutants(Directive):
    """The table, where the directive stands."""

    def run(self):
        env = self.state.document.settings.env
        env.note_dependency(str(PAINTED / "values.json"))
        for name in ("catalogue", "table", "wrong_lines"):
            env.note_dependency(str(ROOT / "tests" / "mutants" / f"{name}.py"))
        here = env.docname
        return [nodes.raw("", table("../" * here.count("/")), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("mutants", Mutants)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
