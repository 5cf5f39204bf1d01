"""How strongly the channels of five layers answer on average, before and after each is divided by its mean."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import GRAY, command, network, photograph, save
from handstyle.foundations.image import preprocess_forward

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    net = network("float32")
    p = photograph(192, 256)
    f, _ = net.forward(preprocess_forward(p.astype(np.float32), net.convention), LAYERS)
    figure, axes = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
    for layer in LAYERS:
        mean = np.sort(f[layer].mean(axis=(0, 1)))[::-1]
        axes.semilogy(np.linspace(0, 1, len(mean)), mean + 1e-3, label=layer)
    axes.axhline(1, color=GRAY, ls="--", lw=1)
    axes.text(0.5, 1.25, "after rescaling", color=GRAY, fontsize=9)
    axes.set(xlabel="channels, the loudest first (as a share of the layer)", ylabel="mean answer", ylim=(1e-2, None))
    axes.legend(fontsize=9, ncol=3)
    save(figure, out)


if __name__ == "__main__":
    command(main)
