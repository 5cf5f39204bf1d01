"""Forecast the time of a run from a trial: a few iterations of its optimizer, at sizes that are quick."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.image import MIN_SIDE, Size
from handstyle.kernels.tiles import recomputes_photograph, tile_side
from handstyle.optimize.objective import Evaluate, Objective
from handstyle.optimize.trace import Iteration
from handstyle.painting.memory import Need, RunMemory
from handstyle.painting.optimizers import OptimizerState, choose_optimizer
from handstyle.painting.progress import format_duration

MIN_ITERATIONS = 3  # a trial makes at least so many after its first, which prepares and searches a step length
MAX_ITERATIONS = 100  # and at most so many in all
TRIAL_SECONDS = 1.0  # a trial ends after this time, if it has made `MIN_ITERATIONS`
MAX_EXPECTED_SECONDS = 5.0  # a size is tried if `MIN_ITERATIONS` there are expected to take less


@dataclass(frozen=True)
class RunTime:
    """The forecast time of a run.

    Parameters
    ----------
    needs : list of Need
        The scales.
    seconds : list of float
        Time of an iteration at each, the optimizer's own work included; NaN if there is no estimate. With `restarts`
        an iteration is a round.
    tried : (H, W)
        The largest size that was tried; (0, 0) if none was.
    limit : int
        Evaluations allowed at each scale; 0 if there is no limit, or if it is one of each round.

    Examples
    --------
    >>> needs = [Need((64, 64), 100, 0, 0, 0, 0, 0, 0, 0.01), Need((128, 128), 100, 0, 0, 0, 0, 0, 0, 0.03)]
    >>> print(RunTime(needs, seconds=[0.01, 0.03], tried=(128, 128)))
    an iteration at 128 x 128 px takes 0.03 s (tried here); 200 iterations: 4 s
    """

    needs: list[Need]
    seconds: list[float]
    tried: Size
    limit: int = 0

    @property
    def total(self) -> float:
        """The seconds of all iterations; NaN if there is no estimate for a scale.

        Examples
        --------
        >>> needs = [Need((64, 64), 100, 0, 0, 0, 0, 0, 0, 0.5), Need((128, 128), 50, 0, 0, 0, 0, 0, 0, 2.0)]
        >>> RunTime(needs, seconds=[0.5, 2.0], tried=(128, 128)).total  # 100 * 0.5 + 50 * 2
        150.0
        """
        counts = [min(need.iterations, self.limit or need.iterations) for need in self.needs]
        return sum(count * each for count, each in zip(counts, self.seconds, strict=True))

    def __str__(self) -> str:
        """Return the time of the finest scale's iterations and of the whole run in words; empty without an estimate."""
        if math.isnan(self.total):
            return ""
        size, iterations = self.needs[-1].size, sum(need.iterations for need in self.needs)
        how = "tried here" if size == self.tried else f"from {self.tried[1]} x {self.tried[0]} px, tried here"
        each = f"an iteration at {size[1]} x {size[0]} px takes {self.seconds[-1]:.3g} s ({how})"
        return f"{each}; {iterations} iterations: {format_duration(self.total)}"


def run_time(run: RunMemory) -> RunTime:
    """Forecast the time of a run.

    Parameters
    ----------
    run : RunMemory
        The run, by the engine that will paint it.

    Returns
    -------
    RunTime

    Notes
    -----
    A scale is tried if it is quick, by the engine's forecast, and fits into memory. The time of the others is that of
    the largest scale tried, times the ratio of the engine's forecasts. If the first scale is not quick, its size is
    halved until it is, and then the sizes between are tried, from small to large. An engine without a forecast of time,
    such as the reference, is not tried.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.config import StyleConfig
    >>> from handstyle.painting.memory import dummy_picture
    >>> photograph = dummy_picture(32)
    >>> run = RunMemory.now(StyleConfig(size=32), build_network(random_weights()), photograph, [photograph])
    >>> run_time(run).seconds  # the reference engine has no forecast
    [nan]
    """
    config, needs = run.config, run.needs
    per_round = config.evaluations if config.restarts else 1
    seconds, tried, rate = list[float](), (0, 0), 1.0  # measured seconds by counted ones

    def is_quick(need: Need) -> bool:
        if recomputes_photograph(run.network) and max(need.size) > tile_side(run.network):
            return False  # there is no photograph whose features could be computed again
        return MIN_ITERATIONS * rate * need.seconds < MAX_EXPECTED_SECONDS and not run.missing(need)

    for need in needs:
        sizes = [need]
        while not any(tried) and not is_quick(sizes[-1]) and min(sizes[-1].size) >= 2 * MIN_SIDE:
            sizes.append(run.need_at((sizes[-1].size[0] // 2, sizes[-1].size[1] // 2)))
        for trial in reversed(sizes):
            if is_quick(trial):
                tried = trial.size
                rate = seconds_of_iteration(run, tried) / trial.seconds
        seconds.append(per_round * rate * need.seconds if any(tried) else math.nan)
    return RunTime(needs, seconds, tried, 0 if config.restarts else config.evaluations)


def seconds_of_iteration(run: RunMemory, size: Size) -> float:
    """Measure the time of an iteration of the run's optimizer at a size; NaN if memory runs out.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.config import StyleConfig
    >>> from handstyle.painting.memory import dummy_picture
    >>> config = StyleConfig(size=32, optimizer="descent", style_layers="relu1_1", content_weight=0)
    >>> photograph = dummy_picture(32)
    >>> run = RunMemory.now(config, build_network(random_weights()), photograph, [photograph])
    >>> seconds_of_iteration(run, (32, 32)) > 0
    True
    """
    config, network, shape = replace(run.config, restarts=0, evaluations=0, stop_below=0.0), run.network, (*size, 3)
    start = np.random.default_rng(0).uniform(0, 255, shape)
    ends = list[float]()

    def record_time(row: Iteration) -> None:
        ends.append(row.seconds)
        if row.seconds > ends[0] + TRIAL_SECONDS and len(ends) > MIN_ITERATIONS:
            raise StopIteration

    try:
        objective = Objective(network, run.terms(size, timed=True), shape)
        objective.prepared = _Bowl(objective.prepared, network.backend.asarray(start, dtype=network.dtype))
        minimize = choose_optimizer(config, MAX_ITERATIONS, OptimizerState(), record_time, files=run.files)
        with np.errstate(over="ignore", invalid="ignore"):
            outcome = minimize(objective, start.ravel())
    except MemoryError:
        return math.nan
    if outcome.ended == "interrupted":  # the optimizer has caught it
        raise KeyboardInterrupt
    times = [b - a for a, b in pairwise(ends)]
    return median(times) if times else math.nan


@dataclass
class _Bowl:
    """An evaluation that takes as long as that of an objective, but returns the value and gradient of a quadratic.

    The targets of a trial are not those of a picture, so an optimizer might stop early or diverge on the objective. On
    this quadratic it does neither, at any learning rate in use.

    Parameters
    ----------
    evaluate : Evaluate
        The evaluation of the objective, made at every call.
    p : (H, W, 3) array
        The picture at which it is made.
    """

    evaluate: Evaluate
    p: Array

    def __post_init__(self) -> None:
        self.v = to_numpy(self.p).astype(np.float64).ravel()  # here, so that the copy is not timed

    def __call__(self, p: Array) -> tuple[Array, Array]:  # (H, W, 3) -> (n,), (H, W, 3)
        """Evaluate, and return the quadratic's value, as that of the first term, and its gradient."""
        return self._quadratic(p, self.evaluate(self.p)[0])

    def host(self, v: Array) -> tuple[Array, Array]:  # (3HW,) -> (n,), (3HW,)
        """Do the same with flat float64 vectors on the host."""
        return self._quadratic(v, self.evaluate.host(self.v)[0])

    def _quadratic(self, x: Array, values: Array) -> tuple[Array, Array]:
        xp = namespace(x)
        curvature = xp.linspace(1e-6, 1e-3, x.size, dtype=x.dtype).reshape(x.shape)  # small: no learning rate diverges
        gradient, values = curvature * x, namespace(values).zeros_like(values)
        values[0] = (gradient * x).sum() / 2
        return values, gradient
