"""Pictures found from their features alone: a start from noise, one content term, one layer after another."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def invert(net, photo, tap, iterations):
    """Return a picture that starts as noise and ends with the photograph's features at `tap`, and the loss left."""
    features, _ = net.forward(preprocess_forward(photo.astype(net.dtype), net.convention), [tap])
    objective = Objective(net, [ContentTerm(tap, features[tap])], photo.shape)
    start = np.random.default_rng(0).uniform(110, 145, photo.size)
    outcome = minimize_lbfgsb(objective, start, iterations)
    return outcome.v.reshape(photo.shape), outcome.value


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(144, 192), network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.9), layout="constrained")
    show(axes[0, 0], photo, "the photograph")
    for axis, tap in zip(axes.ravel()[1:], TAPS, strict=True):
        picture, left = invert(net, photo, tap, 70 if quick else 1000)
        show(axis, picture, f"{tap}: {np.format_float_positional(left, 1, fractional=False)} left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
