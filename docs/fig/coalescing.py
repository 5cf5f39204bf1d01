"""Which sectors of memory a warp touches at one step: 32 pixels of 64 channels, a row a pixel, eight sectors a row."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle

from fig.common import BLUE, ORANGE, command, save

PIXELS, CHANNELS, SECTOR = 32, 64, 8  # of a sector: values of four bytes


def main(out, quick=True):
    """Draw the figure to `out`."""
    lane = np.arange(32)
    ways = {"a thread a pixel, at channel 0": lane * CHANNELS, "a thread a channel, at pixel 0": lane}
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.8), layout="constrained")
    for ax, (title, addresses) in zip(axes, ways.items(), strict=True):
        for sector in np.unique(addresses // SECTOR):
            corner = sector % (CHANNELS // SECTOR) * SECTOR, sector // (CHANNELS // SECTOR)
            ax.add_patch(Rectangle(corner, SECTOR, 1, facecolor=ORANGE, alpha=0.35, linewidth=0))
        for at in addresses:
            ax.add_patch(Rectangle((at % CHANNELS, at // CHANNELS), 1, 1, facecolor=BLUE, linewidth=0))
        ax.set(xlim=(0, CHANNELS), ylim=(PIXELS, 0), xlabel="channel", ylabel="pixel")
        ax.set_xticks(range(0, CHANNELS + 1, SECTOR))
        ax.grid(axis="x", linewidth=0.5)
        ax.set_title(f"{title}: {len(np.unique(addresses // SECTOR))} sectors")
    save(figure, out)


if __name__ == "__main__":
    command(main)
