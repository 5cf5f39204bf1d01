"""A noisy portrait smoothed by descent: with the true gradient, one that looks one way, and one that wraps around."""

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import portrait_scene

from fig.common import BRIGHT, command, save, show
from handstyle.losses.total_variation import total_variation

STEPS, CROWN = 40, 13  # of descent; the row of the picture in which the hair begins


def one_way(p):
    """Return the gradient in which each difference pulls one of its two pixels only."""
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    dp = np.zeros_like(p)
    dp[:-1] -= down
    dp[:, :-1] -= across
    return dp * (2 / (down.size + across.size))


def wrapped(p):
    """Return the gradient in which the last row is the first one's neighbor."""
    n = 2 * p.size - p[0].size - p[:, 0].size
    neighbors = sum(np.roll(p, shift, axis) for axis in (0, 1) for shift in (1, -1))
    return (4 * p - neighbors) * (2 / n)


def main(out, quick=True):
    """Draw the figure to `out`."""
    noisy = portrait_scene(96, 72) + np.random.default_rng(0).normal(0, 25, (96, 72, 3))
    n = 2 * noisy.size - noisy[0].size - noisy[:, 0].size
    gradients = {
        "true": lambda p: total_variation(p)[1],
        "looks one way": one_way,
        "wraps around": wrapped,
    }
    figure, axes = plt.subplots(1, 4, figsize=(7.2, 2.7), layout="constrained")
    show(axes[0], noisy, "the start")
    for axis, (words, gradient) in zip(axes[1:], gradients.items(), strict=True):
        p = noisy
        for _ in range(STEPS):
            p = p - 0.05 * n * gradient(p)
        show(axis, p, words)
    for axis in axes:  # where the crown is at the start
        axis.axhline(CROWN, color=BRIGHT, lw=1, ls=":")
    save(figure, out)


if __name__ == "__main__":
    command(main)
