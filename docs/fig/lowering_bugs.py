"""A picture found from its features by descent: the true gradient, a col2im that overwrites, a border that wraps."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, photograph, save, show
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from tests.mutants.catalogue import border_wraps_around


def overwriting(dy, cache):
    """Go back with ``=`` where ``+=`` belongs."""
    w, _ = cache
    H, W, _ = dy.shape
    dxpad = np.zeros((H + 2, W + 2, w.shape[2]))
    for i, j in np.ndindex(3, 3):
        dxpad[i : i + H, j : j + W] = dy @ w[i, j].T
    return dxpad[1:-1, 1:-1]


def descend(w, target, backward, steps):
    """Return the picture after `steps` of gradient descent on half the squared distance of features."""
    x = np.full((*target.shape[:2], w.shape[2]), 100.0)
    for _ in range(steps):
        y, cache = conv3x3_forward(x, w, np.zeros(w.shape[3]))
        x = np.clip(x - 0.5 * backward(y - target, cache), -500, 500)
    return x


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo = photograph(48, 64)
    w = np.random.default_rng(0).normal(0, 1 / np.sqrt(27 * 3), (3, 3, 3, 9))  # contracts: the descent is stable
    target = conv3x3_forward(photo, w, np.zeros(9))[0]
    steps = 150 if quick else 500
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    show(axes[0, 0], photo, "the picture that was meant")
    ways = {
        "the true gradient": conv3x3_backward,
        "= in place of +=": overwriting,
        "the border wraps around": border_wraps_around,
    }
    for ax, (name, backward) in zip(axes.ravel()[1:], ways.items(), strict=True):
        show(ax, descend(w, target, backward, steps), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
