"""How the scripts did it: SciPy restarted every twenty evaluations, and plain descent.

Both are here so that the pictures of 2016 and 2020 can be painted again, and so that what they lose can be seen: the
restarts throw the curvature away, the descent never has any.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import fmin_l_bfgs_b

from handstyle.foundations.backend import Array
from handstyle.optimize.checkpoint import pack_watch, read_checkpoint, unpack_watch, write_checkpoint
from handstyle.optimize.lbfgsb import one_scipy_thread
from handstyle.optimize.objective import NonFiniteError
from handstyle.optimize.trace import Callback, Evaluable, Outcome, Watch

DESCENT = "plain descent"


def minimize_rounds(
    objective: Evaluable,
    v0: Array,
    rounds: int,
    evaluations: int = 20,
    memory: int = 10,
    callback: Callback | None = None,
) -> Outcome:
    """Call SciPy's L-BFGS-B again and again, each time from where it stopped and with nothing remembered.

    Parameters
    ----------
    objective : callable
        ``objective(v) -> (value, gradient)`` in float64.
    v0 : (n,) array of float64
        The start.
    rounds : int
        Calls; the Keras script makes 10.
    evaluations : int
        ``maxfun`` of each call; the script has 20.
    memory : int
        ``m``, SciPy's default 10.
    callback : callable, optional
        Called after each round with an `Iteration`, whose number is that of the round; may raise StopIteration.

    Returns
    -------
    Outcome
        The last picture of the last round, which SciPy returns as the best of it, and one row a round.

    Notes
    -----
    keras-team/keras examples/neural_style_transfer.py. SciPy's tests stay as they are, ``factr=1e7`` and
    ``pgtol=1e-5``, on an objective that is not scaled: a round may end early and the next one begins anyway. After a
    restart the first direction is steepest descent with a step of length 1, so half a dozen of twenty evaluations go
    into finding out again how far to go.
    """
    watch = Watch(objective, callback)
    v = np.array(v0, np.float64)
    try:
        with one_scipy_thread():
            for _ in range(rounds):
                v, value, _ = fmin_l_bfgs_b(watch, v, maxfun=evaluations, m=memory)
                watch.accept(v, float(value))
    except StopIteration:
        return watch.outcome("stopped by the callback")
    except KeyboardInterrupt:
        return watch.outcome(f"interrupted after {len(watch.trace)} rounds")
    except NonFiniteError as error:
        if watch.best_v is None:
            raise
        return watch.outcome(f"stopped by a value that is not finite: {error}", failed=True)
    return watch.outcome(f"all {rounds} rounds of {evaluations} evaluations done")


def minimize_descent(
    objective: Evaluable,
    v0: Array,
    iterations: int,
    rate: Callable[[int], float],
    box: tuple[float, float] | None = None,
    callback: Callback | None = None,
    resume: Path | None = None,
) -> Outcome:
    """Step along the negative gradient: ``v ← v − rate(step) g``.

    Parameters
    ----------
    objective : callable
        ``objective(v) -> (value, gradient)``, on any device.
    v0 : (n,) array
        The start.
    iterations : int
        Steps, one evaluation each.
    rate : callable
        Of the step, counted from 1.
    box : (float, float), optional
        Every iterate is clamped to it after its step.
    callback : callable, optional
        Called after each evaluation with an `Iteration` whose ``save(path)`` writes a checkpoint; may raise
        StopIteration.
    resume : Path, optional
        A checkpoint to go on from, bit for bit.

    Returns
    -------
    Outcome
        The best picture evaluated.

    Raises
    ------
    HandstyleError
        If the checkpoint does not fit.
    """
    if resume is None:
        watch, v = Watch(objective, callback), v0.copy() if box is None else v0.clip(*box)
    else:
        arrays, facts = read_checkpoint(resume, DESCENT, v0)
        watch, v = unpack_watch(objective, callback, arrays, facts), arrays["v"]

    def save(path: Path, run: Mapping[str, Any] | None = None) -> None:
        arrays, facts = pack_watch(watch)
        write_checkpoint(path, DESCENT, arrays | {"v": v}, facts | {"run": run})

    try:
        while len(watch.trace) < iterations:
            at, (value, g) = v, watch(v)
            v = v - rate(len(watch.trace) + 1) * g.astype(v.dtype, copy=False)
            if box is not None:
                v = v.clip(*box)
            watch.accept(at, value, save)
    except StopIteration:
        return watch.outcome("stopped by the callback")
    except KeyboardInterrupt:
        return watch.outcome(f"interrupted after {len(watch.trace)} iterations")
    except NonFiniteError as error:
        if watch.best_v is None:
            raise
        return watch.outcome(f"stopped by a value that is not finite: {error}", failed=True)
    return watch.outcome(f"all {iterations} iterations done")
