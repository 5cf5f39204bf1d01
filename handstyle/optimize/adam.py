"""Adam: steps of nearly the same length for every pixel, whatever the size of its gradient.

It needs no line search, so each evaluation is a step. It does not require that the value decreases, so it works for
objectives whose gradient is not the derivative of their value. Like `minimize_lbfgs` it runs on the device, and its
state can be saved.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Unpack

from handstyle.foundations.backend import Array, namespace
from handstyle.optimize.loop import Box, Loop, RunOptions, State, inside
from handstyle.optimize.objective import Evaluable
from handstyle.optimize.trace import Outcome

METHOD = "Adam"


@dataclass
class Adam:
    """The state of Adam: running means of the gradient and of its square, from which each step is computed.

    Parameters
    ----------
    first, second : (n,) array
        Running means of the gradient and of its square, not corrected for their start at zero.
    steps : int
        Number of steps so far.
    betas : (float, float)
        The fraction of each mean that is kept at a step.
    epsilon : float
        Added to the root of the second moment.

    Examples
    --------
    >>> import numpy as np
    >>> adam = Adam(first=np.zeros(2), second=np.zeros(2))
    >>> adam.step(np.array([5.0, 5.0]), np.array([2.0, -300.0]), learning_rate=1.0).round(3)
    array([4., 6.])
    """

    first: Array
    second: Array
    steps: int = 0
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def step(self, v: Array, g: Array, learning_rate: float) -> Array:  # (n,), (n,) -> (n,)
        """Return the picture after a step from `v` with gradient `g`, and update the running means.

        Notes
        -----
        Kingma and Ba (2015, arXiv 1412.6980), algorithm 1: ``m ← β1 m + (1−β1) g``, ``s ← β2 s + (1−β2) g²``,
        ``v − learning_rate · m̂ / (√ŝ + ε)`` with ``m̂ = m / (1−β1^t)``, ``ŝ = s / (1−β2^t)``.

        Examples
        --------
        >>> import numpy as np
        >>> adam, v = Adam(np.zeros(1), np.zeros(1)), np.array([5.0])
        >>> for gradient in (2.0, 2.0, -2.0):  # steps of 1, 1 and, after the change of sign, 0.26
        ...     v = adam.step(v, np.array([gradient]), learning_rate=1.0)
        >>> v.round(2), adam.steps
        (array([2.74]), 3)
        """
        xp = namespace(v, g)
        b1, b2 = self.betas
        self.steps += 1
        self.first = b1 * self.first + (1 - b1) * g  # book: adam-means
        self.second = b2 * self.second + (1 - b2) * (g * g)
        m = self.first / (1 - b1**self.steps)  # book: adam-bias
        s = self.second / (1 - b2**self.steps)
        return v - learning_rate * m / (xp.sqrt(s) + self.epsilon)  # book: adam-step


@dataclass
class Average:
    """The exponential moving average of the iterates, corrected for its start at zero.

    Crowson (style-transfer-pytorch, 2021) returns this average instead of the last iterate, which removes the noise of
    single steps from the picture.

    Examples
    --------
    >>> import numpy as np
    >>> average = Average(np.zeros(1))
    >>> average.add(np.array([2.0]), decay=0.9)
    >>> average.mean().tolist()  # of one iterate: the iterate
    [2.0]
    >>> average.add(np.array([4.0]), decay=0.9)
    >>> average.mean().round(3).tolist()  # (0.09 * 2 + 0.1 * 4) / 0.19
    [3.053]
    """

    value: Array
    missing: float = 1.0  # 1 minus the sum of the iterates' weights

    def add(self, v: Array, decay: float) -> None:  # (n,)
        """Add an iterate to the average.

        Examples
        --------
        >>> import numpy as np
        >>> average = Average(np.zeros(1))
        >>> for v in (2.0, 4.0):
        ...     average.add(np.array([v]), decay=0.5)
        >>> average.value, average.missing  # 0.25 · 2 + 0.5 · 4; the weights add up to 0.75
        (array([2.5]), 0.25)
        """
        self.value = decay * self.value + (1 - decay) * v
        self.missing *= decay

    def mean(self) -> Array:  # -> (n,)
        """Return the average of the iterates added so far; their weights add up to 1.

        Examples
        --------
        >>> import numpy as np
        >>> average = Average(np.zeros(1))
        >>> for _ in range(3):
        ...     average.add(np.array([2.0]), decay=0.5)
        >>> average.mean()
        array([2.])
        """
        return self.value / (1 - self.missing)


def minimize_adam(
    objective: Evaluable,
    v0: Array,
    iterations: int,
    learning_rate: float | Callable[[int], float] = 1.0,
    betas: tuple[float, float] = (0.9, 0.999),
    epsilon: float = 1e-8,
    *,
    box: Box | None = None,
    averaging: float | None = None,
    start: Adam | None = None,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Minimize an objective with Adam, on the device and in the dtype of the start `v0`.

    Parameters
    ----------
    objective : Evaluable
        An `Objective`, or a function of one's own on the device of `v0`.
    v0 : (n,) array
        The start, float32 or float64.
    iterations : int
        Number of steps, with one evaluation each; a resumed run counts those made before.
    learning_rate : float or callable
        The length of a step in gray levels, or ``learning_rate(step)`` with steps counted from 1.
    betas, epsilon : (float, float), float
        See `Adam`.
    box : (float, float), optional
        Lower and upper bound; every iterate is clipped to them after its step.
    averaging : float, optional
        The decay of the average of the iterates, for instance 0.99; the result is then the average.
    start : Adam, optional
        The state to start from, for instance that of a smaller picture, resampled. It is changed in place.
    **options
        `callback`, `resume` and `stop_below`; see `RunOptions`. With `averaging`, the callback's picture is the average
        so far, but its value is that of the iterate.

    Returns
    -------
    Outcome
        The best picture evaluated; with `averaging`, the average, evaluated once more for its value.

    Raises
    ------
    NonFiniteError
        If the value at `v0` is already not finite.
    HandstyleError
        If `resume` is not a checkpoint of this optimizer for a picture of this size and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> class Bowl(Evaluable):
    ...     terms = {}
    ...     def __call__(self, v):
    ...         return float(v @ v), 2 * v
    >>> outcome = minimize_adam(Bowl(), np.array([3.0, -4.0]), iterations=5, learning_rate=0.5)
    >>> outcome.stopped, outcome.value < 25
    ('all 5 iterations done', True)
    """
    xp = namespace(v0)
    adam = start or Adam(xp.zeros_like(v0), xp.zeros_like(v0))
    adam.betas, adam.epsilon = betas, epsilon
    loop, average = Loop(objective, METHOD, **options), Average(xp.zeros_like(v0))
    vectors = dict.fromkeys(("first", "second", "average"), v0.shape)
    arrays, facts = loop.begin(inside(v0, box), vectors, {"steps": int, "missing": float})
    if facts:
        adam.first, adam.second, adam.steps = arrays["first"], arrays["second"], facts["steps"]
        average = Average(arrays["average"], facts["missing"])
    elif averaging is not None:
        average.add(arrays["v"], averaging)

    def step(v: Array, gradient: Array) -> tuple[Array, Array]:
        rate = learning_rate(adam.steps + 1) if callable(learning_rate) else learning_rate
        after = inside(adam.step(v, gradient, rate), box)
        if averaging is None:
            return after, v
        average.add(after, averaging)
        return after, average.mean()

    def state(v: Array) -> State:
        arrays = {"v": v, "first": adam.first, "second": adam.second, "average": average.value}
        return arrays, {"steps": adam.steps, "missing": average.missing}

    outcome = loop.take_steps(arrays.pop("v"), iterations, step, state)  # popped, so that it can be freed
    if averaging is None or outcome.failed:
        return outcome
    mean = average.mean()
    value, _, _ = loop.record(mean, objective.on_device(mean))
    return replace(outcome, v=mean, value=value, evaluations=loop.count)
