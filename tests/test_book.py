"""The package is a book: a folder a part, a file a chapter, and no arrow that points forward.

`docs/chapters.py` has the table of contents. The table below adds which files make up a chapter, in the order of
reading, which is the order of importing too: a module imports only what stands before it.
"""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "handstyle"

# The sections of a chapter, in order; a chapter that is not here is one file.
SECTIONS = {
    "foundations.backend": [
        "foundations.errors",
        "foundations.backend",
        "kernels.cpu.threads",
        "kernels.cpu.gemm",
        "kernels.cpu.arena",
        "kernels.cuda.transfer",
    ],
    "foundations.image": [
        "foundations.image",
        "foundations.color_profile",
        "foundations.picture_reading",
        "foundations.picture_writing",
    ],
    "losses.gram": ["losses.gram", "losses.distribution"],
    "losses.total_variation": ["losses.total_variation", "losses.smoothness"],
    "network.sequence": ["network.sequence", "network.tapped"],
    "optimize.objective": ["optimize.terms", "optimize.entering", "optimize.objective"],
    "optimize.lbfgsb": ["optimize.trace", "optimize.lbfgsb"],
    "optimize.lbfgs": [
        "optimize.line_search",
        "optimize.two_loop",
        "optimize.checkpoint",
        "optimize.lbfgs",
        "optimize.adam",
        "optimize.classic",
    ],
    "kernels.counting": ["kernels.cpu.strips", "kernels.counting"],
    "kernels.cpu.winograd": [
        "kernels.winograd_matrices",
        "kernels.winograd_plain",
        "kernels.cpu.tiling",
        "kernels.cpu.winograd_kernels",
        "kernels.cpu.winograd_columns",
        "kernels.cpu.winograd",
        "kernels.cpu.choose",
    ],
    "kernels.cpu.epilogues": [
        "kernels.cpu.epilogues",
        "kernels.stages",
        "kernels.cpu.engine",
        "kernels.cpu.forecast",
        "kernels.cpu.rates",
        "cli.bench",
    ],
    "kernels.cuda.device": [
        "kernels.cuda.structs",
        "kernels.cuda.source",
        "kernels.cuda.cublas",
        "kernels.cuda.graph",
        "kernels.cuda.memory_plan",
        "kernels.cuda.device",
        "kernels.cuda.choose",
        "kernels.cuda.losses",
        "kernels.cuda.convolution",
        "kernels.cuda.stages",
        "kernels.cuda.epilogue",
        "kernels.cuda.dry_device",
        "kernels.cuda.engine",
        "kernels.cuda.forecast",
        "kernels",  # the folder's own file registers every engine, so it comes when they are all there
    ],
    "painting.presets": [
        "painting.normalizations",
        "painting.config",
        "painting.presets",
        "painting.convert_weights",
        "painting.settings",
    ],
    "painting.stylize": [
        "painting.load",
        "painting.need",
        "painting.room",
        "painting.feature_scale",
        "painting.terms",
        "painting.targets",
        "painting.inputs",
        "painting.optimizers",
        "painting.plan",
        "painting.resuming",
        "painting.stylize",
        "painting.selfcheck",
        # The pictures of the demonstration: drawn by programs that need nothing of the rest.
        "painting.canvas",
        "painting.flow_painting",
        "painting.house",
        "painting.town",
        "painting.portrait",
        "painting.scenes",
    ],
}

# Chapters whose file may still be missing.
EXPECTED_MISSING = {"kernels.tiles", "painting.report"}

# Arrows that point forward, and why they may.
EXCEPTIONS = {
    ("painting.config", "painting.color"): "the names of the colour methods, which a configuration must know to refuse",
}

# Files that may be longer than the rest, up to which length, and why. Lines that are not blank are counted.
LONGEST = 250
LONG = {
    "handstyle/painting/presets.py": (525, "data: a line a fact, with its source"),
    "handstyle/painting/config.py": (400, "data: a field and its help a choice"),
    "handstyle/kernels/cpu/forecast.py": (270, "one sweep, walked through with sizes in place of arrays"),
}

IMPORTS_CUPY = {"handstyle/foundations/backend.py", "handstyle/kernels/cuda/device.py"}


def name_of(path: Path) -> str:
    """Return a file's module, below the package: ``network.relu``; a folder's own file by the folder's name."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


@cache
def modules() -> dict[str, Path]:
    return {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def chapters() -> list[tuple[str, ...]]:
    """Return the modules of each chapter of the table of contents, in order."""
    spec = importlib.util.spec_from_file_location("chapters", ROOT / "docs" / "chapters.py")
    assert spec is not None
    assert spec.loader is not None
    contents = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(contents)
    return [tuple(m.removeprefix("handstyle").lstrip(".") for m in chapter.modules) for chapter in contents.CHAPTERS]


@cache
def order() -> list[str]:
    """Return all modules in the order of reading."""
    reading: list[str] = []
    for names in chapters():
        for name in names:
            sections = SECTIONS.get(name, [name])
            reading += [section for section in sections if section not in reading]
    return [name for name in reading if name]  # the first chapter is the package's own face, which imports them all


def imports(path: Path) -> set[str]:
    """Return the package's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "handstyle":
            base = node.module.removeprefix("handstyle").lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                found.add(inner if inner in modules() else base)
        elif isinstance(node, ast.Import):
            found |= {
                a.name.removeprefix("handstyle").lstrip(".") for a in node.names if a.name.startswith("handstyle")
            }
    return found


# Folders' own files with nothing in them but a sentence, the package's face, and what stands above the book.
ABOVE = ("", "cli", "__main__")


def is_empty(path: Path) -> bool:
    return all(isinstance(node, ast.Expr) for node in tree(path).body)


def test_every_file_belongs_to_a_chapter() -> None:
    homeless = [
        name
        for name in modules()
        if name not in order() and name.split(".")[0] not in ABOVE and not is_empty(modules()[name])
    ]
    assert not homeless, f"give a chapter to {', '.join(homeless)}: in docs/chapters.py or in SECTIONS"


def test_every_chapter_has_its_file() -> None:
    absent = {name for name in order() if name not in modules()}
    assert absent <= EXPECTED_MISSING, f"in the table of contents and not in the package: {absent - EXPECTED_MISSING}"


def forward_arrows() -> set[tuple[str, str]]:
    position = {name: i for i, name in enumerate(order())}
    return {
        (name, imported)
        for name in order()
        if name in modules()
        for imported in imports(modules()[name])
        if imported not in position or position[imported] >= position[name]
    }


def test_no_arrow_points_forward() -> None:
    arrows = forward_arrows() - set(EXCEPTIONS)
    assert not arrows, "; ".join(f"{name} imports {imported}, a later chapter" for name, imported in sorted(arrows))
    assert not set(EXCEPTIONS) - forward_arrows(), "an exception that is no longer needed"


def test_a_forward_arrow_would_be_seen(tmp_path: Path) -> None:
    """The test above can fail: relu may not import pooling, not even inside a function."""
    path = tmp_path / "relu.py"
    path.write_text("def f():\n    from handstyle.network import pooling\n    import handstyle.losses.gram\n")
    assert imports(path) == {"network.pooling", "losses.gram"}
    assert order().index("network.pooling") > order().index("network.relu")


@pytest.mark.parametrize("folder", ["handstyle", "weights_tools"])
def test_files_are_one_idea_long(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        lines = sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").splitlines())
        limit, _ = LONG.get(name, (LONGEST, ""))
        assert lines <= limit, (
            f"{name} has {lines} lines that are not blank, and may have {limit}: split it at the idea"
        )


def test_cupy_is_imported_in_two_files() -> None:
    found = set()
    for folder in ("handstyle", "weights_tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(tree(path)):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                    called = ast.unparse(node.func)
                    names = [str(node.args[0].value)] if called.endswith(("import_module", "__import__")) else []
                if any(name.split(".")[0] in ("cupy", "cupyx", "cupy_backends") for name in names):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found <= IMPORTS_CUPY, f"asks for CuPy beside the border: {found - IMPORTS_CUPY}"


def test_the_engine_imports_no_framework() -> None:
    """Layers, gradients, kernels and losses are written by hand."""
    for name, path in modules().items():
        text = path.read_text(encoding="utf-8")
        found = re.findall(
            r"^\s*(?:import|from) (torch|tensorflow|jax|keras|autograd|numba|mxnet|tinygrad)\b", text, re.M
        )
        assert not found, f"{name} imports {found[0]}"


def test_there_is_no_drawer_of_odds_and_ends() -> None:
    for path in (*PACKAGE.rglob("*"), *(ROOT / "weights_tools").rglob("*")):
        assert path.stem.lower() not in {"utils", "util", "helpers", "helper", "misc", "common"}, path


# --- docstrings ---------------------------------------------------------------------------------------------------


def public_functions() -> list[tuple[str, ast.FunctionDef]]:
    return [
        (f"{name}.{node.name}", node)
        for name, path in modules().items()
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def arguments(node: ast.FunctionDef) -> list[str]:
    return [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


def test_every_public_function_has_a_docstring() -> None:
    faults = []
    for name, node in public_functions():
        text = ast.get_docstring(node) or ""
        first = text.split("\n\n")[0].rstrip()
        if not text:
            faults.append(f"{name} has none")
        elif not first[0].isupper() or not first.endswith((".", ":")):
            faults.append(f"{name} begins with no sentence: {first[:40]!r}")
        elif re.search(r"\S ---", text):
            faults.append(f"{name} has a heading that was run into the text")
    assert not faults, "; ".join(faults)


def is_reference(name: str, node: ast.FunctionDef) -> bool:
    """Return whether the book and its readers call this function, so that each argument must be explained."""
    part, _, _ = name.partition(".")
    derived = node.name.endswith(("_forward", "_backward", "_gradient", "_loss", "_variation"))
    return part in ("foundations", "network", "losses", "optimize") and (derived or len(arguments(node)) > 2)


def test_the_functions_of_the_first_four_parts_explain_their_arguments() -> None:
    faults = []
    for name, node in public_functions():
        text = ast.get_docstring(node) or ""
        one_and_one_line = len(arguments(node)) < 2 and "\n" not in text
        if is_reference(name, node) and arguments(node) and not one_and_one_line:
            if "Parameters\n----------" not in text:
                faults.append(f"{name} does not explain {', '.join(arguments(node))}")
            elif node.returns and ast.unparse(node.returns) != "None" and not re.search(r"(Returns|Yields)\n---", text):
                faults.append(f"{name} does not say what it returns")
    assert not faults, "; ".join(faults)


def test_a_section_of_parameters_names_them_all() -> None:
    faults = []
    for name, node in public_functions():
        text = ast.get_docstring(node) or ""
        if "Parameters\n----------" in text and not name.startswith("cli"):  # there a dataclass's fields explain
            explained = re.sub(r"(Returns|Yields)\n---.*", "", text.split("Parameters\n----------")[1], flags=re.S)
            faults += [f"{name}: {a}" for a in arguments(node) if not re.search(rf"\b{a}\b", explained)]
    assert not faults, f"not explained: {'; '.join(faults)}"
