"""A photograph, and the mask of one channel's rectifier at five depths."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.network.sequence import sequence_forward

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def masks(p):  # (H, W, 3) -> {layer: (h, w, C) bool}
    """Return where each rectifier is open."""
    net = network("float32")
    x = preprocess_forward(p.astype(np.float32), net.convention)
    _, caches = sequence_forward(net.layers, x, LAYERS)
    named = zip(net.layers, caches, strict=False)
    return {layer.name: cache for layer, cache in named if layer.name in LAYERS}


def main(out, quick=True):
    """Draw the figure to `out`."""
    p = photograph(288, 384)
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.1), layout="constrained")
    show(axes[0, 0], p, "the photograph")
    for place, (layer, mask) in zip(axes.ravel()[1:], masks(p).items(), strict=True):
        share = mask.mean(axis=(0, 1))
        channel = np.argmin(np.abs(share - 0.4))  # a channel that is neither dead nor always open
        grown = np.kron(mask[..., channel], np.ones((p.shape[0] // mask.shape[0],) * 2))[..., None]
        show(place, np.where(grown > 0, p, 0.25 * p + 20), f"{layer}, {mask.mean():.0%} open")
    save(figure, out)


if __name__ == "__main__":
    command(main)
