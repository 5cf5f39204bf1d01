"""A picture found from the output of one stage, with the true gradient and with a pool's mask that ignores the sign."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, photograph, save, show
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.pooling import max_pool_backward, max_pool_forward
from handstyle.network.relu import relu_backward, relu_forward


def stage(x, w):
    """Return the pooled output of a stage, and two ways back through it."""
    z, cache = conv3x3_forward(x, w, np.zeros(w.shape[3]))
    rectified, mask = relu_forward(z)
    y, codes = max_pool_forward(rectified)
    _, first_largest = max_pool_forward(z)

    def true(dy):
        return conv3x3_backward(relu_backward(max_pool_backward(dy, codes), mask), cache)

    def broken(dy):
        return conv3x3_backward(max_pool_backward(dy, first_largest), cache)

    return y, (true, broken)


def descend(w, target, which, steps):
    """Return the picture and the losses of a gradient descent on half the squared distance of features."""
    x, losses = np.full((2 * target.shape[0], 2 * target.shape[1], 3), 100.0), []
    for _ in range(steps):
        y, ways = stage(x, w)
        losses.append(0.5 * float(((y - target) ** 2).mean()))
        x = x - 0.4 * ways[which](y - target)
    return x, losses


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo = photograph(48, 64)
    w = np.random.default_rng(0).normal(0, 1 / np.sqrt(27 * 9), (3, 3, 3, 48))
    target, _ = stage(photo, w)
    steps = 200 if quick else 600
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.2), layout="constrained")
    show(axes[0, 0], photo, "the picture that was meant")
    plot = axes[0, 1]
    for which, (ax, name, color) in enumerate(((axes[1, 0], "true", BLUE), (axes[1, 1], "the bit forgotten", ORANGE))):
        found, losses = descend(w, target, which, steps)
        show(ax, found, name)
        plot.semilogy(losses, color=color, label=name)
    plot.set_xlabel("step")
    plot.set_ylabel("loss")
    plot.legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
