"""Time the whole objective by size, L-BFGS-B's own work, and a run: ``pytest benchmarks/test_evaluation.py``."""

from typing import Any

import numpy as np
import pytest

from benchmarks import common
from handstyle.kernels.counting import Cost
from handstyle.kernels.cpu.dry_run import dry_run
from handstyle.kernels.cpu.engine import im2col_engine
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable
from handstyle.painting.config import StyleConfig
from handstyle.painting.planned_terms import planned_terms


@pytest.mark.parametrize("kernels", ["auto", "im2col", "reference"])
@pytest.mark.parametrize("size", [256, 512, 1024])
def test_evaluation(benchmark: Any, size: int, kernels: str) -> None:
    if kernels != "auto" and size > 256:
        pytest.skip("the plain kernels are measured at 256")
    network = common.network_with(kernels)
    content, styles = common.targets(network, size)
    objective = common.objective(network, content, styles, size)
    v = common.picture("tubingen.jpg", size).astype(np.float64).ravel()
    _, gradient = benchmark.pedantic(objective, (v,), rounds=5, warmup_rounds=1)
    terms = planned_terms(StyleConfig(), network, (size, size))
    counted = sum((row.cost for row in dry_run(im2col_engine(), network, terms, (size, size, 3)).rows), Cost())
    benchmark.extra_info.update(gflops=counted.products / benchmark.stats.stats.min / 1e9, bytes=counted.moved)
    if size == 256:
        exact = common.objective(common.network_with("reference", np.float64), content, styles, size)(v)[1]
        benchmark.extra_info["largest_error"] = float(abs(gradient - exact).max() / exact.std())


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_lbfgsb_alone(benchmark: Any, size: int) -> None:
    # A quadratic, evaluated in next to no time, so that the optimizer's own work is measured.
    class Quadratic(Evaluable):
        terms: dict[str, float] = {}  # noqa: RUF012

        def __init__(self, n: int) -> None:
            self.curvature = np.linspace(1, 100, n)

        def __call__(self, v: Any) -> tuple[float, Any]:
            gradient = self.curvature * v
            return 0.5 * float(gradient @ v), gradient

    n, iterations = 3 * size * size, 15
    start = np.random.default_rng(0).standard_normal(n)
    benchmark.pedantic(lambda: minimize_lbfgsb(Quadratic(n), start, iterations), rounds=3)
    benchmark.extra_info.update(seconds_per_iteration=benchmark.stats.stats.min / iterations)


def test_run_to_a_loss(benchmark: Any) -> None:
    size, iterations = 256, 50
    network = common.network_with("auto")
    content, styles = common.targets(network, size)
    v = common.picture("tubingen.jpg", size).astype(np.float64).ravel()
    objective = common.objective(network, content, styles, size)
    outcome = benchmark.pedantic(lambda: minimize_lbfgsb(objective, v, iterations), rounds=1)
    benchmark.extra_info.update(iterations=iterations, value=min(row.value for row in outcome.trace))
