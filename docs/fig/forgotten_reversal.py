"""A picture found from its features by descent, with the true gradient and with one whose shift is not reversed."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, photograph, save, show
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from tests.mutants.catalogue import shift_not_reversed


def descend(w, target, backward, steps):
    """Return the picture after `steps` of gradient descent on half the squared distance of features."""
    x = np.full((*target.shape[:2], w.shape[2]), 100.0)
    for _ in range(steps):
        y, cache = conv3x3_forward(x, w, np.zeros(w.shape[3]))
        x = x - 0.5 * backward(y - target, cache)
    return x


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo = photograph(144, 192)
    w = np.random.default_rng(0).normal(0, 1 / np.sqrt(27 * 3), (3, 3, 3, 9))  # contracts: the descent is stable
    target = conv3x3_forward(photo, w, np.zeros(9))[0]
    steps = 120 if quick else 400
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    show(axes[0], photo, "the picture that was meant")
    show(axes[1], descend(w, target, conv3x3_backward, steps), "true gradient")
    show(axes[2], descend(w, target, shift_not_reversed, steps), "shift not reversed")
    save(figure, out)


if __name__ == "__main__":
    command(main)
