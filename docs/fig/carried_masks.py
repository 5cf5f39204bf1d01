"""A mask carried to four layers, by two rules."""

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import portrait_masks, portrait_scene

from fig.common import GRAY, command, network, save, show
from handstyle.losses.regions import carry_mask

TAPS = ("relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, width = 256, 192
    layers = network("float32").layers
    mask = portrait_masks(height, width)["background"].astype(np.float64)
    figure, axes = plt.subplots(2, 5, figsize=(7.2, 4.4), layout="constrained")
    show(axes[0, 0], portrait_scene(height, width), "the picture")
    show(axes[1, 0], mask, "the mask", cmap="gray", vmin=0, vmax=1)
    for row, rule in zip(axes, ("fraction", "inside"), strict=True):
        carried = carry_mask(layers, mask, TAPS, rule)
        for axis, tap in zip(row[1:], TAPS, strict=True):
            show(axis, carried[tap][..., 0], f"{rule}\n{tap}", cmap="gray", vmin=0, vmax=1)
    for axis in axes.ravel():  # a frame, for a mask is as white as the page
        height, width = axis.images[0].get_array().shape[:2]
        axis.add_patch(plt.Rectangle((-0.5, -0.5), width, height, fill=False, ec=GRAY, lw=0.8))
    save(figure, out)


if __name__ == "__main__":
    command(main)
