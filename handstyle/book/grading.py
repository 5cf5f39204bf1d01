"""Grade the answers to exercises: compare their results with the right ones and with those of typical mistakes.

A judge calls the reader's functions and compares their results with the right ones. All comparisons are kept, passed or
not. If the errors of a wrong answer are those of a typical mistake, number by number, the answer resembles it.
"""

import importlib
import importlib.util
import math
import pkgutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import Signature, check_adjoint, check_projection


@dataclass(frozen=True)
class Comparison:
    """An error that was measured, and the largest that is allowed.

    Parameters
    ----------
    what : str
        What was compared, in words.
    error : float
        Relative to the expected value if that is not zero; for a condition, 0 if it holds and 1 otherwise.
    allowed : float
        The largest error that passes.
    remark : str
        How the answer differs from the right one: by a factor, a transposition, its shape.

    Examples
    --------
    >>> comparison = Comparison("the gradient", error=1.0, allowed=1e-9, remark="it is the right one times 2")
    >>> comparison.error > comparison.allowed
    True
    """

    what: str
    error: float
    allowed: float
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether the error is at most the allowed one; False for NaN.

        Examples
        --------
        >>> [Comparison("a sum", error, allowed=1e-6).passed for error in (1e-7, 2e-6, float("nan"))]
        [True, False, False]
        """
        return self.error <= self.allowed


class Judge:
    """The list of an answer's comparisons, with methods that compare something and append a `Comparison`.

    Attributes
    ----------
    rng : numpy.random.Generator
        Draws the same numbers for every answer, so that errors can be compared between answers.
    comparisons : list of Comparison
        The comparisons so far.

    Examples
    --------
    >>> judge = Judge()
    >>> judge.holds("as many rows as columns", True)
    >>> judge.equal("the trace", 2.5, 2.0)
    >>> [(comparison.what, comparison.passed) for comparison in judge.comparisons]
    [('as many rows as columns', True), ('the trace', False)]
    """

    def __init__(self) -> None:
        self.rng = np.random.default_rng(20151)
        self.comparisons: list[Comparison] = []

    def equal(self, what: str, found: Any, expected: Any, allowed: float = 1e-9) -> None:
        """Compare numbers or arrays by the norm of their difference, divided by that of `expected` if that is not zero.

        The remark says how a wrong result differs, if it is a multiple of the right one, transposed, or reversed. A
        wrong shape is an infinite error.

        Examples
        --------
        >>> judge = Judge()
        >>> judge.equal("the gradient", [2.0, 4.0], [1.0, 2.0])
        >>> judge.comparisons[0].error, judge.comparisons[0].remark
        (1.0, 'it is the right one times 2')
        """
        y, right = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
        if y.shape != right.shape:
            remark = f"its shape is {y.shape}, and {right.shape} is right"
            self.comparisons.append(Comparison(what, math.inf, allowed, remark))
            return
        size = float(np.linalg.norm(right)) or 1.0
        error = float(np.linalg.norm(y - right)) / size
        self.comparisons.append(Comparison(what, error, allowed, "" if error <= allowed else _relation(y, right)))

    def adjoint(self, what: str, forward: Callable[[Array], Array], backward: Callable[[Array], Array], x: Any) -> None:
        """Compare the two sides of ``<A u, v> = <u, A* v>`` at random u and v; at most 1e-12 is allowed.

        `forward` is A and `backward` A*; `x` is an input of A, or the shape of one.

        Examples
        --------
        >>> judge = Judge()
        >>> judge.adjoint("three times u", lambda u: 3 * u, lambda v: 3 * v, (4,))
        >>> judge.adjoint("the same, the factor forgotten", lambda u: 3 * u, lambda v: v, (4,))
        >>> [comparison.passed for comparison in judge.comparisons]
        [True, False]
        """
        report = check_adjoint(forward, backward, np.zeros(x) if isinstance(x, tuple) else x)
        self._report(what, report.values, report.measured, 1e-12)

    def gradient(
        self, what: str, f: Callable[[Array], float], gradient: Any, x: Array, signature: Signature | None = None
    ) -> None:
        """Compare the gradient of `f` at `x` with central differences along random directions; 1e-6 is allowed.

        `signature`, if given, is used to find kinks of `f`; see `check_projection`.

        Examples
        --------
        >>> judge, x = Judge(), np.array([1.0, 2.0, 3.0])
        >>> judge.gradient("of a sum of squares", lambda x: float((x * x).sum()), 2 * x, x)
        >>> judge.gradient("of half of it", lambda x: 0.5 * float((x * x).sum()), 2 * x, x)
        >>> [(comparison.passed, comparison.remark) for comparison in judge.comparisons]
        [(True, ''), (False, 'it is the right one times 2')]
        """
        if np.shape(gradient) != x.shape:
            remark = f"its shape is {np.shape(gradient)}, and {x.shape} is right"
            self.comparisons.append(Comparison(what, math.inf, 1e-6, remark))
            return
        report = check_projection(f, gradient, x, signature=signature)
        self._report(what, report.values, report.measured, 1e-6)

    def holds(self, what: str, condition: Any) -> None:
        """Append a comparison for a condition: its error is 0 if the condition is true, else 1, and 0 is allowed.

        Examples
        --------
        >>> judge = Judge()
        >>> judge.holds("all are float32", np.zeros(2).dtype == np.float32)
        >>> judge.comparisons
        [Comparison(what='all are float32', error=1.0, allowed=0.0, remark='')]
        """
        self.comparisons.append(Comparison(what, 0.0 if condition else 1.0, 0.0))

    def raises(self, what: str, kind: type[Exception], call: Callable[[], Any]) -> None:
        """Append a comparison for the condition that `call` raises an error of the expected kind.

        An error of another kind is not caught.

        Examples
        --------
        >>> judge = Judge()
        >>> judge.raises("ValueError for a word", ValueError, lambda: int("seven"))
        >>> judge.raises("ValueError for a number", ValueError, lambda: int("7"))
        >>> [comparison.passed for comparison in judge.comparisons]
        [True, False]
        """
        try:
            call()
        except kind:
            self.holds(what, True)
        else:
            self.holds(what, False)

    def _report(self, what: str, values: list[tuple[float, float]], error: float, allowed: float) -> None:
        first, second = np.array([v[0] for v in values]), np.array([v[1] for v in values])
        remark = "" if error <= allowed else _factor(second, first)
        self.comparisons.append(Comparison(what, error, allowed, remark))


def _factor(found: Array, right: Array) -> str:
    """Return a sentence on the common factor of all errors, if there is one."""
    square = float((right * right).sum())
    factor = float((found * right).sum()) / square if square else 0.0
    alike = np.linalg.norm(found - factor * right) <= 1e-4 * np.linalg.norm(found)
    return f"it is the right one times {factor:.4g}" if alike and square and abs(factor - 1) > 1e-3 else ""


def _relation(found: Array, right: Array) -> str:
    if not found.any():
        return "it is zero everywhere"
    if found.ndim == 2 and found.shape == found.T.shape and np.allclose(found.T, right):
        return "it is the right one, transposed"
    for axis in range(found.ndim):
        if found.shape[axis] > 1 and np.allclose(np.flip(found, axis), right):
            return f"it is the right one, with axis {axis} reversed"
    return _factor(found, right)


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer to an exercise, with its functions.

    Parameters
    ----------
    name : str
        Its name in the book, as of the mutants in ``tests/mutants``.
    says : str
        A sentence on what is wrong with it.
    functions : dict of str to callable
        The wrong functions, by the names of the right ones. In place of those that are not among them, the reader's own
        are called.

    Examples
    --------
    >>> doubled = Mistake("doubled", "the factor 1/2 of the loss is forgotten", {"loss": lambda f: f * f})
    >>> doubled.functions["loss"](3.0)  # the right loss is 4.5
    9.0
    """

    name: str
    says: str
    functions: dict[str, Callable[..., Any]]


@dataclass(frozen=True)
class Exercise:
    """An exercise of the book that asks for functions.

    Parameters
    ----------
    label : str
        Its label on the page: ``ch06-strided``.
    title : str
        Its title on the page.
    functions : tuple of str
        The names of the functions to write.
    judge : callable
        Takes the answer, whose attributes are the functions, and a `Judge`.
    mistakes : tuple of Mistake
        Known wrong answers, which the judge must reject.

    Examples
    --------
    >>> first = exercises_of(1)[0]
    >>> first.label, first.functions
    ('ch01-row', ('row_of_pixels',))
    """

    label: str
    title: str
    functions: tuple[str, ...]
    judge: Callable[[Any, Judge], None]
    mistakes: tuple[Mistake, ...]

    @property
    def chapter(self) -> int:
        """The number of the exercise's chapter, read from the label.

        Examples
        --------
        >>> Exercise("ch06-strided", "A strided convolution", ("strided",), lambda answer, judge: None, ()).chapter
        6
        """
        return int(self.label[2:4])


@dataclass(frozen=True)
class Grade:
    """The outcome of grading an answer.

    Parameters
    ----------
    exercise : Exercise
        The exercise.
    comparisons : list of Comparison
        The judge's comparisons, in order.
    missing : list of str
        Functions that the answer does not have.
    fault : str
        The error that one of its functions raised, with its line; empty if none did.
    resembles : Mistake or None
        The known mistake that gives the same errors.

    Examples
    --------
    >>> first = exercises_of(1)[0]
    >>> print(Grade(first, [Comparison("the value", 0.5, 1e-9)]))
    wrong      ch01-row: error 0.5, 1e-09 allowed: the value
               resembles none of the 3 mistakes known for it
    """

    exercise: Exercise
    comparisons: list[Comparison] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    fault: str = ""
    resembles: Mistake | None = None

    @property
    def passed(self) -> bool:
        """Whether the answer has all functions, raised no error, and passed all comparisons, at least one.

        Examples
        --------
        >>> first, right = exercises_of(1)[0], Comparison("the value", 0.0, 1e-9)
        >>> Grade(first, [right]).passed, Grade(first, [right], fault="ValueError: no such axis").passed
        (True, False)
        """
        return bool(self.comparisons) and not (self.missing or self.fault or self._wrong)

    @property
    def _wrong(self) -> list[Comparison]:
        """The comparisons that did not pass."""
        return [c for c in self.comparisons if not c.passed]

    def __str__(self) -> str:
        """Return two lines: the verdict, and the failed comparison or the mistake that the answer resembles."""
        verdict, first, second = self._said()
        return f"{verdict:11}{self.exercise.label}: {first}\n{'':11}{second}"

    def _said(self) -> tuple[str, str, str]:
        asked, n = self.exercise, len(self.comparisons)
        if len(self.missing) == len(asked.functions):
            return "no answer", asked.title, f"write {', '.join(asked.functions)}"
        if self.missing:
            return "wrong", "a part of the answer is missing", f"write {', '.join(self.missing)} too"
        if self.passed:
            worst = max(self.comparisons, key=lambda c: c.error / c.allowed if c.allowed else 0.0)
            if not worst.allowed:
                return "right", "error 0", f"{n} comparisons, all exact"
            which = f"the worst of {n} comparisons" if n > 1 else "one comparison"
            return "right", f"error {worst.error:.1e}, {worst.allowed:.0e} allowed", f"{which}: {worst.what}"
        second = f"resembles none of the {len(asked.mistakes)} mistakes known for it"
        if self._wrong and self._wrong[0].remark:
            second = self._wrong[0].remark
        if self.resembles:
            second = f"resembles “{self.resembles.name}”: {self.resembles.says}"
        if self.fault:
            return "wrong", self.fault, second
        c = self._wrong[0]
        allowed = f"{c.allowed:.0e}" if c.allowed else "none"
        return "wrong", f"error {c.error:.3g}, {allowed} allowed: {c.what}", second


EXERCISES: dict[str, Exercise] = {}


def exercise(
    label: str, title: str, functions: list[str], *mistakes: Mistake
) -> Callable[[Callable[[Any, Judge], None]], Callable[[Any, Judge], None]]:
    """Return a decorator that enters a judge, with its exercise, in the table `EXERCISES`.

    Parameters
    ----------
    label, title : str
        The label and the title of the exercise on its page.
    functions : list of str
        The names of the functions that the reader writes.
    *mistakes : Mistake
        Known wrong answers, which the judge must reject.

    Returns
    -------
    callable
        The decorator, which returns the judge unchanged.

    Examples
    --------
    >>> @exercise("ch99-square", "A square", ["square"], mistake("sum", "it adds", square=lambda x: x + x))
    ... def judge_square(answer, judge):
    ...     judge.equal("the square of 3", answer.square(3.0), 9.0)
    >>> asked = EXERCISES.pop("ch99-square")
    >>> grade(asked, SimpleNamespace(square=lambda x: x + x)).resembles.name
    'sum'
    """

    def enter(judge: Callable[[Any, Judge], None]) -> Callable[[Any, Judge], None]:
        EXERCISES[label] = Exercise(label, title, tuple(functions), judge, mistakes)
        return judge

    return enter


def mistake(name: str, says: str, **functions: Callable[..., Any]) -> Mistake:
    """Return a `Mistake` from its wrong functions, given by keyword.

    Examples
    --------
    >>> sorted(mistake("swapped", "rows and columns are exchanged", gram=np.transpose).functions)
    ['gram']
    """
    return Mistake(name, says, functions)


def chapters() -> dict[int, str]:
    """Return the titles of the chapters that have exercises to grade, by number; their judges are loaded.

    Examples
    --------
    >>> titles = chapters()
    >>> min(titles), titles[2]
    (1, 'Arrays on two machines')
    """
    titles = {}
    for module in sorted(pkgutil.iter_modules([str(Path(__file__).with_name("judges"))]), key=lambda m: m.name):
        loaded = importlib.import_module(f"handstyle.book.judges.{module.name}")
        titles[int(module.name[2:])] = (loaded.__doc__ or "").strip().splitlines()[0].rstrip(".")
    return titles


def exercises_of(chapter: int) -> list[Exercise]:
    """Return the exercises of a chapter, in the order of its page.

    Examples
    --------
    >>> {e.chapter for e in exercises_of(2)}, exercises_of(99)
    ({2}, [])
    """
    chapters()
    return [e for e in EXERCISES.values() if e.chapter == chapter]


def load_answers(path: Path) -> ModuleType:
    r"""Import a reader's file.

    Parameters
    ----------
    path : Path
        A Python file; the ending may be left out.

    Returns
    -------
    module
        Its functions.

    Raises
    ------
    HandstyleError
        If there is no such file, or if it fails while it is imported.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "answers.py"
    ...     _ = file.write_text("def double(x):\n    return 2 * x\n")
    ...     load_answers(file).double(21)
    42
    """
    file = path if path.suffix == ".py" else path.with_name(f"{path.name}.py")
    if not file.is_file():
        raise HandstyleError(f"{file}: no such file; write your functions into it, and grade it again")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise HandstyleError(f"{file}: cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise HandstyleError(f"{file}: {_said(error, str(file))}") from error
    finally:
        sys.path.pop(0)
    return module


def grade(asked: Exercise, answers: object) -> Grade:
    """Grade one exercise.

    Parameters
    ----------
    asked : Exercise
        The exercise.
    answers : object
        An object with the functions as attributes, for example a module.

    Returns
    -------
    Grade

    Examples
    --------
    >>> def judge_double(answer, judge):
    ...     judge.equal("twice 3", answer.double(3.0), 6.0)
    >>> asked = Exercise("ch01-double", "Twice a number", ("double",), judge_double, ())
    >>> grade(asked, SimpleNamespace(double=lambda x: x + x)).passed
    True
    >>> print(grade(asked, SimpleNamespace(double=lambda x: x * x)))
    wrong      ch01-double: error 0.5, 1e-09 allowed: twice 3
               it is the right one times 1.5
    """
    missing = [name for name in asked.functions if not callable(getattr(answers, name, None))]
    if missing:
        return Grade(asked, missing=missing)
    mine = {name: getattr(answers, name) for name in asked.functions}
    found, fault = _judged(asked, mine)
    if not fault and all(c.passed for c in found):
        return Grade(asked, found)
    for known in asked.mistakes:
        theirs, error = _judged(asked, {**mine, **known.functions})
        if _same(found, theirs) and fault.split(" (line")[0] == error.split(" (line")[0]:
            return Grade(asked, found, fault=fault, resembles=known)
    return Grade(asked, found, fault=fault)


def _judged(asked: Exercise, functions: dict[str, Callable[..., Any]]) -> tuple[list[Comparison], str]:
    """Return the comparisons of a judge and the error that a function raised, if any."""
    judge, file = Judge(), getattr(next(iter(functions.values())), "__globals__", {}).get("__file__", "")
    try:
        with np.errstate(all="ignore"):
            asked.judge(SimpleNamespace(**functions), judge)
    except Exception as error:
        return judge.comparisons, _said(error, file or "")
    return judge.comparisons, ""


def _same(found: list[Comparison], theirs: list[Comparison]) -> bool:
    """Return whether two answers have the same errors, except for rounding, and the same relation to the right."""

    def errors(comparisons: list[Comparison]) -> Array:
        return np.array([0.0 if c.passed else c.error for c in comparisons])

    if len(found) != len(theirs) or any(a.remark != b.remark for a, b in zip(found, theirs, strict=True)):
        return False
    return np.allclose(errors(found), errors(theirs), rtol=1e-6, atol=0, equal_nan=True)


def _said(error: Exception, file: str) -> str:
    """Return an error as one line of text, with the line of the reader's file that raised it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if isinstance(error, SyntaxError):
        lines = [error.lineno]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'without a message'}{where}"
