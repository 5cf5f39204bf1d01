"""The picture painted with the true pool and with one that sends every gradient to the block's first pixel."""

from unittest.mock import patch

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show, signed
from fig.problem import painted
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.network import sequence
from handstyle.network.pooling import max_pool_forward
from handstyle.network.sequence import POOLS
from handstyle.optimize.objective import evaluate
from tests.mutants.catalogue import gradient_to_the_first_pixel

TAP, SIDE = "relu4_1", 8  # behind three poolings, whose blocks repeat every eight pixels


def keep_the_input(x, rounding):  # the mutant is a function of the gradient and of the input
    """Return the pooled input, and the input itself for a cache."""
    return max_pool_forward(x, rounding)[0], x


def share_by_place(pools):  # -> (8, 8)
    """Return how much of a first gradient each place of a block gets, in percent more or less than the mean."""
    net, photo, art = network("float32", kernels="reference"), photograph(144, 192), painting(144, 192)
    target = net.forward(preprocess_forward(art.astype("float32"), net.convention), [TAP])[0][TAP]
    with patch.object(sequence, "POOLS", pools):
        _, gradient = evaluate(net, [StyleTerm(TAP, moments_forward(target))], photo.astype("float32"))
    size = np.abs(gradient).mean(axis=2).reshape(144 // SIDE, SIDE, 192 // SIDE, SIDE).mean(axis=(0, 2))
    return 100 * (size / size.mean() - 1)


def main(out, quick=True):
    """Draw the figure to `out`."""
    lazy = {**POOLS, "max": (keep_the_input, gradient_to_the_first_pixel)}
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for (above, below), (title, pools) in zip(axes.T, {"true": POOLS, "to the first pixel": lazy}.items(), strict=True):
        bug = [] if pools is POOLS else [(sequence, "POOLS", pools)]
        picture = painted(bug, steps=24 if quick else 300)
        show(above, picture, title)
        percent = share_by_place(pools)
        signed(below, percent, "gradient by place, in percent", size=80)
        for (r, s), value in np.ndenumerate(percent.round()):
            words = f"{value:+.0f}".replace("-", "−") if value else "0"
            below.text(s, r, words, ha="center", va="center", fontsize=9, color="#222222")
    save(figure, out)


if __name__ == "__main__":
    command(main)
