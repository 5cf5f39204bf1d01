"""A line search at work: the trials, the cubic through two of them, and where both conditions hold."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save
from handstyle.optimize.line_search import CURVATURE, DECREASE, Trial, strong_wolfe


def value(t):
    """Return a function that falls from 0, has its minimum near 2, and rises steeply."""
    return -2 * t + 0.1 * t**2 + 0.02 * t**5 + 0.1 * (1 - np.cos(3 * t))


def slope(t):
    """Return its derivative."""
    return -2 + 0.2 * t + 0.1 * t**4 + 0.3 * np.sin(3 * t)


def cubic(a, b, t):
    """Return at `t` the cubic with the values and slopes of the trials `a` and `b`."""
    h = b.step - a.step
    u = (t - a.step) / h
    return (
        (2 * u**3 - 3 * u**2 + 1) * a.value
        + (u**3 - 2 * u**2 + u) * h * a.slope
        + (-2 * u**3 + 3 * u**2) * b.value
        + (u**3 - u**2) * h * b.slope
    )


def search(first):
    """Return the trials of a search that begins with the step `first`, the start included."""
    trials = [Trial(0.0, value(0.0), slope(0.0))]

    def phi(t):
        trials.append(Trial(t, value(t), slope(t)))
        return trials[-1]

    assert strong_wolfe(phi, trials[0], first) is trials[-1]
    return trials


def main(out, quick=True):
    """Draw the figure to `out`."""
    t = np.linspace(0, 4, 400)
    good = (value(t) <= DECREASE * t * slope(0)) & (abs(slope(t)) <= CURVATURE * abs(slope(0)))
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.1), layout="constrained", sharey=True)
    for axis, first, words in zip(
        axes, (0.1, 3.4), ("the first step is too short", "the first step is too long"), strict=True
    ):
        trials = search(first)
        axis.fill_between(t, -4.6, 4, where=good, color=GREEN, alpha=0.15, lw=0, label="both conditions hold")
        axis.plot(t, value(t), color=GRAY, lw=1.2, label="the function")
        a, b = trials[-3:-1]
        axis.plot(t, cubic(a, b, t), "--", color=ORANGE, lw=1.2, label="the last cubic")
        for k, trial in enumerate(trials):
            axis.plot(trial.step, trial.value, "o", color=BLUE, ms=5)
            beside = (3, 6) if k != 1 or first > 1 else (-3, -15)  # below the curve: the start is close
            axis.annotate(str(k), (trial.step, trial.value), xytext=beside, textcoords="offset points", color=BLUE)
        axis.set(title=words, xlabel="step t", ylim=(-4.6, 4))
    axes[0].set_ylabel("value")
    axes[1].legend(fontsize=9, loc="upper left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
