"""What a run reports: a row for each iteration, and an outcome with the reason for stopping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from handstyle.foundations.backend import Array


class Evaluable(Protocol):
    """A function to be minimized, ``objective(v) -> (value, gradient)``, with the values of its terms.

    A function may also have `Objective.on_device`; the optimizers that work on a device use it where it is there.
    """

    @property
    def terms(self) -> dict[str, float]: ...  # noqa: D102

    def __call__(self, v: Array) -> tuple[float, Array]: ...  # noqa: D102


class Save(Protocol):
    """Writes an optimizer's whole state; `run` is whatever else the caller must keep, as JSON values."""

    def __call__(self, path: Path, run: Mapping[str, Any] | None = None) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Iteration:
    """A row of the trace, and what a callback is given.

    Parameters
    ----------
    iteration : int
        Counted from 1.
    evaluations : int
        Of the objective, so far.
    value : float
        Of the objective, at `v`.
    terms : dict of str to float
        The weighted terms whose sum it is.
    seconds : float
        Since the start.
    v : (n,) array
        The picture, flattened; a copy that the callback may keep. Not kept in the trace.
    save : callable, optional
        ``save(path)`` writes the optimizer's whole state, from which a later run goes on bit for bit; only valid during
        the callback. None where the state cannot be read (SciPy's).
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
    """What an optimizer returns.

    Parameters
    ----------
    v : (n,) array
        The best picture that was evaluated.
    value : float
        Of the objective at `v`.
    stopped : str
        The reason for stopping, in words.
    trace : list of Iteration
        Without the pictures.
    evaluations : int
        In all.
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
