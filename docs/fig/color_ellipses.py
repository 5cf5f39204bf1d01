"""Two Gaussians in the plane, and three maps from one to the other that differ by a turn."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, ORANGE, command, save
from handstyle.painting.color import METHODS, color_map

SOURCE, TARGET = np.diag([4.0, 1.0]), np.array([[5.0, 4.0], [4.0, 5.0]])


def root(a):
    """Return the symmetric square root."""
    values, vectors = np.linalg.eigh(a)
    return (vectors * np.sqrt(values)) @ vectors.T


def main(out, quick=True):
    """Draw the figure to `out`."""
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    marks = circle[:, :200:13]
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.9), layout="constrained", sharey=True)
    for panel, method in zip(axes, METHODS, strict=True):
        A = color_map(SOURCE, TARGET, method)
        before = root(SOURCE) @ marks
        after = A @ before
        panel.plot(*(root(SOURCE) @ circle), color=BLUE)
        panel.plot(*(root(TARGET) @ circle), color=ORANGE)
        for p, q in zip(before.T, after.T, strict=True):
            panel.plot(*zip(p, q, strict=True), color=GRAY, lw=0.8)
        panel.plot(*before, ".", color=BLUE, ms=6)
        panel.plot(*after, ".", color=ORANGE, ms=6)
        moved = np.trace(SOURCE) + np.trace(TARGET) - 2 * np.trace(A @ SOURCE)
        panel.set(title=f"{method}\nmean squared move {moved:.2f}", aspect="equal", xlim=(-3, 3), ylim=(-2.6, 2.6))
        panel.set_xlabel("red")
    axes[0].set_ylabel("green")
    save(figure, out)


if __name__ == "__main__":
    command(main)
