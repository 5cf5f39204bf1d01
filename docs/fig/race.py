"""Four optimizers on one loss, each given the same number of evaluations."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save
from fig.problem import town
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.classic import minimize_descent, minimize_restarted
from handstyle.optimize.lbfgsb import minimize_lbfgsb

# Both doubled from a small start for as long as it helped: the rivals at their best.
RATE, ADAM_RATE = 1.28e5, 32.0


class Counted:
    """An objective that keeps the best value after each evaluation."""

    def __init__(self, objective):
        self.objective, self.best = objective, []

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate and remember."""
        value, gradient = self.objective(v)
        self.best.append(min(value, self.best[-1]) if self.best else value)
        return value, gradient


class Larger(Counted):
    """The same in units in which SciPy's default stopping tests do not end a round early (figure `convergence`)."""

    def __call__(self, v):
        """Evaluate and enlarge."""
        value, gradient = self.objective(v)
        return 1e6 * value, 1e6 * gradient


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 200 if quick else 1000
    runs = {
        "gradient descent, fixed rate": lambda f, v: minimize_descent(f, v, n, lambda step: RATE),
        "Adam": lambda f, v: minimize_adam(f, v, n, ADAM_RATE),
        "L-BFGS-B, begun again every 20": lambda f, v: minimize_restarted(Larger(f), v, n // 20),
        "L-BFGS-B, one call": lambda f, v: minimize_lbfgsb(f, v, n, evaluations=n),
    }
    objective, start = town()
    floor = minimize_lbfgsb(objective, start, 10 * n, evaluations=2 * n).value
    figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    for name, run in runs.items():
        objective, start = town()
        counted = Counted(objective)
        run(counted, start)
        axes.semilogy(range(1, len(counted.best[:n]) + 1), np.array(counted.best[:n]) - floor, label=name)
    axes.set(xlabel="evaluations of value and gradient", ylabel="value above the best known")
    axes.legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
