"""One run of L-BFGS three times: right, with a gradient that is overwritten later, with one that lacks its weights."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save, show, y_ticks
from fig.problem import town
from handstyle.losses.terms import Term
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.objective import Evaluable, Objective
from tests.support.fast_network import FastNetwork


class Unweighted:
    """A term whose gradient is that of weight 1, whatever the weight of its value."""

    def __init__(self, term: Term) -> None:
        self.term, self.name, self.tap, self.weight = term, term.name, term.tap, term.weight
        self.measure, self.loss = term.measure, term.loss

    def spread(self, ds, f, *where):
        """Return the gradient, divided by the weight with which it will be multiplied."""
        return self.term.spread(ds, f, *where) / self.weight


class Bugged(Evaluable):
    """An objective that keeps its own record of the true value, with a bug in what it returns."""

    def __init__(self, objective, live):
        self.objective, self.live, self.values, self.buffer = objective, live, [], None

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate; return always the same array if `live`."""
        value, gradient = self.objective(v)
        self.values.append(value)
        if self.live:
            self.buffer = gradient.copy() if self.buffer is None else self.buffer
            self.buffer[...] = gradient
            gradient = self.buffer
        return value, gradient


def unweighted(objective):
    """Return the objective with the gradient of unit weights."""
    return Objective(objective.network, [Unweighted(term) for term in objective.prepared.terms], objective.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    evaluations = 60 if quick else 400
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    runs = (
        ("right", lambda f: Bugged(f, live=False), BLUE),
        ("live buffer", lambda f: Bugged(f, live=True), ORANGE),
        ("weights on the value only", lambda f: Bugged(unweighted(f), live=False), GREEN),
    )
    for axis, (words, bug, color) in zip(axes.ravel(), runs, strict=False):
        objective, start = town(72, 96)
        objective = Objective(objective.network.with_kernels(FastNetwork()), objective.prepared.terms, objective.shape)
        bugged = bug(objective)
        outcome = minimize_lbfgs(bugged, start, evaluations, evaluations=evaluations)
        show(axis, outcome.v.reshape(objective.shape), words)
        best = np.minimum.accumulate(bugged.values)
        axes[1, 1].semilogy(range(1, len(best) + 1), best, color=color, label=words)
        if len(best) < evaluations:
            axes[1, 1].plot(len(best), best[-1], "x", color=color, ms=9, mew=2)
    y_ticks(axes[1, 1], 1.2, 2, 5, 10, 15)
    axes[1, 1].set(xlabel="evaluations", title="the value")
    axes[1, 1].legend(fontsize=9, loc="center right")  # not behind the cross, where a line ends
    save(figure, out)


if __name__ == "__main__":
    command(main)
