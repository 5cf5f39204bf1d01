"""What all optimizers share: counting evaluations, the best picture, callback, interruption, checkpoint and resume."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from handstyle.foundations.backend import Array, to_numpy
from handstyle.foundations.mapped import copy_array
from handstyle.optimize.checkpoint import Shape, read_checkpoint, write_checkpoint
from handstyle.optimize.objective import NonFiniteError
from handstyle.optimize.trace import Callback, Ending, Evaluable, Iteration, Outcome, Save

State = tuple[dict[str, Array], dict[str, Any]]  # arrays, and all other values as JSON
TRACE = [(int, int, float, dict, float)]  # the kind of a trace in a checkpoint: rows of `Iteration`
OWN_FACTS = {"evaluations": int, "best_value": float, "best_terms": dict, "trace": TRACE, "seconds": float}


class OutOfEvaluations(Exception):
    """Raised when the objective has been evaluated as often as is allowed."""


class StoppedBelow(Exception):
    """Raised when the last `WINDOW` iterations have lowered the value by less than the fraction `stop_below` of it."""


WINDOW = 10  # iterations for `stop_below`: after one that lowers the value little, the next may lower it much


class Loop:
    """The objective as an optimizer evaluates it, with the count of evaluations, the trace and the best picture.

    Parameters
    ----------
    objective : Evaluable
        The function to minimize.
    callback : callable, optional
        Called with an `Iteration` after each iteration. It may raise StopIteration to end the run; an argument, as in
        ``StopIteration("by hand")``, is the reason.
    method : str
        The name of the optimizer, for checkpoints.
    evaluations : int, optional
        Evaluations at most; not limited by default.
    stop_below : float
        Stop when `WINDOW` iterations together have lowered the lowest value by less than this fraction of it; 0 turns
        this test off.

    Attributes
    ----------
    count : int
        Evaluations so far.
    best_value, best_v : float, array
        The lowest value so far, and the picture that has it.
    trace : list of Iteration
        One row for each iteration, without pictures.
    """

    def __init__(
        self,
        objective: Evaluable,
        callback: Callback | None = None,
        method: str = "",
        evaluations: int | None = None,
        stop_below: float = 0.0,
    ) -> None:
        self.objective, self.callback, self.allowed = objective, callback, evaluations
        self.stop_below = stop_below
        self.method = method + getattr(objective, "variables", "")
        self.count, self.trace = 0, list[Iteration]()
        self.best_value, self.best_terms = float("inf"), dict[str, float]()
        self.best_v: Array | None = None
        self.stopped = "stopped by the callback"
        self.started = time.perf_counter()

    def __call__(self, v: Array) -> tuple[float, Array]:  # (n,) -> value, (n,)
        """Evaluate the objective, count the evaluation, and keep a copy of `v` if its value is the lowest so far."""
        self._check_allowed()
        value, gradient = self.objective(v)
        self._keep(v, value)
        return value, gradient

    def on_device(
        self, v: Array, extra: Callable[[Array], Array] | None = None
    ) -> tuple[float, Array, Array]:  # (n,) -> value, (n,), extra
        """Evaluate the objective on the device of `v`: by its method `on_device` if it has one, else by calling it."""
        self._check_allowed()
        evaluate = getattr(self.objective, "on_device", None)
        if evaluate is not None:
            value, gradient, answer = evaluate(v, extra)
        else:
            value, gradient = self.objective(v)
            gradient = gradient.astype(v.dtype, copy=False)
            answer = None if extra is None else to_numpy(extra(gradient))
        self._keep(v, value)
        return value, gradient, answer

    def accept(self, v: Array, value: float, state: Callable[[], State] | None = None) -> None:
        """Add an iteration that ended at `v` to the trace, call the callback, and end the run if `stop_below` says so.

        Parameters
        ----------
        v : (n,) array
            The picture at the end of the iteration.
        value : float
            The objective's value at `v`.
        state : callable, optional
            Returns the optimizer's own arrays and values for a checkpoint.
        """
        terms = self.best_terms if value == self.best_value else dict(self.objective.terms)
        row = Iteration(len(self.trace) + 1, self.count, value, terms, time.perf_counter() - self.started)
        self.trace.append(row)
        if self.callback is not None:
            save = None if state is None else self._save(state)
            try:
                self.callback(Iteration(row.iteration, row.evaluations, value, terms, row.seconds, copy_array(v), save))
            except StopIteration as stop:  # noted here, since SciPy catches it
                self.stopped = f"stopped {stop.value or 'by the callback'}"
                raise
        if self.stop_below and len(self.trace) > WINDOW:
            before = min(row.value for row in self.trace[:-WINDOW])
            if before - min(row.value for row in self.trace[-WINDOW:]) < self.stop_below * abs(before):
                raise StoppedBelow

    def run(self, steps: Callable[[], tuple[Ending, str]]) -> Outcome:
        """Run an optimizer until it ends, and return the best picture with the reason for stopping.

        Exceptions that end the run, such as KeyboardInterrupt, are caught and become the reason for stopping.

        Parameters
        ----------
        steps : callable
            Iterates, and returns how it ended: one of `Ending`, and a sentence for the user.

        Returns
        -------
        Outcome

        Raises
        ------
        NonFiniteError
            If the value at the start is not finite: there is no good picture to return.
        """
        try:
            return self.outcome(*steps())
        except StopIteration:
            return self.outcome("stopped", self.stopped)
        except KeyboardInterrupt:
            if self.best_v is None:
                raise
            return self.outcome("interrupted", f"interrupted after {len(self.trace)} iterations")
        except StoppedBelow:
            return self.outcome(
                "settled",
                f"settled after {len(self.trace)} iterations: the last {WINDOW} lowered the loss by less than "
                f"{self.stop_below:g} of it",
            )
        except OutOfEvaluations:
            return self.outcome("done", f"all {self.allowed} evaluations done")
        except NonFiniteError as error:
            if self.best_v is None:
                raise
            return self.outcome("not finite", f"stopped by a value that is not finite: {error}")
        except MemoryError as error:  # NumPy's, CuPy's and `OutOfMemoryError`
            if self.best_v is None:
                raise
            return self.outcome("out of memory", f"stopped, for memory ran out: {error}")

    def outcome(self, ended: Ending, stopped: str) -> Outcome:
        """Return the best picture with the reason for stopping: one of `Ending`, and a sentence for the user."""
        assert self.best_v is not None
        return Outcome(self.best_v, self.best_value, ended, stopped, self.trace, self.count)

    def resume(
        self, path: Path, like: Array, shapes: Mapping[str, Shape] | None = None, kinds: Mapping[str, Any] | None = None
    ) -> State:
        """Restore count, trace and best picture from a checkpoint, and return the optimizer's state from it.

        Parameters
        ----------
        path : Path
            A file written by `Iteration.save`.
        like : (n,) array
            The start of this run; its size, dtype and device are used.
        shapes, kinds : mapping, optional
            The shapes of the optimizer's arrays besides ``v`` and the types of its other values; see `read_checkpoint`.

        Returns
        -------
        (dict of str to array, dict)
            The arrays, and all other values.

        Raises
        ------
        HandstyleError
            If the file is not a checkpoint of this optimizer for a picture of this size and dtype.
        """
        needed: dict[str, Shape] = {"best_v": like.shape, **(shapes or {})}
        arrays, facts = read_checkpoint(path, self.method, like, needed, {**OWN_FACTS, **(kinds or {})})
        self.count, self.best_value, self.best_v = facts["evaluations"], facts["best_value"], arrays["best_v"]
        self.best_terms, self.trace = facts["best_terms"], [Iteration(*row) for row in facts["trace"]]
        self.started = time.perf_counter() - facts["seconds"]
        return arrays, facts

    def _save(self, state: Callable[[], State]) -> Save:
        def save(path: Path, run: Mapping[str, Any] | None = None) -> None:
            arrays, facts = state()
            assert self.best_v is not None
            kept = {
                "evaluations": self.count,
                "best_value": self.best_value,
                "best_terms": self.best_terms,
                "trace": [[r.iteration, r.evaluations, r.value, r.terms, r.seconds] for r in self.trace],
                "seconds": time.perf_counter() - self.started,
                "run": run,
            }
            write_checkpoint(path, self.method, arrays | {"best_v": self.best_v}, facts | kept)

        return save

    def _check_allowed(self) -> None:
        if self.allowed is not None and self.count >= self.allowed:
            raise OutOfEvaluations

    def _keep(self, v: Array, value: float) -> None:
        self.count += 1
        if value < self.best_value:
            self.best_value, self.best_v, self.best_terms = value, copy_array(v), dict(self.objective.terms)
