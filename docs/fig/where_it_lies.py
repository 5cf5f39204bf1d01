"""Parameters, values and operations of VGG-19, block by block."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save
from handstyle.network.vgg import WIDTHS, build_network, random_weights, summary


def main(out, quick=True):
    """Draw the figure to `out`."""
    rows = summary(build_network(random_weights("vgg19", WIDTHS, deepest="conv5_4")), 512, 512)
    parameters, values, work = np.zeros(5), np.zeros(5), np.zeros(5)
    for row in rows:
        if row.name.startswith("conv"):
            block = int(row.name[4]) - 1
            parameters[block] += row.parameters / 1e6
            values[block] += row.values / 1e6
            work[block] += 2 * row.parameters * row.shape[0] * row.shape[1] / 1e9
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.3), layout="constrained")
    for place, heights, title, hue in (
        (axes[0], parameters, "weights, millions", BLUE),
        (axes[1], values, "values at 512², millions", ORANGE),
        (axes[2], work, "GFLOP forward at 512²", GREEN),
    ):
        bars = place.bar([f"{k}" for k in range(1, 6)], heights, color=hue)
        place.bar_label(bars, fmt="%.2g", fontsize=9)
        place.set(title=title, xlabel="block", yticks=[], ylim=(0, 1.15 * heights.max()))
        place.spines["left"].set_visible(False)
    save(figure, out)


if __name__ == "__main__":
    command(main)
