"""Textures from noise: pictures whose Gram matrices agree with the painting's, up to one layer after another."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def synthesize(net, art, taps, iterations):
    """Return a picture that starts as noise and ends with the painting's Gram matrices at `taps`."""
    features, _ = net.forward(preprocess_forward(art.astype(net.dtype), net.convention), taps)
    terms = [StyleTerm(tap, moments_forward(features[tap])) for tap in taps]
    start = np.random.default_rng(0).uniform(110, 145, art.shape).ravel()
    return minimize_lbfgsb(Objective(net, terms, art.shape), start, iterations).v.reshape(art.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    art, net = painting(144, 192), network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.9), layout="constrained")
    show(axes[0, 0], art, "the painting")
    for axis, k in zip(axes.ravel()[1:], range(1, 6), strict=True):
        picture = synthesize(net, art, TAPS[:k], 60 if quick else 500)
        show(axis, picture, "only relu1_1" if k == 1 else f"… to {TAPS[k - 1]}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
