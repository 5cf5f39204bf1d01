"""Two clouds of features and their Gram matrices as ellipses; and how much of a style lies in how many directions."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, save
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import moments_forward

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def ellipse(gram):
    """Return the points x with x G⁻¹ xᵀ = 1, (100, 2): the root mean square of the cloud in each direction."""
    angle = np.linspace(0, 2 * np.pi, 100)
    values, vectors = np.linalg.eigh(gram)
    return (np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.sqrt(values)) @ vectors.T


def main(out, quick=True):
    """Draw the figure to `out`."""
    rng = np.random.default_rng(3)
    one = np.abs(rng.normal(size=(60, 1)) * [1.5, 1.5] + rng.normal(size=(60, 2)) * 0.3)
    other = np.where(rng.random((60, 1)) < 0.5, [2.0, 0.1], [0.1, 1.5]) + 0.2 * np.abs(rng.normal(size=(60, 2)))
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained")
    for points, color in ((one, BLUE), (other, ORANGE)):
        axes[0].plot(*points.T, ".", color=color, ms=5)
        axes[0].plot(*ellipse(points.T @ points / len(points)).T, color=color, lw=2)
    axes[0].set(xlabel="channel 1", ylabel="channel 2", xlim=(-2.2, 4.6), ylim=(-2.2, 5.4), aspect="equal")
    for x, y, color, words in ((2.0, 4.6, BLUE, "the picture:\ntogether"), (-1.9, 2.1, ORANGE, "the painting:\napart")):
        axes[0].text(x, y, words, color=color, fontsize=9, ha="right" if color == BLUE else "left")
    features, _ = network().forward(preprocess_forward(painting(96, 128), network().convention), TAPS)
    for tap in TAPS:
        values = np.sort(np.linalg.eigvalsh(moments_forward(features[tap]).outer))[::-1]
        left = 1 - np.cumsum(values**2) / (values**2).sum()
        rank = min(features[tap].shape[0] * features[tap].shape[1], len(left))
        axes[1].semilogy(range(1, rank), left[: rank - 1], label=tap)
    axes[1].set(xlabel="rank r", ylim=(1e-10, 1), title="least relative error of a matrix of rank r")
    axes[1].legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
