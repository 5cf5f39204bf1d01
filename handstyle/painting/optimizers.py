"""The optimizer that a configuration selects, and the state that it passes from one scale to the next."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.image import resize
from handstyle.foundations.mapped import is_large, mapped_zeros
from handstyle.optimize.adam import Adam, minimize_adam
from handstyle.optimize.classic import minimize_descent, minimize_restarted
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from handstyle.optimize.precondition import minimize_preconditioned
from handstyle.optimize.trace import Callback, Outcome
from handstyle.painting.config import LINE_SEARCH, StyleConfig

# The longest step of L-BFGS without a line search, in gray levels (root mean square). Published programs have no such
# bound; without it the second step of neural-style's optimizer from gray noise is 2400 gray levels long.
MAX_STEP = 8.0
WITHOUT_LINE_SEARCH = ("descent", "lbfgs-fixed", "adam")


@dataclass
class OptimizerState:
    """The state of an optimizer that is passed to the next scale: the moments of Adam.

    L-BFGS passes nothing, because its pairs fit one size only.
    """

    adam: Adam | None = None

    def resample(self, old: tuple[int, int], new: tuple[int, int], backend: Backend) -> Adam | None:
        """Return Adam's state resized from the size `old` to `new`, like ``scale_adam`` of style-transfer-pytorch."""
        if self.adam is None or old == new:
            return self.adam

        def resized(a: Array) -> Array:
            plane = backend.to_numpy(a).reshape(*old, 3)
            return backend.asarray(resize(plane, new).ravel(), dtype=a.dtype)

        return Adam(resized(self.adam.first), resized(self.adam.second).clip(0, None), self.adam.steps)


def choose_optimizer(
    config: StyleConfig,
    iterations: int,
    state: OptimizerState,
    callback: Callback | None = None,
    resume: Path | None = None,
    done: int = 0,
    files: bool = False,
) -> Callable[[Objective, Array], Outcome]:
    """Return the optimizer that the configuration selects, as a function that minimizes an objective from a start.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, already checked.
    iterations : int
        Iterations at this scale.
    state : OptimizerState
        The state of the scale before, resized to this scale. It is replaced by the state at the end of this scale.
    callback : callable, optional
        Called after each iteration with an `Iteration` whose ``v`` is on the network's device.
    resume : Path, optional
        A checkpoint of this scale to resume from; only the size of the start is then used.
    done : int
        Number of iterations at the scales before.
    files : bool
        Whether large vectors of lbfgs are kept in files; see `handstyle.foundations.mapped`.

    Returns
    -------
    callable
        ``minimize(objective, start) -> Outcome``: the picture to start from and that of the outcome are flat vectors of
        float64 on the host.
    """
    options: dict[str, Any] = {"callback": callback, "resume": resume}
    history: dict[str, Any] = {"lbfgs_history": config.lbfgs_history, "evaluations": config.evaluations or None}
    if config.restarts:
        return partial(minimize_restarted, restarts=config.restarts, **history, **options)
    options |= {"iterations": iterations, "stop_below": config.stop_below}
    if config.optimizer == "lbfgsb":
        return partial(with_preconditioner(minimize_lbfgsb, config), **history, **options)
    options["box"] = (0.0, 255.0) if config.clamp else None
    if config.optimizer == "adam":
        options |= {"betas": (config.beta1, config.beta2), "epsilon": config.epsilon}
        options["averaging"] = config.averaging or None

        def learning_rate_at(step: int) -> float:
            return config.learning_rate_at(step - done)  # the schedule begins anew at every scale

        minimize: Callable[..., Outcome] = partial(minimize_adam, learning_rate=learning_rate_at)
    elif config.optimizer == "descent":
        minimize = partial(minimize_descent, learning_rate=config.learning_rate_at)
    else:
        options |= {**history, "longest": MAX_STEP}
        options["learning_rate"] = config.learning_rate if config.optimizer == "lbfgs-fixed" else None
        minimize = with_preconditioner(minimize_lbfgs, config)
    return partial(_minimize_on_device, partial(minimize, **options), config, state, files)


def _minimize_on_device(
    minimize: Callable[..., Outcome],
    config: StyleConfig,
    state: OptimizerState,
    files: bool,
    objective: Objective,
    start: Array,
) -> Outcome:
    """Run an optimizer on the network's device and in its dtype, from a start on the host."""
    backend = objective.network.backend
    v0 = backend.asarray(start, dtype=objective.network.dtype)
    if files and is_large(v0.nbytes):
        in_memory, v0 = v0, mapped_zeros(v0.shape, v0.dtype)
        v0[:] = in_memory
        del in_memory
    if config.optimizer == "adam":
        state.adam = state.adam or Adam(v0 * 0, v0 * 0)
        minimize = partial(minimize, start=state.adam)
    outcome = minimize(objective, v0)
    stopped = outcome.stopped
    if outcome.failed and config.optimizer in WITHOUT_LINE_SEARCH:
        stopped += (
            f"; optimizer={config.optimizer!r} has no bound on its steps: lower learning_rate={config.learning_rate:g}"
        )
    return replace(outcome, v=backend.to_numpy(outcome.v).astype(np.float64), stopped=stopped)


def made_no_progress(config: StyleConfig, outcome: Outcome) -> bool:
    """Return whether an optimizer without a line search found no picture better than its start.

    Parameters
    ----------
    config : StyleConfig
        The run's settings, of which `optimizer` and `averaging` are used.
    outcome : Outcome
        The result of the optimizer.

    Returns
    -------
    bool
        False for optimizers with a line search, and if no step was evaluated.
    """
    values = [row.value for row in outcome.trace]
    if config.optimizer not in WITHOUT_LINE_SEARCH or not values:
        return False
    if config.averaging:
        return outcome.value > values[0]
    if config.optimizer == "lbfgs-fixed":  # its rows have the value after the step, the others' before it
        return min(values) > outcome.value
    return len(values) > 1 and min(values[1:]) > values[0]


def with_preconditioner(minimize: Callable[..., Outcome], config: StyleConfig) -> Callable[..., Outcome]:
    """Return the optimizer for pixels or, if the configuration has `precondition`, for cosine coefficients."""
    if not config.precondition or config.optimizer not in LINE_SEARCH:
        return minimize
    return partial(minimize_preconditioned, minimize, exponent=config.precondition)
