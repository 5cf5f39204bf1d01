"""Say how the run of an optimizer ended: by an exception, by SciPy's own tests, or early, because little changed."""

from typing import Any

import numpy as np

from handstyle.optimize.objective import NonFiniteError
from handstyle.optimize.trace import Iteration, Reason

WINDOW = 10  # iterations for `stop_below`: after one that lowers the value little, the next may lower it much


def describe_exception(error: BaseException, iterations: int) -> Reason:
    """Return how a run ended by an exception: an interruption, a value that is not finite, or a lack of memory.

    Parameters
    ----------
    error : KeyboardInterrupt, NonFiniteError or MemoryError
        The exception.
    iterations : int
        Number of iterations made before it.

    Returns
    -------
    (str, str)

    Examples
    --------
    >>> describe_exception(KeyboardInterrupt(), 12)
    ('interrupted', 'interrupted after 12 iterations')
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", f"interrupted after {iterations} iterations"
    if isinstance(error, NonFiniteError):
        return "not finite", f"stopped by a value that is not finite: {error}"
    return "out of memory", f"stopped, for memory ran out: {error}"


def describe_scipy(result: Any, before: int, iterations: int, evaluations: float, tolerance: float) -> Reason:
    """Return how a run of SciPy's L-BFGS-B ended.

    Parameters
    ----------
    result : OptimizeResult
        SciPy's result, of which ``status``, ``message``, ``nit`` and ``jac`` are used.
    before : int
        Number of iterations made before this run, by the one that it resumes.
    iterations, evaluations : int, float
        The limits of the run.
    tolerance : float
        See `minimize_lbfgsb`.

    Returns
    -------
    (str, str)

    Examples
    --------
    >>> from scipy.optimize import OptimizeResult
    >>> describe_scipy(OptimizeResult(status=1, message="STOP", nit=30), 10, 40, 820, tolerance=0.0)
    ('done', 'all 40 iterations done')
    """
    message, count = str(result.message).strip().rstrip(":. "), before + result.nit
    if result.status == 1:
        what = f"{iterations} iterations" if count >= iterations else f"{evaluations:g} evaluations"
        return "done", f"all {what} done"
    if result.status == 2:
        return "converged", f"no further descent: the line search failed after {count} iterations ({message})"
    if not np.any(result.jac):
        return "converged", f"the gradient is exactly zero after {count} iterations"
    less = f"an iteration lowered the value by less than {tolerance:g} of the start's"
    same = f"the last of {count} iterations left the value as it was, to the last bit"
    return "converged", f"converged: {less if tolerance else same} ({message})"


def describe_settled(trace: list[Iteration], stop_below: float) -> str | None:
    """Return a sentence if the last `WINDOW` iterations lowered the lowest value by less than a fraction of it.

    Parameters
    ----------
    trace : list of Iteration
        The iterations of the run so far.
    stop_below : float
        The fraction; 0 turns the test off.

    Returns
    -------
    str or None

    Examples
    --------
    >>> rows = [Iteration(i, i, value, {}, 0.0) for i, value in enumerate([2.0, *[1.0] * 10], 1)]
    >>> describe_settled(rows, 0.1), describe_settled([*rows, rows[-1]], 0.1)
    (None, 'settled after 12 iterations: the last 10 lowered the loss by less than 0.1 of it')
    """
    if not stop_below or len(trace) <= WINDOW:
        return None
    before, after = min(row.value for row in trace[:-WINDOW]), min(row.value for row in trace[-WINDOW:])
    if not before - after < stop_below * abs(before):
        return None
    done = f"settled after {len(trace)} iterations"
    return f"{done}: the last {WINDOW} lowered the loss by less than {stop_below:g} of it"
