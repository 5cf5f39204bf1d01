"""How far beyond the edge of its mask a region pulls, layer by layer."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.optimize.objective import evaluate

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
HALF = 128  # the region is all columns from here on


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(192, 256), network("float64")
    mask = np.zeros(photo.shape[:2])
    mask[:, HALF:] = 1
    wanted, _ = net.forward(preprocess_forward(painting(192, 256), net.convention), TAPS)
    figure, axes = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    carried = carry_mask(net.layers, mask, TAPS)
    for tap in TAPS:
        term = StyleTerm(tap, moments_forward(wanted[tap]), mask=carried[tap])
        energy = (evaluate(net, [term], photo)[1] ** 2).sum(axis=(0, 2))
        share = energy / energy.sum()
        outside, pulled = np.arange(HALF, 0, -1), share[:HALF] > 0
        leak = 100 * share[:HALF].sum()
        axes.semilogy(outside[pulled], share[:HALF][pulled], label=f"{tap}: {leak:.2g} % outside", lw=1.8)
    axes.set(xlabel="pixels outside the region", ylabel="share of the pull, by column", ylim=(1e-12, 0.1), xlim=(60, 0))
    axes.legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
