"""SciPy's L-BFGS-B as this package calls it: the reason for stopping, asserted for each way a run can end."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import minimize
from support.sample_objectives import Plain
from threadpoolctl import threadpool_info

from handstyle.foundations.backend import Array
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Weights, build_network
from handstyle.optimize import lbfgsb
from handstyle.optimize.endings import describe_scipy
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import max_history, minimize_lbfgsb
from handstyle.optimize.objective import Evaluable, NonFiniteError, Objective
from handstyle.optimize.trace import Iteration


@dataclass
class Quadratic(Evaluable):
    """``s/2 (v − 1)ᵀ D (v − 1)``, D from 1 to 1000: convex, two thousand unknowns, a slow valley."""

    scale: float = 1.0
    n: int = 2000
    terms: dict[str, float] = field(default_factory=dict)
    seen: list[Array] = field(default_factory=list)

    def __call__(self, v: Array) -> tuple[float, Array]:
        self.seen.append(v.copy())
        D = np.geomspace(1, 1000, self.n)
        value = 0.5 * self.scale * float((D * (v - 1) ** 2).sum())
        self.terms = {"only term": value}
        return value, self.scale * D * (v - 1)


START = np.zeros(2000)


def error(v: Array) -> float:
    return float(np.linalg.norm(v - 1) / np.sqrt(v.size))


# --- each way to end ----------------------------------------------------------------------------------------------


def test_all_iterations_done() -> None:
    outcome = minimize_lbfgsb(Quadratic(), START, 7)
    assert outcome.stopped == "all 7 iterations done"
    assert [row.iteration for row in outcome.trace] == [1, 2, 3, 4, 5, 6, 7]
    assert not outcome.failed


def test_all_evaluations_done() -> None:
    outcome = minimize_lbfgsb(Quadratic(), START, 100, evaluations=5)
    assert outcome.ended == "done"
    assert outcome.stopped == "all 5 evaluations done"
    assert 5 <= outcome.evaluations <= 6


def test_stopped_by_the_callback() -> None:
    def callback(row: Iteration) -> None:
        if row.iteration == 3:
            raise StopIteration

    outcome = minimize_lbfgsb(Quadratic(), START, 100, callback=callback)
    assert outcome.ended == "stopped"
    assert outcome.stopped == "stopped by the callback"
    assert len(outcome.trace) == 3


@pytest.mark.parametrize("during", ["an evaluation", "the callback"])
def test_interrupted_from_the_keyboard(during: str) -> None:
    objective = Quadratic()

    def callback(row: Iteration) -> None:
        if during == "the callback" and row.iteration == 4:
            raise KeyboardInterrupt

    @Plain
    def evaluate(v: Array) -> tuple[float, Array]:
        if during == "an evaluation" and len(objective.seen) == 6:
            raise KeyboardInterrupt
        return objective(v)

    outcome = minimize_lbfgsb(evaluate, START, 100, callback=callback)
    assert outcome.stopped == f"interrupted after {len(outcome.trace)} iterations"
    best = min(objective.seen, key=lambda v: Quadratic()(v)[0])
    np.testing.assert_array_equal(outcome.v, best)
    assert outcome.value == Quadratic()(best)[0] < Quadratic()(START)[0]


def test_a_gradient_of_exactly_zero() -> None:
    outcome = minimize_lbfgsb(Quadratic(), np.ones(2000), 100)
    assert outcome.ended == "converged"
    assert outcome.stopped == "the gradient is exactly zero after 0 iterations"
    assert outcome.value == 0


def test_a_gradient_that_becomes_zero() -> None:
    @Plain
    def bowl(v: Array) -> tuple[float, Array]:
        return 0.5 * float(v @ v), v.copy()

    outcome = minimize_lbfgsb(bowl, np.full(4, 2.0), 100)  # the first step of a unit bowl lands in its middle
    assert outcome.stopped.startswith("the gradient is exactly zero after")
    assert outcome.value == 0


def test_the_line_search_fails_on_a_gradient_that_points_uphill() -> None:
    @Plain
    def wrong(v: Array) -> tuple[float, Array]:
        return float(v @ v), -2 * v

    start = np.full(4, 2.0)
    outcome = minimize_lbfgsb(wrong, start, 100)
    assert outcome.stopped.startswith("no further descent: the line search failed after 0 iterations")
    np.testing.assert_array_equal(outcome.v, start)


def test_tolerance() -> None:
    outcome = minimize_lbfgsb(Quadratic(), START, 1000, tolerance=1e-3)
    assert outcome.stopped.startswith("converged: an iteration lowered the value by less than 0.001 of the start's")
    values = [Quadratic()(START)[0]] + [row.value for row in outcome.trace]
    drops = -np.diff(values) / values[0]
    assert drops[-1] < 1e-3 <= drops[:-1].min()


def test_nothing_left_to_gain() -> None:
    """Without a tolerance the run ends where a step leaves the value equal to the last bit, and says that."""
    exact = Quadratic(n=50)

    @Plain
    def rounded(v: Array) -> tuple[float, Array]:  # as the values of a network in float32 are
        value, gradient = exact(v)
        return float(np.float32(1 + value)), gradient

    outcome = minimize_lbfgsb(rounded, np.zeros(50), 10_000)
    assert outcome.stopped.startswith(
        f"converged: the last of {len(outcome.trace)} iterations left the value as it was"
    )
    assert not outcome.failed
    assert error(outcome.v) < 1e-3


def test_the_default_limit_of_evaluations_is_named() -> None:
    """Twenty evaluations an iteration at most, and the number that ended the run is given."""
    result = SimpleNamespace(status=1, nit=0, message="STOP")
    assert describe_scipy(result, 0, 3, 80, 0.0) == ("done", "all 80 evaluations done")


# --- a value that is not finite -----------------------------------------------------------------------------------


def small_objective(weights: Weights, poison: Callable[[int], float]) -> Objective:
    """Return an objective whose content term is multiplied by ``poison(evaluation)``."""
    network = build_network(weights)
    rng = np.random.default_rng(0)
    features, _ = network.forward(rng.uniform(-100, 100, (16, 16, 3)).astype(np.float32), ["relu1_1", "relu2_1"])
    calls = []

    @dataclass(frozen=True)
    class Poisoned(ContentTerm):
        def loss(self, s: Array) -> tuple[Array, Array]:
            value, ds = super().loss(s)
            calls.append(1)
            return value * poison(len(calls)), ds

    terms = [
        Poisoned("relu2_1", features["relu2_1"]),
        StyleTerm("relu1_1", moments_forward(features["relu1_1"]), 10.0),
        VariationTerm(1e-5),
    ]
    return Objective(network, terms, (16, 16, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_term_that_is_not_finite_ends_the_run_by_name(bad: float, tiny_weights: Weights) -> None:
    objective = small_objective(tiny_weights, lambda call: bad if call == 8 else 1.0)
    start = np.random.default_rng(1).uniform(0, 255, 16 * 16 * 3)
    outcome = minimize_lbfgsb(objective, start, 100)
    assert outcome.stopped.startswith(f"stopped by a value that is not finite: content relu2_1 is {bad}")
    assert outcome.failed
    assert outcome.ended == "not finite"
    assert outcome.evaluations == 7
    healthy = small_objective(tiny_weights, lambda call: 1.0)
    assert outcome.value == healthy(outcome.v)[0] < healthy(start)[0]


def test_a_start_that_is_not_finite_is_an_error(tiny_weights: Weights) -> None:
    with pytest.raises(NonFiniteError, match="content relu2_1 is nan"):
        minimize_lbfgsb(small_objective(tiny_weights, lambda call: np.nan), np.zeros(16 * 16 * 3), 10)


# --- the scale of the loss ----------------------------------------------------------------------------------------


def test_a_tiny_loss_converges_as_the_unscaled_one() -> None:
    one, tiny = (minimize_lbfgsb(Quadratic(scale), START, 60) for scale in (1.0, 1e-10))
    assert one.stopped == tiny.stopped == "all 60 iterations done"
    assert error(one.v) < 0.05
    assert error(tiny.v) == pytest.approx(error(one.v), rel=1e-3)
    np.testing.assert_allclose([r.value for r in tiny.trace], [1e-10 * r.value for r in one.trace], rtol=1e-6)


def test_scipys_defaults_stop_before_they_start() -> None:
    """What the scaling is for: left to itself SciPy compares a gradient of 1e-9 with 1e-5 and calls it converged."""
    result = minimize(Quadratic(1e-10), START, jac=True, method="L-BFGS-B")
    assert result.nit == 0
    assert result.success
    assert "PROJECTED GRADIENT" in result.message
    assert error(result.x) == 1


def test_a_start_of_value_zero() -> None:
    outcome = minimize_lbfgsb(Quadratic(0.0), START, 10)
    assert outcome.stopped == "the gradient is exactly zero after 0 iterations"


def test_the_first_trial_moves_a_pixel_by_one_level() -> None:
    objective = Quadratic()
    minimize_lbfgsb(objective, START, 1)
    step = objective.seen[1] - objective.seen[0]
    assert np.sqrt((step**2).mean()) == pytest.approx(1)


# --- what the callback is given, and what is kept -------------------------------------------------------------------


def test_the_callbacks_picture_is_a_copy() -> None:
    """A callback may write to it: the run is not disturbed."""

    def vandal(row: Iteration) -> None:
        assert row.v is not None
        row.v[...] = np.nan

    calm, disturbed = (minimize_lbfgsb(Quadratic(), START, 20, callback=callback) for callback in (None, vandal))
    np.testing.assert_array_equal(disturbed.v, calm.v)
    assert [row.value for row in disturbed.trace] == [row.value for row in calm.trace]
    assert all(row.v is None for row in disturbed.trace)


def test_the_callback_sees_every_iteration_with_its_value_and_terms() -> None:
    rows: list[Iteration] = []
    outcome = minimize_lbfgsb(Quadratic(), START, 12, callback=rows.append)
    assert [row.iteration for row in rows] == list(range(1, 13))
    for row in rows:
        assert row.v is not None
        assert Quadratic()(row.v)[0] == pytest.approx(row.value, rel=1e-12)
        assert sum(row.terms.values()) == pytest.approx(row.value, rel=1e-12)
    assert [row.value for row in rows] == [row.value for row in outcome.trace]
    assert all(a.evaluations < b.evaluations and a.seconds <= b.seconds for a, b in pairwise(rows))


def test_the_best_picture_is_returned_and_the_start_is_left_alone() -> None:
    start = START.copy()
    start.flags.writeable = False
    objective = Quadratic()
    outcome = minimize_lbfgsb(objective, start, 15)
    best = min(objective.seen, key=lambda v: Quadratic()(v)[0])
    np.testing.assert_array_equal(outcome.v, best)
    assert outcome.value == Quadratic()(best)[0]
    assert outcome.evaluations == len(objective.seen)


def test_the_start_is_evaluated_once() -> None:
    objective = Quadratic()
    minimize_lbfgsb(objective, START, 3)
    assert sum(np.array_equal(v, START) for v in objective.seen) == 1


def test_one_long_run_beats_ten_short_ones() -> None:
    """Restarting, as the classic script does to save pictures, forgets the curvature each time."""
    long = minimize_lbfgsb(Quadratic(), START, 60)
    v = START
    for _ in range(10):
        v = minimize_lbfgsb(Quadratic(), v, 6).v
    assert long.value < 0.5 * Quadratic()(v)[0]


def test_scipys_threads_are_limited_only_during_the_run() -> None:
    def threads() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info()]

    before, during = threads(), []
    minimize_lbfgsb(Quadratic(), START, 2, callback=lambda row: during.append(threads()))
    assert threads() == before
    with lbfgsb.one_scipy_thread():
        inside = threadpool_info()
    assert all(pool["num_threads"] == 1 for pool in inside if "scipy.libs" in pool["filepath"])


@pytest.mark.parametrize("n", [1, 4, 100, 3 * 512**2, 3 * 6000**2, 2**28, 10**9])
def test_the_most_pairs_are_those_that_fit_and_no_more(n: int) -> None:
    def workspace(m: int) -> int:
        return 2 * m * n + 5 * n + 11 * m * m + 8 * m

    m = max_history(n)
    assert workspace(m + 1) >= 2**31
    assert m == 0 or workspace(m) < 2**31


@pytest.mark.parametrize(("words", "stopped"), [((), "stopped by the callback"), (("by hand",), "stopped by hand")])
def test_the_callback_may_say_why_it_stopped(words: tuple[str, ...], stopped: str) -> None:
    def stop(_: object) -> None:
        raise StopIteration(*words)

    for method in (minimize_lbfgsb, minimize_lbfgs):
        assert method(Quadratic(n=9), np.zeros(9), 9, callback=stop).stopped == stopped
