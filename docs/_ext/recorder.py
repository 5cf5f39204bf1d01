"""What a program runs and reads of this repository, noted while it runs, so that a change of anything else is none.

``python -m recorder ROOT RECORD MODULE ARGUMENT...`` runs a module as ``python -m MODULE`` would, without arguments it
runs several, and a notebook's kernel calls `record`. Each module below ROOT is compiled with a call at the head of
every function, which notes the function when it first runs. The record has a line for each:
``package/module.py:Class.function``, ``package/module.py:`` for a module that was imported, ``data/file.json`` for a
file that was opened, ``data/`` for a folder that was listed; the last is the processor's seconds.
"""

import ast
import atexit
import builtins
import importlib
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import paintings

LIBRARIES = (
    "matplotlib.pyplot",
    "matplotlib.backends.backend_svg",
    "scipy.optimize",
    "scipy.ndimage",
    "h5py",
    "PIL.Image",
)
ELSEWHERE = {"site-packages", "_build", "_generated", "__pycache__"}  # below ROOT, but not its source


class Heads(ast.NodeTransformer):
    """Put a note at the head of each function of a module; what is defined within a function is part of it."""

    def __init__(self, file: str) -> None:
        self.file, self.names = file, []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.names.append(node.name)
        self.generic_visit(node)
        self.names.pop()
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        name = ".".join([*self.names, node.name])
        (note,) = ast.parse(f"__ran__({f'{self.file}:{name}'!r})").body
        for part in ast.walk(note):
            ast.copy_location(part, node.body[0])
        node.body.insert(0 if ast.get_docstring(node, clean=False) is None else 1, note)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


class NotingLoader(SourceFileLoader):
    """Load a module whose functions note that they run; it is kept compiled beside the one that does not."""

    def __init__(self, name: str, path: str, file: str, loaded: Callable[[ModuleType], None]) -> None:
        super().__init__(name, path)
        self.file, self.loaded = file, loaded

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        self.loaded(module)

    def get_code(self, fullname: str) -> CodeType | None:
        builtins.__ran__(f"{self.file}:")
        return super().get_code(fullname)

    def source_to_code(self, data, path, *, _optimize=-1) -> CodeType:
        tree = Heads(self.file).visit(ast.parse(data))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def get_data(self, path: str) -> bytes:
        return super().get_data(noting(path))

    def set_data(self, path: str, data: bytes, **options) -> None:
        super().set_data(noting(path), data, **options)


def noting(path: str) -> str:
    """Return where the bytecode with notes is, for a path of bytecode; other paths stay."""
    return f"{path[:-4]}.noting.pyc" if path.endswith(".pyc") else path


def record(out: str, root: str) -> None:
    """From now on, write to `out` what this process runs and reads below `root`."""
    file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
    seen = set()

    def note(line: str) -> None:
        if line not in seen:  # written at once: a process that is killed has noted what it ran
            seen.add(line)
            os.write(file, f"{line}\n".encode())

    def below(path: object) -> str | None:
        found = Path(os.fsdecode(path)).resolve()
        inside = found.relative_to(root) if found.is_relative_to(root) else None
        return inside.as_posix() if inside and not ELSEWHERE.intersection(inside.parts) else None

    def loaded(module: ModuleType) -> None:
        paintings.keep(module, Path(root), seen, note)

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None) -> ModuleSpec | None:
            spec = PathFinder.find_spec(name, path, target)
            if spec is None or type(spec.loader) is not SourceFileLoader or (source := below(spec.origin)) is None:
                return None
            spec.loader = NotingLoader(name, spec.origin, source, loaded)
            return spec

    def watch(event: str, arguments: tuple) -> None:
        if event not in ("open", "os.listdir", "os.scandir") or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        if "importlib" in sys._getframe(1).f_code.co_filename:
            return  # what looks for modules; they are noted by what they run
        if (path := below(arguments[0])) is not None:
            note(path if event == "open" else f"{path}/")

    builtins.__ran__ = note
    atexit.register(lambda: os.write(file, f"{sum(os.times()[:4]):.1f} s{paintings.counted()}\n".encode()))
    sys.meta_path.insert(0, Finder)
    sys.addaudithook(watch)


def run(root: str, out: str, module: str, *arguments: str) -> None:
    """Run a module as ``python -m`` would, with a record."""
    record(out, root)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def serve() -> None:
    """Run modules, each in a child of this process, where the libraries that they need are imported already.

    A line of standard input is the arguments of `run` as JSON. It is answered by one on standard output: the exit
    status, and what the module wrote.
    """
    for library in LIBRARIES:
        importlib.import_module(library)
    for line in sys.stdin:
        with tempfile.TemporaryFile("w+") as written:
            child = os.fork()
            if not child:
                for stream in (1, 2):
                    os.dup2(written.fileno(), stream)
                run(*json.loads(line))
                sys.exit()
            _, status = os.waitpid(child, 0)
            written.seek(0)
            print(json.dumps([os.waitstatus_to_exitcode(status), written.read()]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        run(*sys.argv[1:])
    else:
        serve()
