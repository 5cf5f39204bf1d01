"""Minimize an objective by one call of SciPy's L-BFGS-B, on a scaled problem.

The method is by Byrd, Lu, Nocedal and Zhu (1995) and Zhu et al. (1997, TOMS 778). With SciPy's default stopping tests
a badly scaled run ends before the first step and is reported as converged, so this module scales the problem and turns
those tests off. The Keras script calls SciPy ten times to save ten pictures, which discards the estimate of the
curvature each time; here a callback saves them.
"""

import math
from typing import Any, Unpack

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.optimize.endings import describe_scipy
from handstyle.optimize.loop import Loop, RunEnded, RunOptions
from handstyle.optimize.objective import Evaluable
from handstyle.optimize.trace import Outcome

METHOD = "SciPy's L-BFGS-B"


def minimize_lbfgsb(
    objective: Evaluable,
    v0: Array,
    iterations: int,
    lbfgs_history: int = 10,
    tolerance: float = 0.0,
    evaluations: int | None = None,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Minimize an objective with SciPy's L-BFGS-B.

    Parameters
    ----------
    objective : Evaluable
        An `Objective`, or a function of one's own, in float64 on the host.
    v0 : (n,) array of float64
        The start.
    iterations : int
        Iterations at most.
    lbfgs_history : int
        Pairs of steps and gradient differences kept (``maxcor``).
    tolerance : float
        Stop when an iteration lowers the value by less than this fraction of the value at the start. 0, the
        default, turns this test off: with a network in float32 such differences are soon rounding noise.
    evaluations : int, optional
        Evaluations at most; not limited by default.
    **options
        `callback`, `resume` and `stop_below`; see `RunOptions`. A checkpoint has the picture but not SciPy's history,
        which is not accessible; it begins empty, so the path differs from that of an uninterrupted run.

    Returns
    -------
    Outcome
        The best picture evaluated, the trace, and the reason for stopping. An interruption from the keyboard
        and a value that is not finite end the run with the best picture so far.

    Raises
    ------
    NonFiniteError
        If the value at `v0` is already not finite: there is no good picture to return.
    HandstyleError
        If SciPy's workspace for this many unknowns and pairs would be longer than its 32-bit integers can count, or
        `resume` is not a checkpoint of this optimizer for a picture of this size.

    Notes
    -----
    The problem is scaled in two ways, neither of which alters the path in exact arithmetic. The value is divided by
    its absolute value at the start, so that SciPy's tests, which compare with 1, are relative to it. The unknowns are
    divided by ``√n``: SciPy's first trial step has length 1, and now changes pixels by one gray level in root mean
    square instead of a thousandth of one. This saves the six or so evaluations in which the line search would
    lengthen the step.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> outcome = minimize_lbfgsb(Bowl(), np.array([3.0, -4.0]), iterations=10)
    >>> bool(abs(outcome.v).max() < 1e-6)
    True
    """
    if lbfgs_history > max_history(v0.size):
        raise HandstyleError(
            f"lbfgs_history={lbfgs_history}: SciPy's L-BFGS-B counts its workspace in 32 bits, and with {v0.size} "
            f"unknowns it can keep {max_history(v0.size)} pairs; use fewer, or optimizer='lbfgs'"
        )
    loop, unit = Loop(objective, METHOD, **options), math.sqrt(v0.size)
    arrays, facts = loop.begin(np.array(v0, np.float64), kinds={"size": float})
    start, done = arrays["v"], len(loop.trace)
    limit = evaluations if evaluations is not None else 20 * (iterations + 1)

    def evaluate(v: Array) -> tuple[float, Array]:  # (n,) -> value, (n,)
        return loop.record(v, objective(v))

    with loop.running(), one_scipy_thread():
        if done >= iterations:
            raise RunEnded("done", f"all {iterations} iterations done")
        pending = [evaluate(start)]
        scale = 1 / (facts.get("size") or abs(pending[0][0]) or 1.0)  # later values are relative to that at the start

        def scaled(u: Array) -> tuple[float, Array]:  # (n,) -> value, (n,); SciPy's first call repeats the one above
            value, gradient = pending.pop() if pending else evaluate(u * unit)
            return value * scale, gradient * (scale * unit)  # book: lbfgs-scale

        def accepted(intermediate_result: Any) -> None:  # the name that makes SciPy pass the value too
            v = intermediate_result.x * unit
            loop.accept(v, float(intermediate_result.fun) / scale, lambda: ({"v": v}, {"size": 1 / scale}))

        left = max(limit - loop.count + 1, 1)  # SciPy counts the evaluation above, too
        limits = {"maxiter": iterations - done, "maxfun": left, "ftol": tolerance, "gtol": 0.0}
        limits |= {"maxcor": lbfgs_history}
        result = minimize(scaled, start / unit, jac=True, method="L-BFGS-B", callback=accepted, options=limits)
        loop.reason = describe_scipy(result, done, iterations, limit, tolerance)
    return loop.outcome()


def max_history(n: int) -> int:
    """Return the largest number of pairs that SciPy's L-BFGS-B can keep for `n` unknowns.

    Its workspace is ``2 m n + 5 n + 11 m² + 8 m`` numbers (TOMS 778, §3), counted in 32 bits; with more, SciPy crashes
    (scipy#5102).

    Examples
    --------
    >>> max_history(3 * 512 * 512)  # 2 m n stays below 2³¹
    1350
    """
    left, half = 2**31 - 1 - 5 * n, n + 4
    return max(0, (math.isqrt(half * half + 11 * left) - half) // 11) if left > 0 else 0  # 11 m² + 2 half m ≤ left


def one_scipy_thread() -> Any:
    """Return a context manager in which SciPy's BLAS uses one thread; it has no effect if NumPy uses the same BLAS.

    The solver's products are tiny, and more threads make them slower (scipy#22438). The wheels of NumPy and SciPy each
    contain a BLAS, so the network's products still use all threads. threadpoolctl lets only one thread of a process set
    limits at a time: while this one is held, an evaluation in another thread is right, but slower.

    Examples
    --------
    >>> from scipy.linalg import norm
    >>> with one_scipy_thread():
    ...     float(norm([3.0, 4.0]))
    5.0
    """
    controller = ThreadpoolController()
    own = [library.filepath for library in controller.lib_controllers if "scipy.libs" in str(library.filepath)]
    return controller.select(filepath=own).limit(limits=1)
