"""Gram matrices as maps: of a painting, of a texture made from noise to have the same ones, and of a photograph."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show
from fig.textures import synthesize
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import gram_loss, moments_forward

TAPS = ("relu1_1", "relu2_1", "relu3_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    art, net = painting(144, 192), network("float32")
    pictures = {
        "the painting": art,
        "a texture from noise": synthesize(net, art, TAPS, 60 if quick else 500),
        "a photograph": photograph(144, 192),
    }

    def moments(picture):
        features, _ = net.forward(preprocess_forward(picture.astype(net.dtype), net.convention), TAPS)
        return [moments_forward(features[tap]) for tap in TAPS]

    goal = moments(art)
    figure, axes = plt.subplots(3, 4, figsize=(7.2, 5.4), layout="constrained", width_ratios=(4 / 3, 1, 1, 1))
    for row, (words, picture) in zip(axes, pictures.items(), strict=True):
        show(row[0], picture, words)
        for panel, tap, found, wanted in zip(row[1:], TAPS, moments(picture), goal, strict=True):
            size = np.sqrt(np.diag(wanted.outer))  # a channel's root mean square in the painting, times a constant
            cosines = wanted.outer / np.outer(size, size)
            order = np.argsort(np.linalg.eigh(cosines)[1][:, -2])  # so that channels that respond together lie together
            gram = found.outer / found.count * wanted.count / np.outer(size, size)
            loss = np.format_float_positional(gram_loss(found, wanted)[0], 1, fractional=False)
            title = tap if picture is art else f"loss {loss}"
            show(panel, gram[np.ix_(order, order)], title, cmap="viridis", vmin=0, vmax=1.2)
    save(figure, out)


if __name__ == "__main__":
    command(main)
