"""What the book needs of Sphinx beyond its extensions.

- ``{drawn} name``: what ``fig/name.py`` drew (see `computing`), for a light page and for a dark one, with its caption,
  its alternative text and, folded, the script
- MathJax, copied from the package that carries it to the pages that use it.
- Each chapter as a notebook, with a link under its title.
- Chapters numbered through all parts; Sphinx begins again at 1 with each part.
- Pages generated from the package: the API reference, in the order of the chapters, and the command line's own help.
"""

import ast
import importlib.metadata
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import notebooks
from chapters import CHAPTERS, CONTINUED, PARTS
from computing import DRAFT, FIGURES
from docutils import nodes
from docutils.parsers.rst import Directive, directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.errors import ExtensionError

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
GENERATED = DOCS / "_generated"
LETTERS = 12  # pixels; nothing on a page is smaller


class Drawn(Directive):
    """A figure drawn by a script of ``docs/fig``; the content is its caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"alt": directives.unchanged_required}

    def run(self):
        name = self.arguments[0]
        if not (DOCS / "fig" / f"{name}.py").is_file():
            raise self.error(f"no script docs/fig/{name}.py draws this figure")
        if not self.options.get("alt"):
            raise self.error(f"figure {name} has no alternative text: give :alt:")
        lines = [
            f"````{{figure}} /_generated/fig/{name}.svg",
            f":name: fig-{name.replace('_', '-')}",
            f":alt: {self.options['alt']}",
            f":width: {readable_width(FIGURES / f'{name}.svg')}px",
            "",
            *self.content,
            "````",
            "",
            f":::{{dropdown}} The script that drew it: `docs/fig/{name}.py`",
            ":class-container: script",
            f"```{{literalinclude}} /fig/{name}.py",
            ":language: python",
            "```",
            ":::",
        ]
        found = self.parse_text(lines)
        for image in [image for node in found for image in node.findall(nodes.image)]:
            dark = image.deepcopy()
            dark["uri"] = image["uri"].replace(".svg", "-dark.svg")
            image["classes"] += ["for-light", "dark-light"]  # dark-light: the theme leaves it alone
            dark["classes"] += ["for-dark", "dark-light"]
            image.parent.insert(image.parent.index(image) + 1, dark)
        return found

    def parse_text(self, lines):
        holder = nodes.Element()
        source, _ = self.state_machine.get_source_and_line(self.lineno)
        self.state.nested_parse(StringList(lines, source=source), self.content_offset, holder)
        return holder.children


def letters(text: str) -> tuple[float, float]:
    """Return the width of a figure of Matplotlib's, an SVG, and the size of its smallest letters, in its own units.

    Letters are outlines there, at 100 times their size; what stands higher or lower in a formula is not counted.
    """
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])
    sizes = [100 * float(size) for size in re.findall(r"scale\(([\d.]+) -[\d.]+\)", text)]
    return width, min(sizes, default=width)


def readable_width(figure: Path) -> int:
    """Return the width in pixels at which a figure's smallest letters have 12; a narrower page scrolls it."""
    width, smallest = letters(figure.read_text(encoding="utf-8"))
    return math.ceil(LETTERS * width / smallest)


class Chapters(Directive):
    """The parts and their chapters; where one is not written yet, a line that says so, and what it will hold."""

    def run(self):
        lines, chapters = [], iter(CHAPTERS)
        for part, pages in PARTS.items():
            lines += [f"```{{rubric}} {part}", "```", ""]
            for chapter in [next(chapters) for _ in pages]:
                number = f"{chapter.number}. "
                lead = " " * len(number) if chapter.page in CONTINUED else number
                lines += [f"{lead}{{doc}}`{chapter.page}`", ""]
                text = (DOCS / f"{chapter.page}.md").read_text(encoding="utf-8")
                promise = re.search(r"will show (.+)$", text, re.MULTILINE)
                if "Not yet written" in text:
                    line = ["{.unwritten}", f"Not yet written. It will show {promise[1]}", ""]
                    lines += [" " * len(number) + text for text in line]
        holder = nodes.Element()
        source, _ = self.state_machine.get_source_and_line(self.lineno)
        self.state.nested_parse(StringList(lines, source=source), self.content_offset, holder)
        return holder.children


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    """Copy MathJax, one file with its glyphs inside, beside the pages."""
    if error is not None or app.builder.format != "html":
        return
    files = importlib.metadata.files("sphinx-mathjax-offline") or []
    source = next(f for f in files if f.match("static/mathjax/tex-svg.js"))
    target = Path(app.outdir) / "_static" / "mathjax" / "tex-svg.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(source.locate()), target)


def copy_drawn(app: Sphinx, error: Exception | None) -> None:
    """Copy what figures leave for interactive pages, the film's frames and the mutants' pictures, beside the pages."""
    if error is None and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        shutil.copyfile(FIGURES / "film_frames.js", static / "film_frames.js")
        shutil.copytree(FIGURES / "mutants", static / "mutants", dirs_exist_ok=True)


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Write each chapter as a notebook beside the pages."""
    if error is None and app.builder.format == "html":
        notebooks.write_all(Path(app.outdir) / "_notebooks", [chapter.page for chapter in CHAPTERS])


def offer_notebook(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Put a link to its notebook under the title of each chapter."""
    if doctree is not None and page in {chapter.page for chapter in CHAPTERS}:
        file = f"{'../' * page.count('/')}_notebooks/{page.replace('/', '_')}.ipynb"
        link = f'<p class="notebook"><a download href="{file}">Download this chapter as a notebook</a></p>'
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{link}", 1)


def plain_citations(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Take the roles off citations that docutils gives and ARIA 1.2 does not allow there."""
    if doctree is not None:
        roles = r' role="(?:doc-biblioentry|doc-backlink)"|(?<=<div) role="list"(?= class="citation-list")'
        context["body"] = re.sub(roles, "", context["body"])


def number_chapters_through(collector: TocTreeCollector, env: BuildEnvironment) -> list[str]:
    """Assign section numbers as Sphinx does, then make each chapter's first number the book's.

    Returns the pages whose numbers have changed: Sphinx compares its own with the book's, and would write all chapters.
    Where a title has changed it returns all pages, since each has all titles at its side.
    """
    before = env.toc_secnumbers
    _sphinx_numbers(collector, env)
    for chapter in CHAPTERS:
        if chapter.page not in env.toc_secnumbers:
            continue
        numbers = env.toc_secnumbers[chapter.page]
        for anchor, number in numbers.items():
            if number:
                numbers[anchor] = (chapter.number, *number[1:])
        for reference in env.tocs[chapter.page].findall(lambda node: "secnumber" in getattr(node, "attributes", {})):
            if reference["secnumber"]:
                reference["secnumber"] = [chapter.number, *reference["secnumber"][1:]]
        env.titles[chapter.page]["secnumber"] = [chapter.number]
    titles, known = {page: title.astext() for page, title in env.titles.items()}, getattr(env, "titles_known", None)
    env.titles_known = titles
    return [page for page in titles if titles != known or env.toc_secnumbers.get(page) != before.get(page)]


_sphinx_numbers = TocTreeCollector.assign_section_numbers


def write(path: Path, text: str) -> None:
    """Write only what changed, so that Sphinx rereads only that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def reference_pages(app: Sphinx) -> None:
    """Write a page a module, in the order of the chapters, and the index of them."""
    known = {module: chapter for chapter in CHAPTERS for module in chapter.modules}
    files = [p for p in (ROOT / "handstyle").rglob("*.py") if p.name not in ("__init__.py", "__main__.py")]
    files = [p for p in files if p.parent.name != "judges"]  # functions without a name that a reader could call
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in files]
    parts = ["foundations", "network", "losses", "optimize", "kernels", "painting", "cli", "book"]

    def order(name: str) -> tuple[int, int, str]:
        part = name.split(".")[1]
        chapter = known.get(name)
        return (parts.index(part) if part in parts else len(parts), chapter.number if chapter else 99, name)

    toctree = []
    for name in sorted(names, key=order):
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        public = public_names(path)
        lines = [f".. py:currentmodule:: {name}", "", name, "=" * len(name), ""]
        if name in known:
            chapter = known[name]
            lines += [f"Explained in chapter {chapter.number}, :doc:`/{chapter.page}`.", ""]
        lines += [f".. automodule:: {name}", "   :no-members:", ""]
        if public:
            lines += [".. autosummary::", "   :nosignatures:", "", *[f"   {p}" for p in public], ""]
        for public_name, kind in public.items():
            lines += [f".. auto{kind}:: {name}.{public_name}", "   :members:" if kind == "class" else "", ""]
        write(GENERATED / "api" / f"{name}.rst", "\n".join(lines))
        toctree.append(name)
    for stale in (GENERATED / "api").glob("handstyle*.rst"):
        if stale.stem not in toctree:
            stale.unlink()
    text = ["Modules", "=======", "", "In the order in which the book reads them.", ""]
    text += [".. toctree::", "   :maxdepth: 1", "", *[f"   {name}" for name in toctree], ""]
    write(GENERATED / "api" / "index.rst", "\n".join(text))


def public_names(path: Path) -> dict[str, str]:
    """Return the public functions and classes that a module defines, in its own order."""
    kinds = {ast.FunctionDef: "function", ast.ClassDef: "class"}
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {
        node.name: kinds[type(node)]
        for node in body
        if type(node) in kinds and not node.name.startswith("_") and ast.get_docstring(node)
    }


HELP = """
import json, sys
from contextlib import redirect_stdout, suppress
from io import StringIO
from handstyle.cli import main
said = []
for command in json.loads(sys.argv[1]):
    sys.argv = ["handstyle", *command, "--help"]
    with redirect_stdout(StringIO()) as out, suppress(SystemExit):
        main()
    said.append(out.getvalue())
json.dump(said, sys.stdout)
"""


def command_line_page(app: Sphinx) -> None:
    """Write what the program says of itself, command by command."""
    if DRAFT and (GENERATED / "command_line.md").is_file():
        return
    text = ["# The command line", "", "This page is the program's own help, asked when the book was built.", ""]
    environment = os.environ | {"COLUMNS": "86", "NO_COLOR": "1", "TERM": "dumb"}
    program = [sys.executable, "-c", HELP, json.dumps(commands())]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise ExtensionError(f"the program's help failed:\n{done.stderr}")
    for command, said in zip(commands(), json.loads(done.stdout), strict=True):
        title = " ".join(["handstyle", *command])
        if not said:
            raise ExtensionError(f"{title} --help says nothing:\n{done.stderr}")
        text += [f"## {title}", "", "```text", f"$ {title} --help", said.strip("\n"), "```", ""]
    write(GENERATED / "command_line.md", "\n".join(text))


def commands() -> list[tuple[str, ...]]:
    """Return every command of the program, the program itself first."""
    from handstyle.cli import app as program

    found: list[tuple[str, ...]] = [()]

    def walk(node, path: tuple[str, ...]) -> None:
        for name in node:
            if not name.startswith("-"):
                found.append((*path, name))
                walk(node[name], (*path, name))

    walk(program, ())
    return found


def plain_docstring(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Read docstrings as they are meant where reStructuredText would stumble.

    A ``|`` is an absolute value, not a substitution. A literal, a gap and an explanation are a term and its definition.
    Examples are code, and stay as they are.
    """
    read = []
    for line in lines:
        if re.match(r" *(>>>|\.\.\.) ", line):
            read.append(line)
            continue
        pieces = re.split(r"(``.*?``|`.*?`)", line)
        line = "".join(piece if n % 2 else piece.replace("|", "\\|") for n, piece in enumerate(pieces))
        term = re.match(r"(``\S+``)( {2,})(\S.*)", line)
        read += [term[1], " " * term.start(3) + term[3]] if term else [line]
    lines[:] = read


def plain_signature(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str, str | None] | None:
    """Shorten a signature to what a reader needs.

    A protocol is not called, so it has none. A default that has fields of its own is shown by its class, a type or a
    function by its name, and what is made anew for each object as three dots.
    """
    if signature is None:
        return None
    if what == "class" and getattr(obj, "_is_protocol", False):
        return "", returned
    signature = re.sub(r"<(?:class '|function )([\w.]+)'?>", r"\1", signature).replace("<factory>", "...")
    return re.sub(r"=([A-Za-z_]\w*)\((?:[^()]|\([^()]*\))+\)", r"=\1(...)", signature), returned


def setup(app: Sphinx) -> dict[str, bool]:
    TocTreeCollector.assign_section_numbers = number_chapters_through
    app.add_directive("drawn", Drawn)
    app.add_directive("chapters", Chapters)
    for step in (reference_pages, command_line_page):
        app.connect("builder-inited", step, priority=100)
    app.connect("autodoc-process-docstring", plain_docstring)
    app.connect("autodoc-process-signature", plain_signature)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", copy_drawn)
    app.connect("build-finished", write_notebooks)
    app.connect("html-page-context", offer_notebook)
    app.connect("html-page-context", plain_citations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
