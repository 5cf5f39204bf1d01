"""The optimizer that a configuration selects, and the state that it passes from one scale to the next."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name

import numpy as np

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.image import resize
from handstyle.foundations.mapped import is_large, mapped_zeros
from handstyle.optimize.adam import Adam
from handstyle.optimize.loop import RunOptions
from handstyle.optimize.objective import Objective
from handstyle.optimize.precondition import minimize_preconditioned
from handstyle.optimize.trace import Callback, Outcome
from handstyle.painting.config import LINE_SEARCH, StyleConfig

# The optimizers by name, as import paths. Each is given those of the run's settings that it has parameters for.
OPTIMIZERS = {
    "lbfgsb": "handstyle.optimize.lbfgsb:minimize_lbfgsb",
    "restarted": "handstyle.optimize.classic:minimize_restarted",  # lbfgsb, if the setting `restarts` is above 0
    "lbfgs": "handstyle.optimize.lbfgs:minimize_lbfgs",
    "lbfgs-fixed": "handstyle.optimize.lbfgs:minimize_lbfgs",  # without a line search
    "adam": "handstyle.optimize.adam:minimize_adam",
    "descent": "handstyle.optimize.classic:minimize_descent",
}

# The longest step of L-BFGS without a line search, in gray levels (root mean square). Published programs have no such
# bound; without it the second step of neural-style's optimizer from gray noise is 2400 gray levels long.
MAX_STEP = 8.0


@dataclass
class OptimizerState:
    """The state of an optimizer that is passed to the next scale: the moments of Adam.

    L-BFGS passes nothing, because its pairs fit one size only.

    Examples
    --------
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> state, objective = OptimizerState(), Objective(build_network(random_weights()), [VariationTerm()], (16, 16, 3))
    >>> minimize = choose_optimizer(StyleConfig(optimizer="adam"), iterations=5, state=state)
    >>> outcome = minimize(objective, np.arange(768.0))
    >>> state.adam.steps
    5
    """

    adam: Adam | None = None

    def resample(self, old: tuple[int, int], new: tuple[int, int], backend: Backend) -> Adam | None:
        """Return Adam's moments resized to a new scale, like ``scale_adam`` of style-transfer-pytorch.

        Parameters
        ----------
        old, new : (H, W)
            Height and width of the last scale and of the next one.
        backend : Backend
            The backend of the run's network, on whose device the moments are.

        Returns
        -------
        Adam or None
            None at the first scale, and for other optimizers.

        Examples
        --------
        >>> from handstyle.foundations.backend import choose_backend
        >>> state = OptimizerState(Adam(first=np.zeros(4 * 4 * 3), second=np.ones(4 * 4 * 3), steps=7))
        >>> larger = state.resample((4, 4), (8, 8), choose_backend("numpy"))
        >>> larger.first.shape, larger.steps
        ((192,), 7)
        """
        if self.adam is None or old == new:
            return self.adam

        def resized(a: Array) -> Array:
            return backend.asarray(resize(backend.to_numpy(a).reshape(*old, 3), new).ravel(), dtype=a.dtype)

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

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.total_variation import VariationTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> objective = Objective(build_network(random_weights()), [VariationTerm()], (16, 16, 3))
    >>> minimize = choose_optimizer(StyleConfig(), iterations=5, state=OptimizerState())
    >>> minimize(objective, np.arange(768.0)).ended
    'done'
    """
    minimize: Callable[..., Outcome] = resolve_name(OPTIMIZERS["restarted" if config.restarts else config.optimizer])
    # The schedule of Adam begins anew at every scale.
    rates = {"lbfgs": None, "lbfgs-fixed": config.learning_rate, "adam": lambda k: config.learning_rate_at(k - done)}
    options = {
        **vars(config),
        "iterations": iterations,
        "callback": callback,
        "resume": resume,
        "evaluations": config.evaluations or None,
        "averaging": config.averaging or None,
        "betas": (config.beta1, config.beta2),
        "box": (0.0, 255.0) if config.clamp else None,
        "learning_rate": rates.get(config.optimizer, config.learning_rate_at),
        "longest": MAX_STEP,
    }
    taken = {*signature(minimize).parameters, *RunOptions.__annotations__}
    if config.precondition and config.optimizer in LINE_SEARCH:  # for cosine coefficients, not pixels
        minimize = partial(minimize_preconditioned, minimize, exponent=config.precondition)
    chosen = partial(minimize, **{name: value for name, value in options.items() if name in taken})

    def minimize_on_device(objective: Objective, start: Array) -> Outcome:
        backend, given = objective.network.backend, dict[str, Adam]()
        v0 = backend.asarray(start, dtype=objective.network.dtype)
        if files and is_large(v0.nbytes):
            in_memory, v0 = v0, mapped_zeros(v0.shape, v0.dtype)
            v0[:] = in_memory
            del in_memory
        if config.optimizer == "adam":
            state.adam = state.adam or Adam(v0 * 0, v0 * 0)
            given["start"] = state.adam
        outcome = chosen(objective, v0, **given)
        stopped = outcome.stopped
        if outcome.failed and config.optimizer not in LINE_SEARCH:
            unbounded = f"optimizer={config.optimizer!r} has no bound on its steps"
            stopped += f"; {unbounded}: lower learning_rate={config.learning_rate:g}"
        return replace(outcome, v=backend.to_numpy(outcome.v).astype(np.float64), stopped=stopped)

    return chosen if config.optimizer == "lbfgsb" else minimize_on_device


def made_no_progress(config: StyleConfig, outcome: Outcome) -> bool:
    """Return whether an optimizer without a line search failed to improve on its start.

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

    Examples
    --------
    >>> import numpy as np
    >>> outcome = Outcome(np.zeros(3), 0.5, "done", "all 10 iterations done", trace=[], evaluations=12)
    >>> made_no_progress(StyleConfig(optimizer="adam"), outcome)
    False
    """
    values = [row.value for row in outcome.trace]
    if config.optimizer in LINE_SEARCH or not values:
        return False
    if config.averaging:
        return outcome.value > values[0]
    if config.optimizer == "lbfgs-fixed":  # its rows have the value after the step, the others' before it
        return min(values) > outcome.value
    return len(values) > 1 and min(values[1:]) > values[0]
