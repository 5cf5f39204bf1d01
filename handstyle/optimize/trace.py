"""Data types of an optimizer's run: a row of its trace for each iteration, and its outcome."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from handstyle.foundations.backend import Array

# How a run, or one scale of it, ended. done: all iterations or evaluations were made; converged: no further descent;
# settled: by `stop_below`; stopped: by the callback; interrupted: by a signal. Results saved during a run: going on.
Ending = Literal["done", "converged", "settled", "stopped", "interrupted", "not finite", "out of memory", "going on"]
Reason = tuple[Ending, str]  # how a run ended, and a sentence for the user
COMPLETED: tuple[Ending, ...] = ("done", "converged", "settled")
FAILED: tuple[Ending, ...] = ("not finite", "out of memory")


class Save(Protocol):
    """A function that writes an optimizer's state to a file; the caller's JSON values `run` are written with it."""

    def __call__(self, path: Path, run: Mapping[str, Any] | None = None) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Iteration:
    """One iteration of an optimizer: a row of the trace, and the argument of a callback.

    Parameters
    ----------
    iteration : int
        Number of the iteration, counted from 1.
    evaluations : int
        Evaluations of the objective so far.
    value : float
        The objective's value at `v`.
    terms : dict of str to float
        The weighted value of each term; `value` is their sum.
    seconds : float
        Seconds since the start of the run.
    v : (n,) array
        The picture, flattened: a copy that the callback may keep. Rows of the trace have None.
    save : callable, optional
        ``save(path)`` writes a checkpoint, from which a later run resumes bit for bit (SciPy's L-BFGS-B: with an empty
        history). To be called during the callback only.

    Examples
    --------
    >>> row = Iteration(1, evaluations=2, value=0.5, terms={"content relu4_2": 0.5}, seconds=0.1)
    >>> row.value == sum(row.terms.values())
    True
    """

    iteration: int
    evaluations: int
    value: float
    terms: dict[str, float]
    seconds: float
    v: Array | None = None
    save: Save | None = None

    def values(self) -> list[Any]:
        """Return what a checkpoint keeps of the row: all fields but `v` and `save`.

        Examples
        --------
        >>> row = Iteration(1, evaluations=2, value=0.5, terms={"content relu4_2": 0.5}, seconds=0.1)
        >>> row.values(), Iteration(*row.values()) == row
        ([1, 2, 0.5, {'content relu4_2': 0.5}, 0.1], True)
        """
        return [self.iteration, self.evaluations, self.value, self.terms, self.seconds]


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
        How the run ended, one of `Ending`.
    stopped : str
        The reason for stopping, a sentence for the user.
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
        """Whether the run ended because a value was not finite or memory ran out.

        Examples
        --------
        >>> [Outcome(None, 0.5, ended, "", [], 12).failed for ended in ("interrupted", "out of memory")]
        [False, True]
        """
        return self.ended in FAILED
