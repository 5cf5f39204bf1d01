"""A rectified function along a line: where a kink lies between the two points, the difference quotient lies."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save


def f(t):
    """Return the sum of three rectifiers, with kinks at -0.6, 0.1 and 0.55."""
    return np.maximum(t + 0.6, 0) - 2.2 * np.maximum(t - 0.1, 0) + 2.6 * np.maximum(t - 0.55, 0) + 0.15 * t**2


def main(out, quick=True):
    """Draw the figure to `out`."""
    t = np.linspace(-1, 1, 400)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    left.plot(t, f(t), color=BLUE)
    for at, hue, words in ((-0.25, GREEN, "no kink between"), (0.0, ORANGE, "a kink between")):
        h = 0.2
        left.plot([at - h, at + h], [f(at - h), f(at + h)], "o-", color=hue, label=words, lw=2)
    left.set(xlabel="x", ylabel="f(x)", title="the secant that stands for the tangent")
    left.legend(loc="upper left")
    steps = np.logspace(-4, -0.3, 60)
    for at, hue, words in ((-0.25, GREEN, "x = −0.25"), (0.0, ORANGE, "x = 0, kink at 0.1")):
        truth = 1 + 0.3 * at
        right.loglog(
            steps, np.abs((f(at + steps) - f(at - steps)) / (2 * steps) - truth) + 1e-13, color=hue, label=words
        )
    right.axvline(0.1, color=GRAY, lw=0.8)
    right.set(xlabel="step h", ylabel="error of the slope", title="right until the step reaches the kink")
    right.legend(loc="center left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
