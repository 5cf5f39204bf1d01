"""What all optimizers share: counting evaluations, the best picture, callback, interruption, checkpoint and resume."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from handstyle.foundations.backend import Array
from handstyle.foundations.mapped import copy_array
from handstyle.optimize.checkpoint import read_checkpoint, write_checkpoint
from handstyle.optimize.checkpoint_archive import ArrayShape
from handstyle.optimize.endings import describe_exception, describe_settled
from handstyle.optimize.objective import Evaluable, NonFiniteError
from handstyle.optimize.trace import Callback, Iteration, Outcome, Reason

Box = tuple[float, float]  # lower and upper bound of every value of the picture
StepFunction = Callable[[Array, Array], tuple[Array, Array]]
State = tuple[dict[str, Array], dict[str, Any]]  # arrays, and all other values as JSON
TRACE = [(int, int, float, dict, float)]  # the kind of a trace in a checkpoint: rows of `Iteration`
OWN_FACTS = {"evaluations": int, "best_value": float, "best_terms": dict, "trace": TRACE, "seconds": float}
Answer = TypeVar("Answer", bound=tuple[Any, ...])  # of an objective: the value, the gradient and what else there is


class RunEnded(Exception):
    """Raised to end a run; its arguments are one of `Ending` and a sentence for the user."""


class RunOptions(TypedDict, total=False):
    """The options that all optimizers have; what they default to is in `Loop`.

    Parameters
    ----------
    callback : callable, optional
        Called with an `Iteration` after each iteration, whose ``save(path)`` writes a checkpoint. It may raise
        StopIteration to end the run; an argument, as in ``StopIteration("by hand")``, is the reason.
    resume : Path, optional
        A checkpoint of the same optimizer to resume from; only the size, dtype and device of the start are then used.
        The run goes on bit for bit as if it had not been interrupted, except that of SciPy's L-BFGS-B, whose history is
        not accessible and begins empty.
    stop_below : float
        Stop when ten iterations together have lowered the lowest value by less than this fraction of it; 0, the
        default, turns this test off.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.optimize.classic import minimize_descent
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> values = []
    >>> options = RunOptions(callback=lambda row: values.append(row.value), stop_below=0.01)
    >>> outcome = minimize_descent(Bowl(), np.array([4.0]), 3, lambda step: 0.25, **options)
    >>> values
    [16.0, 4.0, 1.0]
    """

    callback: Callback | None
    resume: Path | None
    stop_below: float


class Loop:
    """The record of an optimizer's run: the number of evaluations, the trace, the best picture, and how the run ended.

    An optimizer iterates in a block ``with loop.running():``, evaluates its objective and records each evaluation with
    `record`, and each iteration with `accept`.

    Parameters
    ----------
    objective : Evaluable
        The function that is minimized; the record takes the values of its terms from it.
    method : str
        The name of the optimizer, for checkpoints.
    callback, resume, stop_below
        See `RunOptions`.

    Attributes
    ----------
    count : int
        Evaluations so far.
    best_value, best_v : float, array
        The lowest value so far, and the picture that has it.
    trace : list of Iteration
        One row for each iteration, without pictures.
    reason : (str, str)
        How the run ended: one of `Ending`, and a sentence for the user. The optimizer sets it at the end of its block.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> bowl = Bowl()
    >>> loop, v = Loop(bowl), np.array([4.0])
    >>> with loop.running():
    ...     for _ in range(3):
    ...         value, gradient = loop.record(v, bowl(v))
    ...         loop.accept(v, value)
    ...         v = v - gradient / 4
    ...     loop.reason = "done", "all 3 iterations done"
    >>> loop.outcome().value, loop.count
    (1.0, 3)
    """

    def __init__(
        self,
        objective: Evaluable,
        method: str = "",
        callback: Callback | None = None,
        resume: Path | None = None,
        stop_below: float = 0.0,
    ) -> None:
        self.objective, self.method = objective, method + objective.variables
        self.callback, self.resume, self.stop_below = callback, resume, stop_below
        self.count, self.trace = 0, list[Iteration]()
        self.best_value, self.best_terms = float("inf"), dict[str, float]()
        self.best_v: Array | None = None
        self.reason: Reason = "going on", ""
        self.started = time.perf_counter()

    def record(self, v: Array, answer: Answer) -> Answer:  # (n,)
        """Count an evaluation, and keep a copy of the picture `v` if its value is the lowest so far.

        Parameters
        ----------
        v : (n,) array
            The picture that was evaluated.
        answer : tuple
            What the objective returned: the value, the gradient, and possibly more.

        Returns
        -------
        tuple
            The same `answer`, so that a call can stand around the evaluation: ``loop.record(v, objective(v))``.

        Examples
        --------
        >>> import numpy as np
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> bowl = Bowl()
        >>> loop = Loop(bowl)
        >>> for x in (3.0, 1.0, 2.0):
        ...     value, gradient = loop.record(np.array([x]), bowl(np.array([x])))
        >>> loop.count, loop.best_v, value
        (3, array([1.]), 4.0)
        """
        value: float = answer[0]
        self.count += 1
        if value < self.best_value:
            self.best_value, self.best_v, self.best_terms = value, copy_array(v), dict(self.objective.terms)
        return answer

    def accept(self, v: Array, value: float, state: Callable[[], State] | None = None) -> None:
        """Add an iteration that ended at `v` to the trace, call the callback, and end the run if `stop_below` says so.

        Parameters
        ----------
        v : (n,) array
            The picture at the end of the iteration.
        value : float
            The objective's value at `v`.
        state : callable, optional
            Returns the optimizer's arrays and values for a checkpoint; by default the picture `v` alone.

        Raises
        ------
        RunEnded
            If the callback raised StopIteration, or `stop_below` ends the run; `running` takes it.

        Examples
        --------
        >>> import numpy as np
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> bowl, v = Bowl(), np.array([3.0])
        >>> loop = Loop(bowl, callback=lambda row: print(row.iteration, row.value, row.v))
        >>> value, _ = loop.record(v, bowl(v))
        >>> loop.accept(v, value)
        1 9.0 [3.]
        """
        terms = self.best_terms if value == self.best_value else dict(self.objective.terms)
        row = Iteration(len(self.trace) + 1, self.count, value, terms, time.perf_counter() - self.started)
        self.trace.append(row)
        if self.callback is not None:
            save = partial(self._save, state or (lambda: ({"v": v}, {})))
            try:
                self.callback(replace(row, v=copy_array(v), save=save))
            except StopIteration as stop:
                raise RunEnded("stopped", f"stopped {stop.value or 'by the callback'}") from stop
        if settled := describe_settled(self.trace, self.stop_below):
            raise RunEnded("settled", settled)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Turn an exception that ends the run within the ``with`` block into the reason for stopping.

        Before the first evaluation such an exception is raised, except `RunEnded`: there is no picture to return.

        Examples
        --------
        >>> import numpy as np
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> bowl, v = Bowl(), np.array([3.0])
        >>> loop = Loop(bowl)
        >>> with loop.running():
        ...     value, _ = loop.record(v, bowl(v))
        ...     raise KeyboardInterrupt
        >>> loop.reason
        ('interrupted', 'interrupted after 0 iterations')
        """
        try:
            yield
        except RunEnded as end:
            self.reason = end.args[0], end.args[1]
        except (KeyboardInterrupt, NonFiniteError, MemoryError) as error:  # NumPy's, CuPy's and `OutOfMemoryError`
            if self.best_v is None:
                raise
            self.reason = describe_exception(error, len(self.trace))

    def outcome(self) -> Outcome:
        """Return the best picture, with the reason for stopping.

        Examples
        --------
        >>> import numpy as np
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> bowl, v = Bowl(), np.array([3.0])
        >>> loop = Loop(bowl)
        >>> with loop.running():
        ...     value, _ = loop.record(v, bowl(v))
        ...     raise RunEnded("stopped", "stopped by hand")
        >>> outcome = loop.outcome()
        >>> outcome.v, outcome.value, outcome.stopped
        (array([3.]), 9.0, 'stopped by hand')
        """
        assert self.best_v is not None
        return Outcome(self.best_v, self.best_value, *self.reason, self.trace, self.count)

    def begin(self, v0: Array, shapes: Mapping[str, ArrayShape] = {}, kinds: Mapping[str, Any] = {}) -> State:
        """Return the state in which the run begins: the start alone, or that of the checkpoint to resume from.

        Count, trace and best picture of the checkpoint are restored.

        Parameters
        ----------
        v0 : (n,) array
            The start of this run; if there is a checkpoint, only its size, dtype and device are used.
        shapes, kinds : mapping, optional
            The shapes of the optimizer's arrays besides ``v`` and the types of its other values; see `read_checkpoint`.

        Returns
        -------
        (dict of str to array, dict)
            The arrays, of which ``v`` is the picture, and all other values; these are empty without a checkpoint.

        Raises
        ------
        HandstyleError
            If the file is not a checkpoint of this optimizer for a picture of this size and dtype.

        Examples
        --------
        >>> import numpy as np
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "checkpoint"
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> bowl, v = Bowl(), np.array([3.0])
        >>> loop = Loop(bowl, "descent", callback=lambda row: row.save(path))
        >>> loop.accept(v, loop.record(v, bowl(v))[0])
        >>> resumed = Loop(bowl, "descent", resume=path)
        >>> resumed.begin(np.zeros(1))[0]["v"], len(resumed.trace)
        (array([3.]), 1)
        >>> folder.cleanup()
        """
        if self.resume is None:
            return {"v": v0}, {}
        shapes, kinds = {"best_v": v0.shape, **shapes}, {**OWN_FACTS, **kinds}
        arrays, facts = read_checkpoint(self.resume, self.method, v0, shapes, kinds)
        self.count, self.best_value, self.best_v = facts["evaluations"], facts["best_value"], arrays["best_v"]
        self.best_terms, self.trace = facts["best_terms"], [Iteration(*row) for row in facts["trace"]]
        self.started = time.perf_counter() - facts["seconds"]
        return arrays, facts

    def take_steps(self, v: Array, iterations: int, step: StepFunction, state: Callable[[Array], State]) -> Outcome:
        """Make steps without a line search, with one evaluation each.

        Parameters
        ----------
        v : (n,) array
            The picture at which the first step begins.
        iterations : int
            Number of steps; those of a resumed run are counted.
        step : callable
            ``step(v, gradient)`` returns the picture after a step from `v`, and the picture to show for the iteration.
        state : callable
            ``state(v)`` returns the optimizer's arrays and values at the picture `v`, for a checkpoint.

        Returns
        -------
        Outcome
            The best picture evaluated.

        Examples
        --------
        >>> import numpy as np
        >>> class Bowl(Evaluable):
        ...     terms = {}
        ...     def __call__(self, v):
        ...         return float(v @ v), 2 * v
        >>> def step(v, gradient):
        ...     return v - gradient / 4, v
        >>> Loop(Bowl()).take_steps(np.array([4.0]), 3, step, lambda v: ({"v": v}, {})).value
        1.0
        """
        with self.running():
            while len(self.trace) < iterations:
                value, gradient, _ = self.record(v, self.objective.on_device(v))
                v, shown = step(v, gradient)
                self.accept(shown, value, partial(state, v))
                del shown  # else it would be kept through the next evaluation
            self.reason = "done", f"all {iterations} iterations done"
        return self.outcome()

    def _save(self, state: Callable[[], State], path: Path, run: Mapping[str, Any] | None = None) -> None:
        arrays, facts = state()
        assert self.best_v is not None
        kept = {
            "evaluations": self.count,
            "best_value": self.best_value,
            "best_terms": self.best_terms,
            "trace": [row.values() for row in self.trace],
            "seconds": time.perf_counter() - self.started,
            "run": run,
        }
        write_checkpoint(path, self.method, arrays | {"best_v": self.best_v}, facts | kept)


def inside(v: Array, box: Box | None) -> Array:  # (n,) -> (n,)
    """Return a picture clipped to a box, or itself if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> inside(np.array([-1.0, 300.0]), (0.0, 255.0))
    array([  0., 255.])
    """
    return v if box is None else v.clip(*box)
