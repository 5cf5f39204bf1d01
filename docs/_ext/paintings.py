"""Runs of optimizers that are kept, so that a change that leaves the numbers as they are asks for no painting again.

An optimizer is deterministic, so the same objective, start and options have the same outcome. In the processes that
compute the book, `keep` puts a function around each optimizer of the package: it evaluates the objective a gray level
beside the start. If a kept run had the same start and options, and there the same value and gradient to the last bit,
it evaluates the objective at that run's result; if they are the same there, too, it returns the kept outcome. This is
the early cutoff of build systems (Mokhov, Mitchell and Peyton Jones 2018, *Build systems à la carte*). It covers all
code that only evaluates; a change of the optimizer that a run used, or of a library, asks for the run again.

A run of a function that is not the package's own `Objective`, and one by an optimizer with a bug put in its place, is
made each time: the first may note what it is called with. So is one that its callback ends, or whose callback writes a
checkpoint; other callbacks are called with the kept iterations. The runs lie in ``docs/_build/paintings``; without the
file that `begin` writes there nothing is kept.
"""

import functools
import hashlib
import inspect
import json
import os
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import freshness
import numpy as np

OPTIMIZERS = "handstyle/optimize"
EVALUATED = {"objective.py", "precondition.py"}  # of these, what is not evaluated runs each time
ON_HOST = {"minimize_lbfgsb", "minimize_restarted"}  # the others call `on_device`
NO_CHOICE = ("objective", "v0", "options", "callback")
LARGEST = 2 * 10**9  # bytes of all kept runs; beyond that the oldest go
counts = {"painted": 0, "kept": 0}  # runs of this process, without those that are made each time
times: Counter[str] = Counter()  # how often this process asked for a run
loaded: list[tuple[ModuleType, dict[str, Any]]] = []  # the optimizers' modules, and what they defined


def folder_of(root: Path) -> Path:
    return root / "docs/_build/paintings"


def begin(root: Path, libraries: str) -> None:
    """Write what the optimizers' code and the libraries are now, and remove the oldest runs if all are too large."""
    folder = folder_of(root)
    folder.mkdir(parents=True, exist_ok=True)
    codes = {"": libraries}
    for path in (root / OPTIMIZERS).glob("*.py"):
        if path.name not in EVALUATED:
            parts = freshness.module(path)
            text = "\n".join(piece.text for piece in [*parts.statements, *parts.functions.values()])
            codes[path.relative_to(root).as_posix()] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "codes.json").write_text(json.dumps(codes))
    runs = sorted(folder.glob("*.pickle"), key=lambda path: path.stat().st_mtime, reverse=True)
    sizes = np.cumsum([path.stat().st_size for path in runs])
    for path, size in zip(runs, sizes, strict=True):
        if size > LARGEST:
            path.unlink()


def keep(module: ModuleType, root: Path, seen: set[str], note: Callable[[str], None]) -> None:
    """Put a function around each optimizer that a module defines; `seen` and `note` are the recorder's."""
    path = Path(module.__file__)
    if path.parent != root / OPTIMIZERS or path.name in EVALUATED or not (folder_of(root) / "codes.json").is_file():
        return
    for name, function in list(vars(module).items()):
        own = name.startswith("minimize_") and function.__module__ == module.__name__
        if own and next(iter(inspect.signature(function).parameters)) == "objective":
            setattr(module, name, keeping(function, folder_of(root), seen, note))
    loaded.append((module, parts_of(module)))


def parts_of(module: ModuleType) -> dict[str, Any]:
    """Return what a module and its classes define, by name."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    return vars(module) | {f"{one}.{name}": part for one in classes for name, part in vars(one).items()}


def genuine() -> bool:
    """Return whether no optimizer has been changed since it was loaded, for instance by a bug put in its place."""
    pairs = ((parts_of(module), before) for module, before in loaded)
    return all(now.get(name) is part for now, before in pairs for name, part in before.items())


def keeping(
    minimize: Callable[..., Any], folder: Path, seen: set[str], note: Callable[[str], None]
) -> Callable[..., Any]:
    """Return an optimizer that returns a kept outcome where there is one that holds."""
    codes = json.loads((folder / "codes.json").read_text())

    @functools.wraps(minimize)
    def kept(*args: Any, **options: Any) -> Any:
        given = inspect.signature(minimize).bind(*args, **options)
        given.apply_defaults()
        objective, v0, *_ = given.args
        common = given.arguments["options"]  # callback, resume, stop_below
        choices = {name: value for name, value in (given.arguments | common).items() if name not in NO_CHOICE}
        whole = [objective, getattr(objective, "objective", objective)]  # of a `Preconditioned` the inner one, too
        own = all(type(one).__module__.startswith("handstyle.optimize.") for one in whole)
        callback = common.get("callback")
        if not own or not genuine() or choices.get("resume") is not None:
            return minimize(*args, **options)

        def evaluated(v: np.ndarray) -> str:
            try:
                found = objective(v) if minimize.__name__ in ON_HOST else objective.on_device(v)[:2]
            except Exception as error:  # a value that is not finite: the run will say so
                found = type(error).__name__
            return digest(found)

        beside = v0 + np.cos(np.arange(v0.size)).astype(v0.dtype)
        key = digest(minimize.__name__, v0, evaluated(beside), [choice(c, choices) for c in choices.values()])
        times[key] += 1  # the same run again in one figure or page, to show that it ends the same, is made again
        file, state = folder / f"{key}-{times[key]}.pickle", choices.get("start")
        if file.is_file():
            with file.open("rb") as stream:
                code, end, ran = pickle.load(stream)
                if all(codes.get(name) == text for name, text in code.items()):
                    outcome, changed, rows = pickle.load(stream)
                    told = callback is None or rows or not outcome.trace  # or no iteration, of which to tell
                    if told and evaluated(outcome.v) == end:
                        again(rows if callback else [], callback)
                        if state is not None:
                            vars(state).update(changed)
                        for line in ran:
                            note(line)
                        counts["kept"] += 1
                        os.utime(file)  # the last used are the last to go
                        return outcome
        before, rows, saved = set(seen), [], []

        def noting(row: Any) -> None:
            def save(*where: Any, **facts: Any) -> Any:
                saved.append(where)
                return row.save(*where, **facts)

            rows.append(replace(row, v=row.v.copy(), save=None))
            callback(replace(row, save=row.save and save))

        common["callback"] = callback and noting
        outcome = minimize(*given.args, **given.kwargs)
        if saved or outcome.ended in ("stopped", "interrupted", "out of memory"):
            return outcome
        counts["painted"] += 1
        ran = [line for line in seen if line not in before or line.startswith(OPTIMIZERS)]
        used = {"", *(line.partition(":")[0] for line in ran)}
        code = {name: text for name, text in codes.items() if name in used}
        at = file.with_suffix(f".{os.getpid()}")
        with at.open("wb") as stream:
            pickle.dump((code, evaluated(outcome.v), ran), stream)
            pickle.dump((outcome, state and vars(state), rows), stream)
        at.replace(file)
        return outcome

    return kept


def again(rows: list[Any], callback: Callable[[Any], None]) -> None:
    """Call a callback with the iterations of a kept run."""
    try:
        for row in rows:
            callback(row)
    except StopIteration:
        raise RuntimeError("a callback ends a run that is kept whole: remove docs/_build/paintings") from None


def counted() -> str:
    """Return how many runs this process made and how many were kept, in words, or nothing if it had none."""
    return f", {counts['painted']} painted, {counts['kept']} kept" if any(counts.values()) else ""


def choice(value: Any, choices: dict[str, Any]) -> Any:
    """Return an option of an optimizer as what `digest` takes: of a learning rate its values, of a state its fields."""
    if callable(value):
        done = getattr(choices.get("start"), "steps", 0)  # of Adam at the scales before
        return [float(value(done + step)) for step in range(1, choices["iterations"] + 1)]
    known = value is None or isinstance(value, int | float | tuple | np.ndarray)
    return value if known else sorted(vars(value).items())


def digest(*values: Any) -> str:
    """Return a digest of numbers, texts, arrays, and lists and tuples of them."""
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, list | tuple):
            found.update(digest(*value).encode())
        elif isinstance(value, np.ndarray):
            found.update(f"{value.dtype} {value.shape}".encode() + np.ascontiguousarray(value).tobytes())
        else:
            found.update(f"{type(value).__name__} {value!r};".encode())
    return found.hexdigest()
