"""A run whose value forgets the total variation that its gradient has, beside the true run."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, save, show, y_ticks
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable


def variation_missing_from_the_value(objective, v):
    """Evaluate, and leave the total variation out of the value and not out of the gradient."""
    value, gradient = objective(v)
    return value - objective.terms["total variation"], gradient


class Broken(Evaluable):
    """An objective with a bug put in its place."""

    def __init__(self, objective, bug):
        self.objective, self.bug, self.true = objective, bug, []

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate wrongly; keep what the value should have been."""
        value, gradient = self.bug(self.objective, v)
        self.true.append(sum(self.objective.terms.values()))
        return value, gradient


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 120 if quick else 600
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained", width_ratios=(1, 1, 1.2))
    bugs = (
        (lambda f, v: f(v), "value and gradient match", BLUE),
        (variation_missing_from_the_value, "a term missing", ORANGE),
    )
    for axis, (bug, words, hue) in zip(axes, bugs, strict=False):
        objective, start = town(96, 128, variation=3e-3)
        broken = Broken(objective, bug)
        outcome = minimize_lbfgsb(broken, start, n, evaluations=n)
        show(axis, outcome.v.reshape(objective.shape))
        axis.set_title(words, color=hue)
        best = np.minimum.accumulate(broken.true)
        axes[2].semilogy(range(1, len(best) + 1), best, color=hue, label=f"{len(outcome.trace)} iterations")
        if outcome.evaluations < n:
            axes[2].plot(len(best), best[-1], "x", color=hue, ms=9, mew=2)
    axes[2].set(xlabel="evaluations", title="the true value")
    axes[2].legend(fontsize=9)
    y_ticks(axes[2], 3, 5, 10, 20)
    save(figure, out)


if __name__ == "__main__":
    command(main)
