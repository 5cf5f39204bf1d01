"""A penalty behind the host's `if`: asked at each evaluation, and frozen as it went when a graph was recorded."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, save, show
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Evaluable

WEIGHT = 1e-5  # of the penalty, for a squared gray level


def outside(v):
    """Return by how much each value lies below 0 or above 255."""
    return v - v.clip(0, 255)


class InRange(Evaluable):
    """An objective with a penalty for what lies outside 0 to 255, added only if there is such a pixel."""

    def __init__(self, objective, recorded):
        self.objective, self.recorded, self.branch = objective, recorded, None

    @property
    def terms(self):
        """Return the terms of the last evaluation."""
        return self.objective.terms

    def __call__(self, v):
        """Evaluate; a recorded objective goes the way that the first evaluation went."""
        value, gradient = self.objective(v)
        beyond = outside(v)
        if self.branch is None or not self.recorded:
            self.branch = bool(beyond.any())  # the host asks the device
        if self.branch:
            value, gradient = value + WEIGHT * float(beyond @ beyond), gradient + 2 * WEIGHT * beyond
        return value, gradient


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 60 if quick else 400
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.5), layout="constrained", width_ratios=(1, 1, 1.1))
    runs = (("asked each time", False, BLUE), ("frozen when recorded", True, ORANGE))
    for axis, (words, recorded, color) in zip(axes, runs, strict=False):
        objective, start = town(72, 96)
        shares = [0.0]
        outcome = minimize_lbfgsb(
            InRange(objective, recorded),
            start,
            n,
            callback=lambda row, shares=shares: shares.append(100 * np.mean(outside(row.v) != 0)),
        )
        show(axis, outcome.v.reshape(objective.shape))
        axis.set_title(words, color=color)
        axes[2].plot(shares, color=color)
    axes[2].set(xlabel="iteration", title="values outside 0 to 255, %", ylim=(0, None))
    save(figure, out)


if __name__ == "__main__":
    command(main)
