"""The trace of a run, with a row for each iteration, and its outcome, with the reason for stopping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from handstyle.foundations.backend import Array

# How a run ended, or a scale of it: all that was asked for is done; it converged, or settled by `stop_below`; the
# callback stopped it, or a signal; a value was not finite; memory ran out. A picture on the way is of one going on.
Ending = Literal["done", "converged", "settled", "stopped", "interrupted", "not finite", "out of memory", "going on"]
WHOLE: tuple[Ending, ...] = ("done", "converged", "settled")  # to its end
FAILED: tuple[Ending, ...] = ("not finite", "out of memory")


class Evaluable(Protocol):
    """A function to be minimized, ``objective(v) -> (value, gradient)``, with the values of its terms.

    It may also have a method `on_device` like that of `Objective`, which the optimizers that run on a device call
    instead. If its unknowns are not pixels, its attribute `variables` describes them, for checkpoints.
    """

    @property
    def terms(self) -> dict[str, float]: ...  # noqa: D102

    def __call__(self, v: Array) -> tuple[float, Array]: ...  # noqa: D102


class Save(Protocol):
    """A function that writes an optimizer's state to a file, together with `run`, JSON values of the caller."""

    def __call__(self, path: Path, run: Mapping[str, Any] | None = None) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Iteration:
    """A row of the trace; also the argument of a callback.

    Parameters
    ----------
    iteration : int
        Counted from 1.
    evaluations : int
        Evaluations of the objective so far.
    value : float
        The objective's value at `v`.
    terms : dict of str to float
        The weighted value of each term; `value` is their sum.
    seconds : float
        Seconds since the start of the run.
    v : (n,) array
        The picture, flattened; a copy that the callback may keep. Not kept in the trace.
    save : callable, optional
        ``save(path)`` writes the optimizer's state, from which a later run resumes: bit for bit, but with SciPy's
        L-BFGS-B from its picture alone. Only valid during the callback.
    """

    iteration: int
    evaluations: int
    value: float
    terms: dict[str, float]
    seconds: float
    v: Array | None = None
    save: Save | None = None


Callback = Callable[[Iteration], None]


@dataclass(frozen=True)
class Outcome:
    """The result of an optimizer.

    Parameters
    ----------
    v : (n,) array
        The best picture that was evaluated.
    value : float
        The objective's value at `v`.
    ended : str
        How it ended, one of `Ending`.
    stopped : str
        The same, in words.
    trace : list of Iteration
        One row for each iteration, without pictures.
    evaluations : int
        Evaluations of the objective in all.

    Examples
    --------
    >>> import numpy as np
    >>> outcome = Outcome(np.zeros(3), 0.5, "done", "all 10 iterations done", trace=[], evaluations=12)
    >>> outcome.stopped, outcome.failed
    ('all 10 iterations done', False)
    """

    v: Array
    value: float
    ended: Ending
    stopped: str
    trace: list[Iteration]
    evaluations: int

    @property
    def failed(self) -> bool:
        """Whether a value was not finite, or memory ran out; `v` is then the last good picture."""
        return self.ended in FAILED
