"""Code quoted from the package: never copied, as wide as there is room for, each line tied to its equation.

``literalinclude`` with ``:pyobject:`` quotes a function. Its docstring is cut to the first line, since the reference
page has the rest; what is said to the type checker is left out; ``# book: conv-slices`` becomes that equation's number;
lines too long for the page are broken as the formatter breaks them, but arguments share lines as words do. Names, calls
and their order are the file's own: a quote that does not parse to the same program stops the build.

``literalinclude`` with ``:kernel:`` quotes a function of a ``.cu`` or ``.cuh`` file. Only lines and spaces are changed.

``{pair}`` sets two quotes side by side, a forward function and its backward, where both have room at the size of code.
"""

import ast
import io
import re
import subprocess
import sys
import textwrap
import tokenize
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive, directives
from sphinx.application import Sphinx
from sphinx.directives.code import LiteralInclude
from sphinx.errors import ExtensionError

WIDE, NARROW = 86, 62  # columns: a quote that has the text's width, and one that shares the page with another
CITATION = re.compile(r"# book: ([a-z]+-[a-z-]+)")
EQUATION = re.compile(r"# \([0-9.]+\)")
TEXT_ALONE = re.compile(r"""(\s+)(f?)(["'])((?:(?!\3)[^\\])+)\3(,?)""")  # indent, f, quote, text, comma
TO_THE_CHECKER = re.compile(r"  # type: ignore\S*")


class Quoted(LiteralInclude):
    """``literalinclude`` as above; ``:docstring:`` keeps the whole docstring."""

    option_spec = LiteralInclude.option_spec | {"docstring": directives.flag, "kernel": directives.unchanged_required}

    def run(self):
        cuda = self.arguments[0].endswith((".cu", ".cuh"))
        if cuda:
            self.options["language"] = "cuda"
        if "kernel" in self.options:
            text = Path(self.env.relfn2path(self.arguments[0])[1]).read_text(encoding="utf-8")
            self.options["lines"] = "{}-{}".format(*kernel_lines(text, self.options["kernel"]))
        found = super().run()
        if cuda or "pyobject" in self.options:
            for block in (b for node in found for b in node.findall(nodes.literal_block)):
                block["columns"] = WIDE
                block["cuda"] = cuda
                block["whole"] = "docstring" in self.options
        return found


class Pair(Directive):
    """Two quotes side by side where the page is wide enough, one below the other where it is not."""

    has_content = True
    option_spec: ClassVar = {}

    def run(self):
        pair = nodes.container(classes=["pair", "full-width"])
        self.state.nested_parse(self.content, self.content_offset, pair)
        quotes = [b for b in pair.findall(nodes.literal_block) if "columns" in b]
        if len(quotes) != 2 or len(pair.children) != 2:
            raise self.error("a pair is two quotes, each a literalinclude with :pyobject: or :kernel:")
        for quote in quotes:
            quote["columns"] = NARROW
        return [pair]


def set_quotes(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Give each quote of a page its final text, now that the equations have their numbers."""

    def number(found: re.Match[str]) -> str:
        return f"# ({equation_number(app, found[1])})"

    for block in doctree.findall(nodes.literal_block):
        if block.get("cuda"):
            text = fit_kernel(block.astext(), block["columns"])
        elif "columns" in block:
            code = TO_THE_CHECKER.sub("", block.astext())
            shown = CITATION.sub(number, code if block["whole"] else shorten_docstrings(code))
            text = fit(shown, block["columns"])
        else:
            continue
        block.rawsource, block.children = text, []
        block += nodes.Text(text)


def equation_number(app: Sphinx, label: str) -> str:
    """Return an equation's number as the page shows it, chapter and count."""
    try:
        page, _ = app.env.domains["math"].equations[label]
        return ".".join(str(n) for n in app.env.toc_fignumbers[page]["displaymath"][f"equation-{label}"])
    except KeyError:
        raise ExtensionError(f"the code cites equation {label}, which no page has") from None


def shorten_docstrings(code: str) -> str:
    """Cut each docstring of `code` to its first line."""
    lines = code.splitlines()
    for node in reversed(documented(ast.parse(textwrap.dedent(code)))):
        first, last = node.body[0].lineno - 1, node.body[0].end_lineno
        if last - first > 1:
            lines[first:last] = [lines[first].rstrip() + '"""']
    return "\n".join(lines) + "\n"


def documented(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    """Return the functions and classes that have a docstring, in the order of their lines."""
    found = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(n)]
    return sorted(found, key=lambda node: node.lineno)


def fit(code: str, columns: int) -> str:
    """Return the same program in lines of at most `columns`, where they can be broken, its shapes above each `def`."""
    code = shapes_above(textwrap.dedent(code))
    text = code
    if max(map(len, code.splitlines())) > columns:
        text = fold_comments(formatted(fold_comments(code, columns), columns), columns)
        text = fold_strings(fold_docstrings(text, columns), columns)
    text = fill_arguments(text, columns)
    if program(text) != program(code):
        raise ExtensionError(f"a quote was changed by breaking its lines:\n{text}")
    return text


def shapes_above(code: str) -> str:
    """Move the comment in a function's signature, which gives its shapes, to a line above it."""
    lines = code.splitlines()
    comments = {
        t.start[0]: t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT
    }
    functions = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda node: -node.lineno):
        signature = range(node.lineno, max(node.lineno + 1, node.body[0].lineno))
        shapes = [comments[at] for at in signature if at in comments]
        for token in shapes:
            lines[token.start[0] - 1] = lines[token.start[0] - 1][: token.start[1]].rstrip()
        indent = " " * node.col_offset
        lines[node.lineno - 1 : node.lineno - 1] = [indent + token.string for token in shapes]
    return "\n".join(lines) + "\n"


def formatted(code: str, columns: int) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--isolated",
        f"--line-length={columns}",
        "--stdin-filename=q.py",
    ]
    return subprocess.run([*command, "-"], input=code, capture_output=True, text=True, check=True).stdout


def fold_comments(code: str, columns: int) -> str:
    """Put a comment that sticks out above its line, and fill again those that are too long."""
    lines = code.splitlines()
    comments = [t for t in tokenize.generate_tokens(io.StringIO(code).readline) if t.type == tokenize.COMMENT]
    paragraphs: list[list[tokenize.TokenInfo]] = []
    for token in comments:
        alone = not token.line[: token.start[1]].strip()
        last = paragraphs[-1][-1] if paragraphs and alone else None
        goes_on = last and last.start == (token.start[0] - 1, token.start[1]) and not EQUATION.match(token.string)
        paragraphs[-1:] = [[*paragraphs[-1], token]] if goes_on else [*paragraphs[-1:], [token]]
    for paragraph in reversed(paragraphs):
        first, end, column = paragraph[0].start[0] - 1, paragraph[-1].start[0], paragraph[0].start[1]
        if max(map(len, lines[first:end])) > columns:
            before = lines[first][:column].rstrip()
            indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
            words = " ".join(token.string[1:].strip() for token in paragraph)
            filled = [f"{indent}# {part}" for part in textwrap.wrap(words, columns - len(indent) - 2)]
            lines[first:end] = [*filled, before] if before else filled
    return "\n".join(lines) + "\n"


def fold_docstrings(code: str, columns: int) -> str:
    """Fill docstrings of one line that are too long."""
    lines = code.splitlines()
    for node in reversed(documented(ast.parse(code))):
        at = node.body[0].lineno - 1
        if len(lines[at]) > columns and node.body[0].end_lineno == at + 1:
            indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
            lines[at : at + 1] = textwrap.wrap(lines[at], columns, initial_indent="", subsequent_indent=indent)
    return "\n".join(lines) + "\n"


def fold_strings(code: str, columns: int) -> str:
    """Break a text that is too long, and has a line for itself, into several."""
    lines: list[str] = []
    for line in code.splitlines():
        while len(line) > columns and (parts := TEXT_ALONE.fullmatch(line)):
            indent, kind, quote, text, comma = parts.groups()
            whole = re.sub(r"{[^{}]*}", lambda field: "x" * len(field[0]), text)  # no break within a field
            at = whole.rfind(" ", 0, columns - len(indent + kind) - 2) + 1
            if not at or "{" in whole:
                break
            lines.append(f"{indent}{kind}{quote}{text[:at]}{quote}")
            line = f"{indent}{kind}{quote}{text[at:]}{quote}{comma}"
        lines.append(line)
    return "\n".join(lines) + "\n"


def fill_arguments(code: str, columns: int) -> str:
    """Set arguments of a call or a signature that stand one a line on as few lines as they need."""
    lines = code.splitlines()
    nodes_of = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call | ast.FunctionDef)]
    heads = {node.func.end_lineno if isinstance(node, ast.Call) else node.lineno for node in nodes_of}
    for at in sorted(heads, reverse=True):  # what is within another call comes first
        head = lines[at - 1]
        indent = " " * (len(head) - len(head.lstrip()) + 4)
        end = next((n for n in range(at, len(lines)) if not re.fullmatch(rf"{indent}[^\s#][^#]*,", lines[n])), at)
        if not head.endswith("(") or end == at or not lines[end].startswith(f"{indent[4:]})"):
            continue
        words = [line.strip() for line in lines[at:end]]
        words[-1] = words[-1][:-1]
        whole = head + " ".join(words) + lines[end].strip()
        filled = [indent + words[0]]
        for word in words[1:]:
            if len(filled[-1]) + 1 + len(word) <= columns:
                filled[-1] += f" {word}"
            else:
                filled.append(indent + word)
        lines[at - 1 : end + 1] = [whole] if len(whole) <= columns else [head, *filled, lines[end]]
    return "\n".join(lines) + "\n"


def kernel_lines(text: str, name: str) -> tuple[int, int]:
    """Return the first and the last line, counted from 1, of a function of a ``.cu`` file."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(rf"[A-Za-z_][^;=]*\b{name}\(", line)]
    if not starts:
        raise ExtensionError(f"no function {name} in the file that is quoted")
    first = starts[0] - lines[starts[0] - 1].startswith("template")
    return first + 1, lines.index("}", first) + 1


def fit_kernel(code: str, columns: int) -> str:
    """Return the same C++ in lines of at most `columns`: comments filled again, code broken behind commas or words."""
    lines, fitted = code.splitlines(), []
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip() and not line.startswith("#"))
    for line in (line if line.startswith("#") else line[margin:] for line in lines):
        statement, slashes, comment = line.partition("//")
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= columns:
            fitted.append(line)
            continue
        if slashes:
            first = f"{indent}// "
            fitted += textwrap.wrap(comment.strip(), columns, initial_indent=first, subsequent_indent=first)
        line = statement.rstrip()
        while len(line) > columns and '"' not in line.replace('"C"', ""):  # in a string a space is a space
            spaces = [m.end() for m in re.finditer(r"(?<=\S) ", line[: columns + 1])]
            breaks = [at for at in spaces if line[at - 2] in ",;&|" and at > columns // 2] or spaces
            if not breaks:
                break
            fitted.append(line[: breaks[-1]].rstrip())
            line = f"{indent}        {line[breaks[-1] :]}"
        if line.strip():
            fitted.append(line)
    text = "\n".join(fitted) + "\n"
    if tokens(text) != tokens(code):
        raise ExtensionError(f"a quote was changed by breaking its lines:\n{text}")
    return text


def tokens(code: str) -> str:
    """Return C++ without its comments and spaces."""
    return "".join(re.sub(r"//.*", "", code).split())


def program(code: str) -> str:
    """Return what the code means, its docstrings aside: two texts with the same tree are one program."""
    tree = ast.parse(code)
    for node in documented(tree):
        node.body = node.body[1:]
    return ast.dump(tree)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("literalinclude", Quoted, override=True)
    app.add_directive("pair", Pair)
    app.connect("doctree-resolved", set_quotes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
