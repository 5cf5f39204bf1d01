"""One noisy step, made smooth by three variations of equal strength: absolute, squared, and to the power 2.5."""

import numpy as np
from matplotlib import pyplot as plt
from scipy.optimize import minimize

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save

ROUND = 1e-3  # rounds the kink of the absolute value off, in gray levels
POWERS = {1.0: ("absolute: |d|", GREEN), 2.0: ("squared: d²", BLUE), 2.5: ("Keras: |d| to the power 2.5", ORANGE)}


def smooth(noisy, power, weight):
    """Return the signal that minimizes half the squared distance to `noisy` plus weighted variation."""

    def f(p):
        d = np.diff(p)
        q = d * d + ROUND**2
        slope = weight * power * q ** (power / 2 - 1) * d
        gradient = p - noisy
        gradient[1:] += slope
        gradient[:-1] -= slope
        return 0.5 * ((p - noisy) ** 2).sum() + weight * (q ** (power / 2)).sum(), gradient

    return minimize(f, noisy, jac=True, method="L-BFGS-B", options={"maxiter": 20000, "maxfun": 40000, "ftol": 0}).x


def grain(p):
    """Return how rough the parts are that lie away from the step."""
    bend = np.abs(np.diff(p, 2))
    return bend[:22].sum() + bend[40:].sum()


def same_grain_left(noisy, power, share):
    """Return the signal smoothed by the weight that leaves a given share of the grain."""
    low, high = 1e-4, 1e4
    for _ in range(30):
        middle = np.sqrt(low * high)
        p = smooth(noisy, power, middle)
        low, high = (middle, high) if grain(p) > share * grain(noisy) else (low, middle)
    return p


def main(out, quick=True):
    """Draw the figure to `out`."""
    rng = np.random.default_rng(0)
    step = np.where(np.arange(64) < 32, 60.0, 180.0)
    noisy = step + rng.normal(0, 10, 64)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.5), layout="constrained", sharey=True)
    for axis, (power, (words, color)) in zip(axes, POWERS.items(), strict=True):
        axis.plot(noisy, ".", color=GRAY, ms=3)
        axis.plot(same_grain_left(noisy, power, 0.1), color=color, lw=2)
        axis.set_title(words)
        axis.set_xlabel("pixel")
    axes[0].set_ylabel("gray level")
    save(figure, out)


if __name__ == "__main__":
    command(main)
