"""A run ends early once ten iterations together hardly lower the loss, with every optimizer."""

from inspect import signature

import numpy as np
import pytest
from support.sample_objectives import Plain

import handstyle
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.classic import minimize_descent, minimize_restarted
from handstyle.optimize.endings import WINDOW
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.loop import Loop, RunOptions
from handstyle.optimize.objective import Evaluable
from handstyle.optimize.trace import Outcome
from handstyle.painting.config import StyleConfig


class Falling(Evaluable):
    """A value that falls by a fixed share an iteration, with a trial above it in between."""

    terms: dict[str, float] = {}

    def __init__(self, share: float) -> None:
        self.share, self.calls = share, 0

    def __call__(self, v):
        self.calls += 1
        return 100 * (1 - self.share) ** self.calls, np.zeros_like(v)


def run(share: float, below: float, iterations: int = 60) -> Outcome:
    falling = Falling(share)
    loop = Loop(falling, stop_below=below)
    with loop.running():
        for _ in range(iterations):
            value, _ = loop.record(np.zeros(3), falling(np.zeros(3)))
            loop.accept(np.zeros(3), value)
        loop.reason = "done", "all done"
    return loop.outcome()


def test_the_fall_of_ten_iterations_is_what_counts():
    fall = 1 - 0.99**WINDOW  # 9.6 %
    ended = run(0.01, fall * 1.001)
    assert len(ended.trace) == WINDOW + 1  # as soon as there are ten to look back over
    assert ended.stopped.startswith("settled after 11 iterations: the last 10 lowered the loss by less than 0.0957")
    assert not ended.failed
    assert len(run(0.01, fall * 0.999).trace) == 60
    assert len(run(0.0, 0.0).trace) == 60  # 0 never ends a run
    assert len(run(0.0, 1e-9).trace) == WINDOW + 1


def test_one_bad_iteration_is_no_end():
    falling = Falling(0.02)
    loop = Loop(falling, stop_below=0.05)
    for count in range(40):
        value, _ = loop.record(np.zeros(3), falling(np.zeros(3)))
        loop.accept(np.zeros(3), value if count % 3 else 10 * value)
    assert len(loop.trace) == 40


@Plain
def bowl(v):
    scale = np.array([1.0, 3.0, 9.0])
    return float(scale @ v**4) + 0.5, 4 * scale * v**3  # flat at its least, so that no method is there at once


@pytest.mark.parametrize(
    "minimize",
    [
        minimize_lbfgsb,
        minimize_lbfgs,
        lambda f, v, n, **more: minimize_adam(f, v, 10 * n, 0.1, **more),
        lambda f, v, n, **more: minimize_descent(f, v, 10 * n, lambda step: 3e-3, **more),
        lambda f, v, n, **more: minimize_restarted(f, v, n, 2, **more),
    ],
)
def test_every_optimizer_ends(minimize):
    start = np.array([3.0, -2.0, 1.0])
    whole = minimize(bowl, start, 60)
    short = minimize(bowl, start, 60, stop_below=1e-3)
    assert short.stopped.startswith("settled after ")
    assert len(short.trace) < len(whole.trace)
    assert [row.value for row in short.trace] == [row.value for row in whole.trace[: len(short.trace)]]
    assert short.value == min(row.value for row in short.trace)


def test_an_option_that_no_optimizer_has_is_refused():
    assert set(RunOptions.__annotations__) == set(signature(Loop).parameters) - {"objective", "method"}
    for minimize in (minimize_lbfgsb, minimize_lbfgs, minimize_adam):
        with pytest.raises(TypeError, match="calback"):
            minimize(bowl, np.ones(3), 5, calback=print)


def test_a_scale_that_has_settled_hands_over_to_the_next():
    rng = np.random.default_rng(0)
    photograph, painting = rng.uniform(0, 255, (2, 48, 48, 3))
    options = {"network": "random", "size": 48, "pyramid_min_size": 24, "style_layers": "relu1_1", "iterations": 60}
    options["pyramid_detail"] = False  # with it the second scale settles at once
    result = handstyle.stylize(photograph, painting, stop_below=0.5, **options)
    assert 22 <= len(result.trace) < 120
    assert result.ended == "settled"
    assert result.stopped == f"settled after {len(result.trace)} of 120 iterations at 2 scales"
    assert result.array.shape == (48, 48, 3)
    one = handstyle.stylize(photograph, painting, stop_below=0.5, **(options | {"pyramid_min_size": 0}))
    assert one.stopped == f"settled after {len(one.trace)} of 60 iterations"

    def stop(progress):
        if progress.iteration == 30:
            raise StopIteration

    ended = handstyle.stylize(photograph, painting, stop_below=0.5, callback=stop, **options)
    assert ended.stopped.startswith("stopped by the callback")


@pytest.mark.parametrize("options", [{"stop_below": 1.0}, {"stop_below": -0.1}])
def test_what_is_no_share_is_refused(options):
    with pytest.raises(handstyle.HandstyleError, match="stop_below"):
        StyleConfig(**options)
    with pytest.raises(handstyle.HandstyleError, match="restarts"):
        StyleConfig(stop_below=0.1, restarts=2, evaluations=20, pyramid_min_size=0)
