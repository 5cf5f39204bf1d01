"""The house: where imports may point, what may be asked of an engine, how long a part may be, what docstrings owe."""

import ast
import importlib
import importlib.util
import inspect
import io
import re
import subprocess
import sys
import tokenize
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import handstyle

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "handstyle"
FOLDERS = ("handstyle", "weights_tools", "tests", "docs", "benchmarks")
IMPORTS_CUPY = ("handstyle/foundations/backend.py", "handstyle/kernels/cuda/")
ENGINE = {"name", "poolings", "tf32", "forward", "backward", "prepare", "forecast", "describe"}  # the protocol


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def sources(*folders: str) -> list[Path]:
    return [
        path for folder in folders or ("handstyle", "weights_tools") for path in sorted((ROOT / folder).rglob("*.py"))
    ]


# --- imports --------------------------------------------------------------------------------------------------------


def test_imports_point_down_the_table_of_contents() -> None:
    """The contracts stand in pyproject.toml, [tool.importlinter]."""
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("import-linter is not installed: pip install --group lint")
    done = subprocess.run([command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_stands_in_a_contract() -> None:
    """A new file that no contract names could import anything."""
    contracts = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = {name for line in re.findall(r'^    "(.*)",$', contracts, re.MULTILINE) for name in line.split(" | ")}
    outside = {"handstyle", "handstyle.__main__", "weights_tools"}  # the packages themselves, and the command
    wholes = ("handstyle.book.judges.", "weights_tools.readers.", "weights_tools.distill.")  # listed as one
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources()}
    assert {name for name in names - listed - outside if not name.startswith(wholes)} == set()


def test_cupy_is_imported_at_the_border_only() -> None:
    found = set()
    for path in sources():
        for node in ast.walk(tree(path)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = ast.unparse(node.func)
                names = [str(node.args[0].value)] if called.endswith(("import_module", "__import__")) else []
            if any(name.split(".")[0] in ("cupy", "cupyx", "cupy_backends") for name in names):
                found.add(path.relative_to(ROOT).as_posix())
    assert not {name for name in found if not name.startswith(IMPORTS_CUPY)}


def test_import_handstyle_loads_numpy_and_nothing_heavy() -> None:
    code = "import sys, handstyle; print(sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"scipy", "PIL", "h5py", "cyclopts", "rich", "threadpoolctl", "matplotlib", "cupy"}
    assert not heavy & set(ast.literal_eval(done.stdout))


# --- engines --------------------------------------------------------------------------------------------------------


def asked_of_engines(path: Path) -> set[str]:
    """Return what a file asks of an engine beyond the protocol: attributes, getattr, isinstance."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner.endswith((".engine", "engine_of(network)")) or owner == "engine":
                found |= {node.attr} - ENGINE
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "isinstance"):
            found |= {ast.unparse(node)} if node.args and "engine" in ast.unparse(node.args[0]) else set()
    return found


def test_nothing_outside_kernels_knows_how_an_engine_works() -> None:
    faults = {
        path.relative_to(ROOT).as_posix(): asked
        for path in sources()
        if "kernels" not in path.relative_to(ROOT).parts and (asked := asked_of_engines(path))
    }
    assert not faults


def test_a_question_to_an_engine_would_be_seen(tmp_path: Path) -> None:
    path = tmp_path / "asks.py"
    path.write_text("network.engine.arena\ngetattr(network.engine, 'losses', {})\nisinstance(engine, CpuEngine)\n")
    assert len(asked_of_engines(path)) == 3


# --- size -----------------------------------------------------------------------------------------------------------

# Code lines: without blank lines, comments and docstrings. The first number of a part is the design's (section 2), for
# what its house describes: all files of the part that no group below it names, so that a new file counts there. The
# design lets the features of later issues state budgets of their own: each group is one such feature, in modules of its
# own, by name. A part that must grow says so by raising its number here.
#
# The protocol of terms, which stood in optimize when the design counted, is within the number of losses.


class Part(NamedTuple):
    """A part of the house: folders or files, the budget of its core, and for each later feature budget and modules."""

    paths: str
    core: int
    later: dict[str, tuple[int, str]] = {}


HOUSE = {
    "foundations": Part(
        "handstyle/foundations",
        700,
        {
            "formats, plug-ins, folders": (141, "picture_formats picture_paths"),
            "damaged and hostile pictures": (85, "hostile_pictures"),
            "more than 8 bits a channel": (97, "deep_pictures"),
            "what a file says: resolution, recipe": (60, "picture_metadata"),
            "nothing lost: atomic files, locks": (202, "atomic_file file_lock picture_rescue"),
            "pictures larger than memory": (175, "picture_bands mapped free_memory"),
        },
    ),
    "network": Part(
        "handstyle/network",
        450,
        {
            "damaged and hostile HDF5": (149, "hdf5_file"),
            "digests, for recipes": (14, "digests"),
            "pooling by the norm": (12, "l2_pooling"),
            "training the network that ships": (14, "weight_gradients"),
        },
    ),
    "losses": Part(
        "handstyle/losses",
        350,
        {
            "loss of patches": (131, "patches"),
            "loss of films": (23, "temporal"),
            "normalized gradients": (22, "normalized"),
        },
    ),
    "optimize": Part(
        "handstyle/optimize",
        700,
        {
            "scaled coordinates": (85, "precondition"),
            "damaged and hostile checkpoints": (87, "checkpoint_archive"),
            "how a run ended, early stop": (31, "endings"),
        },
    ),
    "kernels/cpu": Part(
        "handstyle/kernels/cpu",
        1500,
        {"forecasts of memory: a dry run": (200, "dry_run"), "bench: rates of this machine": (62, "rates")},
    ),
    "kernels, shared": Part(
        "handstyle/kernels/*.py",
        324,
        {"tiles and cluster": (726, "tiles cluster"), "patches in parts": (16, "patches")},
    ),
    "kernels/cuda": Part("handstyle/kernels/cuda", 1250),
    "painting and cli": Part(
        "handstyle/painting handstyle/cli",
        2500,
        {
            "values of settings, refused by name": (120, "painting/setting_values"),
            "plan: forecasts of memory and time": (
                589,
                "painting/planned_terms painting/memory painting/trial cli/planning",
            ),
            "check: every gradient of a network": (339, "painting/selfcheck cli/checking"),
            "notes on pictures": (90, "painting/notes"),
            "settings without effect, named": (23, "painting/idle_settings"),
            "strength": (55, "painting/strength"),
            "regions: maps of colors, what is kept": (132, "painting/region_masks"),
            "patches": (86, "painting/patch_terms"),
            "print": (35, "painting/paper"),
            "recipes, again": (461, "painting/recipe cli/again"),
            "nothing lost: checkpoints, signals": (126, "cli/checkpoints cli/signals"),
            "watched: progress, preview, events": (
                508,
                "painting/progress painting/preview cli/following cli/terminal cli/announcing",
            ),
            "report": (292, "painting/report cli/reporting"),
            "many: batch, sweep": (493, "cli/batch cli/sweep painting/measured"),
            "a cluster's workers": (17, "cli/workers"),
            "films": (398, "painting/film cli/frames"),
            "notebooks: results, arguments": (318, "painting/result painting/arguments painting/call_options"),
            "bench": (542, "cli/bench cli/measuring cli/energy cli/torch_peer"),
            "help, flags of other programs": (221, "cli/help cli/flag_help"),
            "the commands of weights": (132, "cli/weights"),
        },
    ),
    "weights_tools": Part("weights_tools", 2100),
    "book": Part("handstyle/book/*.py", 290),  # the judges are text, as the chapters are
}
CUDA_LINES = 1000  # of the kernels in CUDA's own language


def code_lines(path: Path) -> int:
    text = path.read_text(encoding="utf-8")
    lines: set[int] = set()
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in empty:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return len(lines)


def cuda_lines() -> int:
    """Return the code lines of the CUDA kernels, which have comments of both kinds."""
    texts = [path.read_text(encoding="utf-8") for path in (PACKAGE / "kernels" / "cuda" / "src").glob("*.cu*")]
    return sum(
        bool(line.strip()) for text in texts for line in re.sub(r"(?s)/\*.*?\*/|//[^\n]*", "", text).splitlines()
    )


def files_of(part: Part) -> dict[str, Path]:
    """Return the files of a part by the names in its groups: `image`, `readers/wire`, or `cli/batch` of two folders."""
    found: dict[str, Path] = {}
    names = part.paths.split()
    for name in names:
        pattern = name if name.endswith(".py") else f"{name}/**/*.py"
        base = ROOT / name if len(names) == 1 and not name.endswith(".py") else (ROOT / name).parent
        for path in sorted(ROOT.glob(pattern)):
            if "distill" not in path.relative_to(ROOT).parts:
                found[path.relative_to(base).with_suffix("").as_posix()] = path
    return found


def test_budgets(capsys: pytest.CaptureFixture[str]) -> None:
    over, total = [], 0
    with capsys.disabled():
        print("\ncode lines by part (and budget), and of the features that came later:")
        for name, part in HOUSE.items():
            lines = {file: code_lines(path) for file, path in files_of(part).items()}
            later = {subject: modules.split() for subject, (_, modules) in part.later.items()}
            listed = [module for modules in later.values() for module in modules]
            assert sorted(listed) == sorted(set(listed) & set(lines)), f"{name}: no such file, or listed twice"
            groups = {subject: sum(lines[module] for module in modules) for subject, modules in later.items()}
            core = sum(lines.values()) - sum(groups.values())
            print(f"  {name:40} {core:5} ({part.core})" + f"  in all {sum(lines.values())}" * bool(groups))
            over += [name] if core > part.core else []
            for subject, count in groups.items():
                print(f"    {subject:38} {count:5} ({part.later[subject][0]})")
                over += [f"{name}, {subject}"] if count > part.later[subject][0] else []
            total += sum(lines.values())
        print(f"  {'in all':40} {total:5}")
        print(f"  {'CUDA, .cu and .cuh':40} {cuda_lines():5} ({CUDA_LINES})")
        over += ["CUDA"] if cuda_lines() > CUDA_LINES else []
    assert not over


def test_there_is_no_drawer_of_odds_and_ends() -> None:
    for path in sources():
        assert path.stem.lower() not in {"utils", "util", "helpers", "helper", "misc", "common"}, path


def test_a_class_name_is_defined_once() -> None:
    """One word, one meaning. A `Source` is what a convolution reads, once for each device."""
    found: dict[str, list[str]] = {}
    for path in sources("handstyle", "weights_tools", "benchmarks"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and node.name != "Source":
                found.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}


# --- docstrings -----------------------------------------------------------------------------------------------------

# numpydoc's checks for every public function and class, and those that the exported names must pass besides.
EVERYWHERE = {"GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "SS01", "SS02", "SS03", "SS04", "PR03", "PR06", "PR07"}
EXPORTED = EVERYWHERE | {"PR01", "PR02", "RT01", "EX01"}


def public_names() -> list[str]:
    """Return the public functions and classes of all modules, in full."""
    names = []
    for path in sources():
        if path.name in ("__init__.py", "__main__.py"):
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                names.append(f"{module}.{node.name}")
    return names


@pytest.fixture(scope="module")
def validate():  # type: ignore[no-untyped-def]
    if importlib.util.find_spec("numpydoc") is None:
        pytest.skip("numpydoc is not installed: pip install --group docs")
    return importlib.import_module("numpydoc.validate").validate


@pytest.mark.filterwarnings("ignore")
def test_public_docstrings(validate) -> None:  # type: ignore[no-untyped-def]
    faults = [
        f"{name}: {code} {text}"
        for name in public_names()
        for code, text in validate(name)["errors"]
        if code in EVERYWHERE
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.filterwarnings("ignore")
def test_docstrings_of_exported_names(validate) -> None:  # type: ignore[no-untyped-def]
    faults = []
    for name in handstyle.__all__:
        thing = getattr(handstyle, name)
        if not (inspect.isfunction(thing) or inspect.isclass(thing)):
            continue
        wanted = EXPORTED - ({"RT01"} if inspect.isclass(thing) else set())
        if inspect.isclass(thing) and issubclass(thing, Exception):
            wanted -= {"EX01"}  # an exception is raised and caught, not called
        if getattr(thing, "_is_protocol", False):
            # A protocol is not called either, and typing gives it an __init__(*args, **kwargs) of its own.
            wanted -= {"EX01", "PR01", "PR02"}
        errors = validate(f"{thing.__module__}.{thing.__name__}")["errors"]
        faults += [f"{name}: {code} {text}" for code, text in errors if code in wanted]
    assert not faults, "\n".join(faults)


# Where a docstring owes an example. tests/test_examples.py runs what stands there; what only calls the command line or
# a GPU shows a console line, `$ handstyle …`, or a block of code instead.
WITH_EXAMPLES = (
    "handstyle/foundations",
    "handstyle/network",
    "handstyle/losses",
    "handstyle/optimize",
    "handstyle/kernels",
    "handstyle/painting",
    "handstyle/cli",
    "handstyle/book",
    "weights_tools",
)


def owes_example(node: ast.stmt) -> bool:
    """Return whether a definition is a public function or class that is called."""
    if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
        return False
    if isinstance(node, ast.FunctionDef):
        return True
    # An exception is raised and caught, and a protocol is what others implement.
    return not any(ast.unparse(base).endswith(("Error", "Exception", "Protocol", "Interrupt")) for base in node.bases)


def without_examples(paths: list[Path], *, methods: bool = False) -> list[str]:
    """Return the public functions and classes, or the public methods of these classes, that show no example."""
    silent = []
    for path in paths:
        for outer in filter(owes_example, tree(path).body):
            inner = [one for one in outer.body if owes_example(one)] if isinstance(outer, ast.ClassDef) else []
            silent += [
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({outer.name})"
                for node in (inner if methods else [outer])
                if not re.search(r">>> |\$ handstyle|code-block::", ast.get_docstring(node) or "")
            ]
    return silent


def test_public_names_have_examples() -> None:
    assert without_examples(sources(*WITH_EXAMPLES)) == []


def test_public_methods_have_examples() -> None:
    assert without_examples(sources(*WITH_EXAMPLES), methods=True) == []


def test_a_forward_function_and_its_backward_name_each_other() -> None:
    silent = []
    for path in sources(*(f"handstyle/{part}" for part in ("foundations", "network", "losses", "optimize"))):
        found = {node.name: ast.get_docstring(node) for node in tree(path).body if isinstance(node, ast.FunctionDef)}
        for name, text in found.items():
            other = (
                name.replace("_forward", "_backward") if "_forward" in name else name.replace("_backward", "_forward")
            )
            if other != name and other in found and f"{other} : " not in (text or "").partition("See Also")[2]:
                silent.append(f"{path.relative_to(ROOT)}: {name} does not name {other}")
    assert silent == []


# --- the book -------------------------------------------------------------------------------------------------------


def test_an_equation_of_the_code_lies_inside_a_function_that_the_book_quotes() -> None:
    """A label outside a quoted object would number nothing."""
    quoted: dict[str, set[str]] = {}
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        for path, options in re.findall(r"\{literalinclude\} (\S+)\n((?::\S+:.*\n)*)", text):
            name = re.search(r":(?:pyobject|kernel): (\S+)", options)
            file = (page.parent / path).resolve() if not path.startswith("/") else (ROOT / "docs" / path[1:]).resolve()
            quoted.setdefault(file.as_posix(), set()).add(name[1] if name else "*")
    loose = []
    for path in sources("handstyle"):
        lines = path.read_text(encoding="utf-8").splitlines()
        spans = {
            (f"{outer.name}.{node.name}" if outer is not node else node.name): (node.lineno, node.end_lineno or 0)
            for outer in tree(path).body
            if isinstance(outer, ast.FunctionDef | ast.ClassDef)
            for node in ast.walk(outer)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        }
        inside = [spans[name] for name in quoted.get(path.as_posix(), ()) if name in spans]
        for number, line in enumerate(lines, 1):
            if "# book: " in line and not any(a <= number <= b for a, b in inside):
                loose.append(f"{path.relative_to(ROOT)}:{number} {line.split('# book: ')[1]}")
    assert not loose, "\n".join(loose)


IDENTIFIER = re.compile(r"(?<!`)`([A-Za-z_][A-Za-z_0-9]*_[A-Za-z_0-9]+)(?:\(\))?`(?!`)")


def test_every_name_in_the_prose_exists() -> None:
    """A back-ticked name with an underscore is a function, a field, a file, or a name that the page itself makes."""
    known = {f"{kind}{block}_{i}" for kind in ("conv", "relu") for block in range(1, 6) for i in range(1, 5)}
    known |= {"get_array_module", "saved_tensors_hooks", "least_squares", "conv1_1_W"}  # of other libraries and formats
    known |= {path.stem for path in (ROOT / "docs").rglob("*.md")} | {path.name for path in ROOT.iterdir()}
    for path in [*sources(), *sources("benchmarks", "tests"), *sources("docs")]:
        for node in ast.walk(tree(path)):
            known |= {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()
            known |= {node.arg} if isinstance(node, ast.arg | ast.keyword) and node.arg else set()
            known |= {node.id} if isinstance(node, ast.Name) else set()
            known |= {node.attr} if isinstance(node, ast.Attribute) else set()
        known |= {path.stem, *re.findall(r"[A-Z][A-Z_]+", path.read_text(encoding="utf-8"))}
    for path in (PACKAGE / "kernels" / "cuda" / "src").glob("*.cu*"):
        known |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    unknown = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if "_build" in page.parts or "_generated" in page.parts:
            continue
        text = page.read_text(encoding="utf-8")
        blocks = "\n".join(re.findall(r"```.*?```", text, re.DOTALL))
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        local = set(re.findall(r"\w+", blocks))
        unknown += [f"{page.name}: {name}" for name in IDENTIFIER.findall(prose) if name not in known | local]
    assert not unknown, "\n".join(unknown)


def test_what_contributing_names_is_there() -> None:
    """A recipe that names a file or a function that is gone leads nowhere."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    files = {path.relative_to(ROOT).as_posix() for name in FOLDERS for path in (ROOT / name).rglob("*.*")}
    placeholders = re.compile(r"NAME|NN|fig/name")
    named = {name for name in re.findall(r"`([\w./]+\.(?:py|md|toml|json))`", text) if not placeholders.search(name)}
    here = {path.name for path in ROOT.iterdir()}
    assert len(named) > 40
    assert {name for name in named - here if not any(f"/{file}".endswith(f"/{name}") for file in files)} == set()
    pairs = re.findall(r"`([\w/]+\.py)` \(?`(\w+)`(?:(?:,| and) `(\w+)`)?", text)
    pairs += [(file, *names) for *names, file in re.findall(r"`(\w+)`(?: and `(\w+)`)? in `([\w/]+\.py)`", text)]
    assert len(pairs) > 6
    lost = []
    for file, *names in pairs:
        (path,) = [ROOT / one for one in files if f"/{one}".endswith(f"/{file}")]
        words = set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
        lost += [f"{file}: {name}" for name in names if name and name not in words]
    assert lost == []
