"""The trace of a run, with a row for each iteration, and its outcome, with the reason for stopping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from handstyle.foundations.backend import Array


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
    stopped : str
        The reason for stopping, in words.
    trace : list of Iteration
        One row for each iteration, without pictures.
    evaluations : int
        Evaluations of the objective in all.
    failed : bool
        Whether the run ended on a value that was not finite; `v` is then the last good picture.

    Examples
    --------
    >>> import numpy as np
    >>> outcome = Outcome(np.zeros(3), value=0.5, stopped="all 10 iterations done", trace=[], evaluations=12)
    >>> outcome.value, outcome.stopped
    (0.5, 'all 10 iterations done')
    """

    v: Array
    value: float
    stopped: str
    trace: list[Iteration]
    evaluations: int
    failed: bool = False
