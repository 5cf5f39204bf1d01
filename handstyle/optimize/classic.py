"""The optimizers of published scripts: SciPy's L-BFGS-B restarted every twenty evaluations, and gradient descent.

They reproduce pictures of 2016 and 2020, and serve for comparison: each restart discards the estimate of the curvature,
and gradient descent has none.
"""

from collections.abc import Callable
from typing import Unpack

import numpy as np
from scipy.optimize import fmin_l_bfgs_b

from handstyle.foundations.backend import Array
from handstyle.optimize.lbfgsb import one_scipy_thread
from handstyle.optimize.loop import Box, Loop, RunOptions, inside
from handstyle.optimize.objective import Evaluable
from handstyle.optimize.trace import Outcome

DESCENT, ROUNDS = "plain descent", "SciPy's L-BFGS-B in rounds"


def minimize_restarted(
    objective: Evaluable,
    v0: Array,
    restarts: int,
    evaluations: int = 20,
    lbfgs_history: int = 10,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Minimize an objective by several runs of SciPy's L-BFGS-B, each from the last picture of the one before.

    Parameters
    ----------
    objective : Evaluable
        An `Objective`, or a function of one's own, in float64 on the host.
    v0 : (n,) array of float64
        The start.
    restarts : int
        Number of runs; the Keras script makes 10.
    evaluations : int
        Evaluations of each run at most (SciPy's ``maxfun``); 20 in the Keras script.
    lbfgs_history : int
        Pairs of steps and gradient differences kept (SciPy's ``m``).
    **options
        `callback`, `resume` and `stop_below`; see `RunOptions`. Each run of SciPy's counts as an iteration.

    Returns
    -------
    Outcome
        The best picture evaluated, and a trace with one row for each run.

    Notes
    -----
    keras-team/keras examples/neural_style_transfer.py. SciPy's stopping tests keep their defaults, ``factr=1e7``
    and ``pgtol=1e-5``, on an objective that is not scaled, so a run may end early; the next one begins nevertheless.
    After a restart the first trial is a step of length 1 along steepest descent, so about six of twenty evaluations
    are spent on finding a suitable length again.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> outcome = minimize_restarted(Bowl(), np.array([3.0, -4.0]), restarts=2)
    >>> len(outcome.trace), bool(abs(outcome.v).max() < 1e-6)
    (2, True)
    """
    loop = Loop(objective, ROUNDS, **options)
    v = loop.begin(np.array(v0, np.float64))[0]["v"]

    with loop.running(), one_scipy_thread():
        while len(loop.trace) < restarts:
            v, value, _ = fmin_l_bfgs_b(lambda v: loop.record(v, objective(v)), v, maxfun=evaluations, m=lbfgs_history)
            loop.accept(v, float(value))
        loop.reason = "done", f"all {restarts} rounds of {evaluations} evaluations done"
    return loop.outcome()


def minimize_descent(
    objective: Evaluable,
    v0: Array,
    iterations: int,
    learning_rate: Callable[[int], float],
    box: Box | None = None,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Minimize an objective by gradient descent: each step is ``v ← v − learning_rate(step) g``.

    Parameters
    ----------
    objective : Evaluable
        An `Objective`, or a function of one's own on the device of `v0`.
    v0 : (n,) array
        The start.
    iterations : int
        Number of steps, with one evaluation each.
    learning_rate : callable
        ``learning_rate(step)``, with steps counted from 1.
    box : (float, float), optional
        Lower and upper bound; every iterate is clipped to them after its step.
    **options
        `callback`, `resume` and `stop_below`; see `RunOptions`.

    Returns
    -------
    Outcome
        The best picture evaluated.

    Raises
    ------
    HandstyleError
        If `resume` is not a checkpoint of this optimizer for a picture of this size and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> outcome = minimize_descent(Bowl(), np.array([4.0]), iterations=3, learning_rate=lambda step: 0.25)
    >>> [row.value for row in outcome.trace]  # at 4, 2 and 1
    [16.0, 4.0, 1.0]
    """
    loop = Loop(objective, DESCENT, **options)

    def step(v: Array, gradient: Array) -> tuple[Array, Array]:
        return inside(v - learning_rate(len(loop.trace) + 1) * gradient, box), v

    return loop.take_steps(loop.begin(inside(v0, box))[0]["v"], iterations, step, lambda v: ({"v": v}, {}))
