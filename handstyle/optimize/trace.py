"""What every optimiser keeps: evaluations counted, the best picture, a row an iteration, the reason for stopping."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from handstyle.foundations.backend import Array, to_numpy
from handstyle.optimize.objective import Beside


class Evaluable(Protocol):
    """An objective as an optimiser sees it."""

    @property
    def ledger(self) -> dict[str, float]: ...  # noqa: D102

    def __call__(self, v: Array) -> tuple[float, Array]: ...  # noqa: D102


class Save(Protocol):
    """Writes an optimiser's whole state; `run` is whatever else the caller must remember, as JSON knows it."""

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
        The picture, flattened; a copy the callback may keep. Not kept in the trace.
    save : callable, optional
        ``save(path)`` writes the optimiser's whole state, from which a later run goes on bit for bit; only valid during
        the callback. None where the optimiser's state cannot be had (SciPy's).
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
    """What an optimiser returns.

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
    """

    v: Array
    value: float
    stopped: str
    trace: list[Iteration]
    evaluations: int
    failed: bool = False


@dataclass
class Watch:
    """Stands between an optimiser and the objective: counts, times, and keeps the best picture.

    Parameters
    ----------
    objective : Evaluable
        The function to descend.
    callback : callable, optional
        Called with an `Iteration` after each; may raise StopIteration to end the run.
    """

    objective: Evaluable
    callback: Callback | None = None
    evaluations: int = 0
    best_value: float = float("inf")
    best_v: Array | None = None
    trace: list[Iteration] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def __call__(self, v: Array) -> tuple[float, Array]:  # (n,) -> value, (n,)
        """Evaluate, count, and keep a copy of `v` if it is the best so far."""
        value, gradient = self.objective(v)
        self._count(v, value)
        return value, gradient

    def beside(self, v: Array, ask: Beside) -> tuple[float, Array, Array]:  # (n,) -> value, (n,), what was asked for
        """Evaluate, and bring home what ``ask(gradient)`` makes on the device with the value, if the objective can."""
        together = getattr(self.objective, "beside", None)
        if together is not None:
            value, gradient, answer = together(v, ask)
        else:
            value, gradient = self.objective(v)
            answer = to_numpy(ask(gradient))
        self._count(v, value)
        return value, gradient, answer

    def _count(self, v: Array, value: float) -> None:
        self.evaluations += 1
        if value < self.best_value:
            self.best_value, self.best_v, self.best_terms = value, v.copy(), dict(self.objective.ledger)

    def accept(self, v: Array, value: float, save: Save | None = None) -> None:
        """Record that an iteration ended at `v`, and tell the callback, which may `save` the optimiser's state."""
        terms = self.best_terms if value == self.best_value else dict(self.objective.ledger)
        seconds = time.perf_counter() - self.started
        row = Iteration(len(self.trace) + 1, self.evaluations, value, terms, seconds)
        self.trace.append(row)
        if self.callback is not None:
            self.callback(Iteration(row.iteration, row.evaluations, value, terms, seconds, v.copy(), save))

    def outcome(self, stopped: str, failed: bool = False) -> Outcome:
        """Return the best picture and the reason for stopping."""
        assert self.best_v is not None
        return Outcome(self.best_v, self.best_value, stopped, self.trace, self.evaluations, failed)
