"""L-BFGS on the picture's device, with a state that can be saved.

SciPy's solver keeps its vectors on the host, in float64, and its state is not accessible. Here the vectors are arrays
of any backend in the dtype of the starting picture, every scalar is a Python float, and a saved run resumes bit for
bit. If the starting picture is a file mapped into memory, all other vectors are kept in files too.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Unpack

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.mapped import assemble
from handstyle.optimize.line_search import DECREASE, Trial, strong_wolfe
from handstyle.optimize.loop import Box, Loop, RunEnded, RunOptions, State, inside
from handstyle.optimize.objective import Evaluable, nothing
from handstyle.optimize.trace import Outcome
from handstyle.optimize.two_loop import History, rows_of

METHOD = "L-BFGS"
MIN_ULPS = 16  # smallest first step without a line search, in ulps; the pair (s, y) of a smaller one is rounding noise


class _Run:
    """The state of one run of L-BFGS, and its steps."""

    def __init__(self, loop: Loop, history: History, box: Box | None, evaluations: int | None) -> None:
        self.loop, self.history, self.box, self.evaluations = loop, history, box, evaluations

    def state(self) -> State:
        """Return the arrays and values to be written to a checkpoint."""
        history = self.history
        arrays = {"v": self.v, "g": self.g, "basis": history.basis[: history.used], "host_table": history.table}
        order, spare = [s // 2 for s, _ in history.pairs], history.free[0] // 2
        return arrays, {"value": self.value, "scale": self.scale, "order": order, "spare": spare}

    def load(self, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
        """Take the picture to start from, or the whole state of a checkpoint."""
        self.v = arrays["v"]
        if not facts:
            return
        history, self.g, self.value, self.scale = self.history, arrays["g"], facts["value"], facts["scale"]
        if arrays["host_table"].shape != history.table.shape:
            kept = (len(arrays["host_table"]) - 1) // 2 - 1
            raise HandstyleError(f"the checkpoint has a history of {kept} pairs: resume with lbfgs_history={kept}")
        history.pairs, history.free = list(map(rows_of, facts["order"])), rows_of(facts["spare"])
        rows, stored = {*history.pairs, history.free}, len(arrays["basis"])
        if len(rows) != len(history.pairs) + 1 or max(rows)[1] >= len(history.table) or stored != history.used:
            raise HandstyleError("the checkpoint is damaged: the numbers of its pairs do not fit the arrays")
        history.table[:], history.basis[:stored] = arrays["host_table"], arrays["basis"]

    def evaluate(self, v: Array, extra: Callable[[Array], Array] = nothing) -> tuple[float, Array, Array]:
        """Evaluate the objective on its device, or end the run if all evaluations allowed are done."""
        if self.evaluations is not None and self.loop.count >= self.evaluations:
            raise RunEnded("done", f"all {self.evaluations} evaluations done")
        return self.loop.record(v, self.loop.objective.on_device(v, extra))

    def start(self) -> None:
        """Evaluate the objective at the starting picture, and begin with an empty history."""
        self.value, self.g, _ = self.evaluate(self.v)
        self.scale = abs(self.value) or 1.0
        self.history.begin(self.held_free(self.g))

    def held_free(self, d: Array) -> Array:
        """Return `free` of a direction at the current picture, computed piece by piece if it is mapped from a file."""
        return d if self.box is None else assemble(d, partial(self.free, d, self.v, self.g))

    def free(self, d: Array, v: Array, g: Array, piece: slice) -> Array:
        """Return a piece of `d`, with zeros where `v` is at a bound and a step along ``-g`` would leave the box."""
        d, v, g = d[piece], v[piece], g[piece]
        if self.box is None:
            return d
        low, high = self.box
        return namespace(d).where(((v <= low) & (g > 0)) | ((v >= high) & (g < 0)), 0, d)

    def trial(self, d: Array, t: float) -> Trial:
        """Evaluate the objective at ``v + t d``, clipped to the box, and return the slope along the clipped step."""

        def products(g: Array) -> Array:
            return self.history.trial(self.v, self.g, self.trial_v, g, partial(self.free, g, self.trial_v, g))

        self.trial_v = assemble(self.v, lambda piece: inside(self.v[piece] + t * d[piece], self.box))
        self.trial_value, self.trial_g, dots = self.evaluate(self.trial_v, products)
        end, self.predicted = self.history.store(dots)
        return Trial(t, self.trial_value, end / t)

    def step(self, search: Callable[..., Trial | None], d: Array, slope: float, t: float) -> bool:
        """Search along `d`, beginning with length `t`; accept the point found and return True, or return False."""
        if search(partial(self.trial, d), Trial(0.0, self.value, slope), t) is None:
            return False
        self.v, self.value, self.g = self.trial_v, self.trial_value, self.trial_g
        self.history.accept()
        return True

    def along_the_arc(self, phi: Callable[[float], Trial], start: Trial, t: float) -> Trial | None:
        """Halve the step until the decrease along the projected path is sufficient.

        Bertsekas (1982, SIAM J. Control Optim. 20, eq. 12). Arguments and result are those of `strong_wolfe`.
        """
        for _ in range(20):  # book: device-arc
            here = phi(t)
            if self.predicted < 0 and here.value <= start.value + DECREASE * self.predicted:
                return here
            t /= 2
        return None


def minimize_lbfgs(
    objective: Evaluable,
    v0: Array,
    iterations: int,
    lbfgs_history: int = 10,
    tolerance: float = 0.0,
    evaluations: int | None = None,
    *,
    learning_rate: float | None = None,
    longest: float | None = None,
    box: Box | None = None,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Minimize an objective with L-BFGS, on the device and in the dtype of the start `v0`.

    Parameters
    ----------
    objective : Evaluable
        An `Objective`, or a function of one's own on the device of `v0`.
    v0 : (n,) array
        The start, float32 or float64. All vectors are kept where it is: on a device, in memory or in files (see
        `handstyle.foundations.mapped`).
    iterations : int
        Iterations at most; a resumed run counts those made before.
    lbfgs_history : int
        Pairs of steps and gradient differences kept.
    tolerance : float
        Stop when an iteration lowers the value by less than this fraction of the value at the start; 0 turns this test
        off.
    evaluations : int, optional
        Evaluations at most; not limited by default.
    learning_rate : float, optional
        Do not search along the direction: every step is this times the direction, the first one ``min(1, 1/‖g‖₁)``
        times that, as in the L-BFGS of neural-style and PyTorch. By default a line search finds a step that satisfies
        the strong Wolfe conditions.
    longest : float, optional
        With `learning_rate`, the greatest length of a step, in root mean square. Where the function is nearly linear,
        the estimated curvature is near 0 and the step would be so long that the run fails.
    box : (float, float), optional
        Lower and upper bound of every value of `v`. Steps are projected to them, and the line search is Armijo's along
        the projected path.
    **options
        `callback`, `resume` and `stop_below`; see `RunOptions`.

    Returns
    -------
    Outcome
        The best picture evaluated, the trace, and the reason for stopping.

    Raises
    ------
    NonFiniteError
        If the value at `v0` is already not finite.
    HandstyleError
        If `resume` is not a checkpoint of this optimizer for a picture of this size and dtype.

    Notes
    -----
    Nocedal and Wright (2006), algorithms 7.5, 3.5 and 3.6. The first trial step has length ``√n``, one gray level in
    root mean square, as in `minimize_lbfgsb`. If a line search fails, it is repeated once along steepest descent with
    an empty history; if that fails too, the run ends. SciPy does the same.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> outcome = minimize_lbfgs(Bowl(), np.array([3.0, -4.0]), iterations=10)
    >>> bool(abs(outcome.v).max() < 1e-6)
    True
    """
    loop = Loop(objective, METHOD, **options)
    run = _Run(loop, History(v0, lbfgs_history), box, evaluations)
    shapes = {"g": v0.shape, "basis": (None, v0.size), "host_table": (None, None)}
    kinds = {"value": float, "scale": float, "order": [int], "spare": int}
    run.load(*loop.begin(assemble(v0, lambda piece: inside(v0[piece], box)), shapes, kinds))

    with loop.running():
        if not loop.count:
            run.start()
        while len(trace := loop.trace) < iterations:
            before = run.value
            if not run.history.table[0, 0] > 0:
                raise RunEnded("converged", f"the gradient is exactly zero after {len(trace)} iterations")
            if not _iterate(run, learning_rate, longest):
                raise RunEnded("converged", f"no further descent: the line search failed after {len(trace)} iterations")
            loop.accept(run.v, run.value, run.state)
            if 0 <= before - run.value < tolerance * run.scale:
                less = f"an iteration lowered the value by less than {tolerance:g} of the first"
                raise RunEnded("converged", f"converged: {less}")
        loop.reason = "done", f"all {iterations} iterations done"
    return loop.outcome()


def _iterate(run: _Run, learning_rate: float | None, longest: float | None) -> bool:
    d, slope = run.history.direction()
    d = run.held_free(d)
    if not math.isfinite(run.history.table[0, 0]):  # without the gradient's length no step can be computed
        if run.loop.trace:
            return False
        raise HandstyleError("the sum of the gradient's squares overflows its dtype: take smaller weights")
    # `unit` is the length of the step along -g that moves pixels by one gray level in root mean square.
    first, unit = not run.history.pairs, math.sqrt(run.v.size / run.history.table[0, 0])
    if learning_rate is not None:
        return run.step(lambda phi, _, t: phi(t), d, slope, _fixed_length(run, d, unit, learning_rate, longest))
    search = strong_wolfe if run.box is None else run.along_the_arc
    if slope < 0 and run.step(search, d, slope, unit if first else 1.0):
        return True
    if first:
        return False
    run.history.begin(run.held_free(run.g))
    return _iterate(run, learning_rate, longest)


def _fixed_length(run: _Run, d: Array, unit: float, learning_rate: float, longest: float | None) -> float:
    t = learning_rate * (1.0 if run.loop.trace else min(1.0, 1 / float(abs(run.g).sum())))
    xp = namespace(d)
    ulp = float(xp.finfo(d.dtype).eps) * float(abs(run.v).max())  # where the picture is largest
    if not run.history.pairs and (run.loop.trace or t * float(abs(d).max()) < MIN_ULPS * ulp):
        t = learning_rate * unit
    if longest is not None:
        t = min(t, longest * math.sqrt(run.v.size) / (math.sqrt((d * d).sum(dtype=xp.float64)) or 1.0))
    return t
