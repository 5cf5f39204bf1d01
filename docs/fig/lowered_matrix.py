"""A picture of sixteen numbered pixels, and the matrix that holds what each pixel's window sees."""

import numpy as np
from matplotlib import patches
from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save
from handstyle.network.padding import pad_forward

WINDOWS = {5: BLUE, 6: ORANGE, 15: GREEN}  # pixel in the center, and its color


def numbers(ax, values, blank=None):
    """Write a matrix of numbers into a grid."""
    rows, columns = values.shape
    for r, c in np.ndindex(rows, columns):
        ax.add_patch(patches.Rectangle((c, r), 1, 1, fill=False, edgecolor="0.7", linewidth=0.5))
        if values[r, c] != blank:
            ax.text(c + 0.5, r + 0.52, values[r, c], ha="center", va="center", fontsize=9)
    ax.set_xlim(-1.1, columns + 1.1)
    ax.set_ylim(rows + 1.1, -1.1)
    ax.set_aspect("equal")
    ax.set_axis_off()


def main(out, quick=True):
    """Draw the figure to `out`."""
    x = np.arange(1, 17).reshape(4, 4)
    xpad = pad_forward(x[..., None])[0][..., 0]
    matrix = np.stack([xpad[i : i + 4, j : j + 4].ravel() for i, j in np.ndindex(3, 3)], axis=1)
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 4.6), layout="constrained", width_ratios=(1, 1.5))
    numbers(left, x)
    numbers(right, matrix, blank=0)
    for shift, (pixel, color) in enumerate(WINDOWS.items()):
        r, c = divmod(pixel, 4)
        inset = 0.05 + 0.05 * shift
        size = 3 - 2 * inset
        frame = {"fill": False, "edgecolor": color, "linewidth": 2}
        left.add_patch(patches.Rectangle((c - 1 + inset, r - 1 + inset), size, size, **frame))
        right.add_patch(patches.Rectangle((0, pixel), 9, 1, **frame, zorder=3))
        right.text(-0.2, pixel + 0.52, pixel + 1, ha="right", va="center", fontsize=9, color=color)
    left.set_title("the picture, and three windows")
    right.set_title("the lowered matrix, a row for each pixel")
    save(figure, out)


if __name__ == "__main__":
    command(main)
