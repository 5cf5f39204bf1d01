"""What the book computes: figures, drawn by the scripts of ``docs/fig``, and the cells of pages, run in a kernel.

Both are kept with a record of what they ran (`recorder`) and are computed again when that has changed (`freshness`);
one task a core, the longest first. Pages' outputs go into MyST-NB's cache, from which it takes them.

With ``BOOK_FIRST`` in the environment a build takes minutes after a change of any module: first come the cells and
figures of the pages that explain or quote what has changed, then as much of the rest as is done in `REST` seconds, the
shortest first. What is left over stays as it was and is listed in ``_build/left_over.txt``; the pages that show it say
so. While all runs of optimizers can be kept (`paintings`), the rest is quick, and little of it is left over.
"""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, cycle
from pathlib import Path
from typing import NamedTuple

import freshness
import nbformat
import paintings
from chapters import CHAPTERS
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
FIGURES = DOCS / "_generated" / "fig"
CELLS = DOCS / "_build" / "cells"
NOT_FIGURES = {"__init__", "common", "problem"}
# The longest of a first build, when there are no records: they are begun first, in this order.
LONGEST = ("mutants_painted", "preset_sheet", "color_ways", "scales", "regions")
# Figures whose runs are also those of others: they are begun last, when the others have made and kept them.
SHARING = ("parts", "starts", "style_scales", "task_colors", "kept", "tile_bugs")
DRAFT = bool(os.environ.get("BOOK_DRAFT"))  # for authors: figures and cells stay as they are when the package changes
FIRST = bool(os.environ.get("BOOK_FIRST"))
LEFT_OVER = DOCS / "_build" / "left_over.txt"
REST = 80.0  # seconds by the clock after which nothing of the rest is begun, or would still be painted
LIBRARIES = ("numpy", "scipy", "matplotlib", "pillow", "scikit-image")
worker = threading.local()  # its `server` runs the scripts of figures for a thread
log = logging.getLogger(__name__)


class Task(NamedTuple):
    """A figure or a page: where its record is, the code of its cells, whether its result is there, how to compute it.

    `compute` is given where to record and returns a complaint or nothing.
    """

    name: str
    kept: Path
    cells: str
    there: bool
    compute: Callable[[str], str | None]


def common() -> str:
    """Return what counts for every task: the libraries, and the weights, which HDF5 opens unseen by the recorder."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES]
    weights = freshness.digests(ROOT, [p.relative_to(ROOT).as_posix() for p in (ROOT / "handstyle").rglob("*.h5")])
    return f"{sys.version_info[:2]} {versions} {weights}"


def figures() -> Iterator[Task]:
    """Yield a task for each script of ``docs/fig``."""
    FIGURES.mkdir(parents=True, exist_ok=True)

    def task(name: str) -> Task:
        out = FIGURES / f"{name}.svg"

        def draw(record: str) -> str | None:
            server = worker.server
            server.stdin.write(json.dumps([str(ROOT), record, f"fig.{name}", str(out)]) + "\n")
            server.stdin.flush()
            status, written = json.loads(server.stdout.readline())
            return written if status else None

        there = out.is_file() and out.with_name(f"{name}-dark.svg").is_file()
        return Task(name, FIGURES / f"{name}.json", "", there, draw)

    for script in sorted((DOCS / "fig").glob("*.py")):
        if script.stem not in NOT_FIGURES:
            yield task(script.stem)


def pages(app: Sphinx, lock: threading.Lock) -> Iterator[Task]:
    """Yield a task for each page that has cells."""
    cache = get_cache(CELLS)

    def task(page: str, path: Path, notebook: nbformat.NotebookNode) -> Task:
        def run(record: str) -> str | None:
            started = f"import recorder; recorder.record({record!r}, {str(ROOT)!r}); del recorder"
            options = {"timeout": app.config.nb_execution_timeout, "allow_errors": False}
            quiet = "--log-level=ERROR"  # not that kernels listen without encryption: they listen on this machine alone
            options["extra_arguments"] = [quiet, f"--IPKernelApp.exec_lines={started}"]
            result = single_nb_execution(notebook, cwd=str(path.parent), **options)
            if result.err is None:
                bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": result.time})
                with lock:
                    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            return result.exc_string

        try:
            cache.match_cache_notebook(notebook)
            there = True
        except KeyError:
            there = False
        cells = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        return Task(page, CELLS / f"{page.replace('/', '-')}.json", cells, there, run)

    for path in sorted(DOCS.rglob("*.md")):
        page = path.relative_to(DOCS).with_suffix("").as_posix()
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), app.env.myst_config, app.env.mystnb_config, text)
        if reader is not None and not page.startswith(("_build", "_generated")):
            yield task(page, path, reader.read(text))


def changes(task: Task, shared: str) -> set[str]:
    """Return the files whose change asks for a task to be computed again.

    An empty name among them stands for the task itself, its result or its cells, or for what counts for every task.
    """
    if not task.there or not task.kept.is_file():
        return {""}
    if DRAFT:
        return set()
    kept = json.loads(task.kept.read_text())
    now = freshness.digests(ROOT, kept["ran"], task.cells + shared)
    return {file for file in now if kept["digests"].get(file) != now[file]}


def shown_by() -> dict[str, set[str]]:
    """Return by page, and by figure, the files that it is about: those that its page explains or quotes."""
    explained = {chapter.page: chapter.modules for chapter in CHAPTERS}
    found: dict[str, set[str]] = {}
    for path in DOCS.rglob("*.md"):
        page, text = path.relative_to(DOCS).with_suffix("").as_posix(), path.read_text(encoding="utf-8")
        files = {f"{name.replace('.', '/')}.py" for name in explained.get(page, ())}
        quoted = re.findall(r"\{literalinclude\} (\S+)", text)
        files |= {Path(os.path.normpath(path.parent / name)).relative_to(ROOT).as_posix() for name in quoted}
        for name in [page, *drawn_on(text)]:
            found.setdefault(name, {"", f"docs/fig/{name}.py"}).update(files)
    return found


def drawn_on(text: str) -> list[str]:
    """Return the figures that a page shows."""
    return [drawn or shown for drawn, shown in re.findall(r"\{drawn\} (\w+)|_generated/fig/(\w+)/", text)]


def seconds(task: Task) -> float:
    """Return how long a task took when it was last computed, or a large number for the longest of a first build."""
    if task.kept.is_file():
        return float(json.loads(task.kept.read_text())["seconds"])
    return 1000.0 - LONGEST.index(task.name) if task.name in LONGEST else 0.0


def compute(app: Sphinx) -> None:
    """Compute the figures and pages that are not current, one a core."""
    began, shared, about = time.time(), common(), shown_by()
    changed = {task: changes(task, shared) for task in chain(figures(), pages(app, threading.Lock()))}
    tasks = sorted((task for task in changed if changed[task]), key=seconds, reverse=True)
    tasks.sort(key=lambda task: task.name in SHARING)
    rest = [task for task in tasks if FIRST and not changed[task] & about.get(task.name, {""})]
    rest.sort(key=lambda task: (task.name in SHARING, seconds(task)))
    tasks, left = [task for task in tasks if task not in rest], []
    LEFT_OVER.unlink(missing_ok=True)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    turn, servers, lock, runs = cycle(cores), [], threading.Lock(), {"painted": 0, "kept": 0}
    paintings.begin(ROOT, shared)

    def begin() -> None:
        # Two programs that both ran on two cores would take turns waiting for each other's threads.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {next(turn)})  # of this thread, and of the programs that it starts
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": DOCS}
        worker.server = subprocess.Popen(
            [sys.executable, "-m", "recorder"], env=os.environ | {"MPLBACKEND": "agg"}, **options
        )
        servers.append(worker.server)

    def one(task: Task) -> str | None:
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record"
            complaint = task.compute(str(record))
            if complaint:
                return f"{task.name}: {complaint}"
            *ran, used = record.read_text(encoding="utf-8").splitlines()
        took = float(used.split()[0])
        if re.search(r"[1-9]\d* kept", used) and task.kept.is_file():  # the next time it may have to paint them again
            took = max(took, seconds(task))
        digests = freshness.digests(ROOT, ran, task.cells + shared)
        # A file that was written since the build began may be what it ran or not: then it is computed again next time.
        paths = {file: ROOT / file for file in digests if file and not file.endswith("/")}
        digests |= {file: "" for file, path in paths.items() if not path.exists() or path.stat().st_mtime >= began}
        kept = {"digests": digests, "seconds": took, "ran": ran}
        task.kept.write_text(json.dumps(kept, indent=0))
        log.info("computed %s in %s", task.name, used)
        with lock:
            for kind in runs:
                runs[kind] += int((re.search(rf"(\d+) {kind}", used) or [0, 0])[1])
        return None

    def one_more(task: Task) -> str | None:
        expected = seconds(task) if runs["painted"] else 0.0  # the numbers are as they were, so far: it will be quick
        if time.time() - began + expected > REST:
            left.append(task)
            return None
        return one(task)

    with ThreadPoolExecutor(len(cores), initializer=begin) as pool:
        failures = [failure for failure in [*pool.map(one, tasks), *pool.map(one_more, rest)] if failure]
    for server in servers:
        server.communicate()
    if left:
        names = ", ".join(sorted(task.name for task in left))
        LEFT_OVER.write_text(f"{len(left)} ran what has changed ({sum(map(seconds, left)):.0f} s of a core): {names}\n")
    if any(runs.values()):
        print(f"{runs['painted']} runs of optimizers painted, {runs['kept']} kept: the same at two points as before")
    if failures:
        raise ExtensionError("figures and pages that could not be computed:\n" + "\n".join(failures))
    app.env.left_over = {task.name for task in left}
    app.env.computed = {task.name for task in [*tasks, *rest]} - app.env.left_over


def mark_left_over(app: Sphinx, error: Exception | None) -> None:
    """Write beside the pages which of them show what is left over; `book.js` says so on them."""
    if error is None and app.builder.format == "html":
        texts = {page: Path(app.env.doc2path(page)).read_text(encoding="utf-8") for page in app.env.found_docs}
        pages = [page for page, text in texts.items() if app.env.left_over.intersection([page, *drawn_on(text)])]
        script = f"const leftOver = {json.dumps(sorted(pages))};\n"
        (Path(app.outdir) / "_static" / "left_over.js").write_text(script)


def outdated(app: Sphinx, env: BuildEnvironment, added: set, changed: set, removed: set) -> set[str]:
    """Return the pages whose cells were run again, so that Sphinx reads them again."""
    return env.computed & (env.found_docs - added - changed)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", compute, priority=600)  # behind MyST-NB, whose settings say how pages are read
    app.connect("env-get-outdated", outdated)
    app.connect("build-finished", mark_left_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
