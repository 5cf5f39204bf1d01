"""Shuffle a painting's pixels: the Gram matrix of the colors cannot tell, those of the features can."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import gram_loss, moments_forward

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    art = painting(96, 128)
    rng = np.random.default_rng(0)
    pixels = rng.permutation(art.reshape(-1, 3)).reshape(art.shape)
    tiles = art.reshape(6, 16, 8, 16, 3).swapaxes(1, 2).reshape(48, 16, 16, 3)
    tiles = rng.permutation(tiles).reshape(6, 8, 16, 16, 3).swapaxes(1, 2).reshape(art.shape)
    net = network()

    def grams(picture):
        x = preprocess_forward(picture, net.convention)
        features, _ = net.forward(x, TAPS)
        return [moments_forward(x), *(moments_forward(features[tap]) for tap in TAPS)]

    original = grams(art)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.4), layout="constrained")
    axes = axes.ravel()
    show(axes[0], art, "the painting")
    show(axes[1], pixels, "its pixels shuffled")
    show(axes[2], tiles, "tiles of 16 × 16 shuffled")
    names = ["pixels", *TAPS]
    for shift, hue, picture, words in (
        (-0.2, ORANGE, pixels, "pixels shuffled"),
        (0.2, BLUE, tiles, "tiles shuffled"),
    ):
        values = [gram_loss(m, a)[0] for m, a in zip(grams(picture), original, strict=True)]
        axes[3].bar(np.arange(6) + shift, np.maximum(values, 1e-5), 0.38, color=hue, label=words, bottom=0)
    axes[3].set(yscale="log", ylim=(1e-5, 10), title="relative squared error of the Gram matrix")
    axes[3].set_xticks(range(6), names, rotation=45, ha="right", fontsize=9)
    axes[3].legend(fontsize=9, loc="upper left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
