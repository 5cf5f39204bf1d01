"""The whole gradient divided by its mean size: under a line search, and under Adam."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save, show, y_ticks
from fig.problem import town
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.objective import Evaluable


class Normalized(Evaluable):
    """An objective whose gradient has a mean size of one, whatever the value says; it keeps the values."""

    def __init__(self, objective, wrong):
        self.objective, self.wrong, self.values = objective, wrong, []

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate; normalize the gradient if asked to."""
        value, gradient = self.objective(v)
        self.values.append(value)
        return value, gradient / abs(gradient).mean() if self.wrong else gradient


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 60 if quick else 400
    runs = (
        ("L-BFGS", False, lambda f, v: minimize_lbfgs(f, v, n, evaluations=n), BLUE, "-"),
        ("L-BFGS, normalized", True, lambda f, v: minimize_lbfgs(f, v, n, evaluations=n), BLUE, "--"),
        ("Adam", False, lambda f, v: minimize_adam(f, v, n, 8.0), ORANGE, "-"),
        ("Adam, normalized", True, lambda f, v: minimize_adam(f, v, n, 8.0), GREEN, ":"),
    )
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    places = iter((axes[0, 0], axes[0, 1], axes[1, 0]))
    for name, wrong, run, color, line in runs:
        objective, start = town(72, 96)
        function = Normalized(objective, wrong)
        outcome = run(function, start)
        best = np.minimum.accumulate(function.values)
        axes[1, 1].semilogy(range(1, len(best) + 1), best, line, color=color, label=name, lw=2)
        if len(best) < n:
            axes[1, 1].plot(len(best), best[-1], "x", color=color, ms=9, mew=2)
        if name != "Adam":
            show(next(places), outcome.v.reshape(objective.shape), name)
    y_ticks(axes[1, 1], 1.2, 2, 5, 10, 15)
    axes[1, 1].set(xlabel="evaluations", title="the value")
    axes[1, 1].legend(fontsize=9, loc="center right")  # not behind the cross, where a line ends
    save(figure, out)


if __name__ == "__main__":
    command(main)
