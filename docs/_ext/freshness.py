"""Whether what a program ran and read, by the record of `recorder`, has changed since.

A function counts by its syntax tree, without docstrings and comments, if it ran. Of a module that was imported, an
import, an assignment or a definition counts if something that counts uses its name, and every other statement counts.
"""

import ast
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


class Piece(NamedTuple):
    """A statement of a module or a function: the names that it defines and uses, and its syntax tree as text."""

    defines: frozenset[str]  # none: it counts in any case
    uses: frozenset[str]
    text: str


class Module(NamedTuple):
    """The statements of a module, without what is in its functions, and its functions by name."""

    statements: list[Piece]
    functions: dict[str, Piece]


def names_used(tree: ast.AST) -> frozenset[str]:
    """Return the identifiers of a tree, and the texts in it that could be one."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found.add(node.value)
    return frozenset(found)


@cache
def module(file: Path) -> Module:
    """Take a module apart."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    found = Module([], {})
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:  # each on its own, so that one more is not a change of the others
                defined = (alias.asname or alias.name).split(".")[0]
                text = f"{getattr(node, 'level', '')} {getattr(node, 'module', '')} {alias.name} {alias.asname}"
                found.statements.append(Piece(frozenset({defined} - {"*"}), names_used(alias), text))
        else:
            take_functions(node, "", found.functions)
            found.statements.append(Piece(names_defined(node), names_used(node), ast.dump(node)))
    return found


def take_functions(node: ast.stmt, prefix: str, found: dict[str, Piece]) -> None:
    """Move the bodies of a definition's functions from its tree to `found`."""
    if isinstance(node, FUNCTIONS):
        found[prefix + node.name] = Piece(frozenset(), names_used(node), ast.dump(node))
        node.body = []
    elif isinstance(node, ast.ClassDef):
        for part in node.body:
            take_functions(part, f"{prefix}{node.name}.", found)


def names_defined(node: ast.stmt) -> frozenset[str]:
    """Return the names that an assignment or a definition binds; none for another statement."""
    if isinstance(node, ast.ClassDef | FUNCTIONS):
        return frozenset({node.name})
    if isinstance(node, ast.If) and "TYPE_CHECKING" in names_used(node.test):
        return frozenset({"TYPE_CHECKING"})  # it never runs
    if isinstance(node, ast.Assign | ast.AnnAssign):
        stored = (n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return frozenset(n.id for n in stored)
    return frozenset()


def digests(root: Path, lines: Iterable[str], own: str = "") -> dict[str, str]:
    """Return a digest for each file that a record names, of what counts of it now; "gone" where it is no more.

    `own` is code that was run besides, the cells of a page; its digest stands under the empty name.
    """
    code = defaultdict(list)
    texts: dict[str, list[str]] = defaultdict(list, {"": [own]})
    for line in sorted(set(lines)):
        file, is_code, name = line.partition(":")
        path = root / file
        if not path.exists():
            texts[file].append("gone")
        elif is_code:
            code[file].append(name)
        elif file.endswith("/"):
            texts[file].append(" ".join(sorted(p.name for p in path.iterdir() if p.name != "__pycache__")))
        else:
            texts[file].append(hashlib.sha256(path.read_bytes()).hexdigest())
    waiting = set(re.findall(r"[^\W\d]\w*", own))
    resolved: set[str] = set()
    definers = defaultdict(list)
    for file, names in code.items():
        parts = module(root / file)
        pieces = [parts.functions[name] for name in names if name in parts.functions]
        pieces += [piece for piece in parts.statements if not piece.defines]
        for piece in parts.statements:
            for name in piece.defines:
                definers[name].append((file, piece))
        waiting.update(name.rpartition(".")[2] for name in names if name)
        texts[file] += [piece.text for piece in pieces]
        waiting.update(*(piece.uses for piece in pieces))
    counted = set()
    while waiting:
        name = waiting.pop()
        resolved.add(name)
        for file, piece in definers.get(name, ()):
            if (file, piece) not in counted:
                counted.add((file, piece))
                waiting |= piece.uses - resolved
    for file, text in sorted((file, piece.text) for file, piece in counted):
        texts[file].append(text)
    return {file: hashlib.sha256("\n".join(found).encode()).hexdigest()[:16] for file, found in texts.items()}
