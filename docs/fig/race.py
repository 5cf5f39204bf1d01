"""Four optimizers on one loss, each given the same number of evaluations."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save
from fig.problem import town
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.classic import minimize_descent, minimize_restarted
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable

# Both doubled from a small start for as long as it helped: the rivals at their best.
RATE, ADAM_RATE = 1.28e5, 32.0
ROUNDS = "L-BFGS-B, begun again every 20"


class Larger(Evaluable):
    """An objective in a unit in which SciPy's default stopping tests do not end a round early (figure `convergence`).

    It keeps the value of each evaluation, since the trace has one row for a round.
    """

    def __init__(self, objective):
        self.objective, self.values = objective, []

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate, remember and enlarge."""
        value, gradient = self.objective(v)
        self.values.append(value)
        return 1e6 * value, 1e6 * gradient


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 200 if quick else 1000
    runs = {
        "gradient descent, fixed rate": lambda f, v: minimize_descent(f, v, n, lambda step: RATE),
        "Adam": lambda f, v: minimize_adam(f, v, n, ADAM_RATE),
        ROUNDS: lambda f, v: minimize_restarted(f, v, n // 20),
        "L-BFGS-B, one call": lambda f, v: minimize_lbfgsb(f, v, n, evaluations=n),
    }
    objective, start = town()
    floor = minimize_lbfgsb(objective, start, 10 * n, evaluations=2 * n).value
    figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    for name, run in runs.items():
        objective, start = town()
        larger = Larger(objective)
        trace = run(larger if name == ROUNDS else objective, start).trace
        spent = [1, *(row.evaluations for row in trace)]  # the first evaluation is at the start
        values = [objective(start)[0], *(row.value for row in trace)]
        if name == ROUNDS:
            values = larger.values[:n]
            spent = range(1, len(values) + 1)
        axes.semilogy(spent, np.minimum.accumulate(values) - floor, label=name)
    axes.set(xlabel="evaluations of value and gradient", ylabel="value above the best known")
    axes.legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
