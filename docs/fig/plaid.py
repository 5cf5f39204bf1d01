"""The picture painted with the true pool and with one that sends every gradient to the block's first pixel."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import painted
from handstyle.network import sequence
from handstyle.network.pooling import max_pool_forward
from handstyle.network.sequence import POOLS
from tests.mutants.catalogue import gradient_to_the_first_pixel


def keep_the_input(x, rounding):  # the mutant is a function of the gradient and of the input
    """Return the pooled input, and the input itself for a cache."""
    return max_pool_forward(x, rounding)[0], x


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 30 if quick else 300
    bug = [(sequence, "POOLS", {**POOLS, "max": (keep_the_input, gradient_to_the_first_pixel)})]
    pictures = {"true": painted(steps=steps), "to the first pixel": painted(bug, steps=steps)}
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for column, (title, picture) in enumerate(pictures.items()):
        show(axes[0, column], picture, title)
        show(axes[1, column], np.kron(picture[20:56, 20:68], np.ones((2, 2, 1))), "a piece, enlarged")
    save(figure, out)


if __name__ == "__main__":
    command(main)
