"""The picture painted with the true rectifier and with two wrong masks on the way back."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import painted
from handstyle.network import sequence
from tests.mutants.catalogue import mask_forgotten, mask_from_the_gradient


def keep_the_input(x):  # the mutants are functions of the gradient and of the input
    """Return the rectified input, and the input itself for a cache."""
    return np.maximum(x, 0), x


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 300
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    show(axes[0], painted(steps=steps), "true")
    for place, bug in zip(axes[1:], (mask_from_the_gradient, mask_forgotten), strict=True):
        patches = [(sequence, "relu_forward", keep_the_input), (sequence, "relu_backward", bug)]
        show(place, painted(patches, steps=steps), bug.__name__.replace("_", " "))
    save(figure, out)


if __name__ == "__main__":
    command(main)
