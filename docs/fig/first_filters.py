"""The kernels of the first layer, each as a picture of three by three: VGG-19's 64, and those the small network kept.

VGG-19's weights are not at hand where the book is built, so the picture of its kernels, three pixels each in eight rows
of eight, is kept beside this script. It was made by

    python -m fig.first_filters --keep WEIGHTS

with a file of VGG-19 in any format that `load_network` reads.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from fig.common import command, network, save, show
from handstyle.painting.load import load_network

KEPT = Path(__file__).with_name("first_filters_vgg19.png")


def kernels(net):  # -> (K, 3, 3, 3)
    """Return the first layer's kernels as pictures, those with the largest numbers first."""
    w = np.asarray(net.layers[0].w[:, :, ::-1], float)  # (3, 3, 3, K): the channels red, green, blue
    order = np.argsort(-np.abs(w).sum(axis=(0, 1, 2)))
    return np.moveaxis(127.5 + 127.5 * w / np.abs(w).max(axis=(0, 1, 2)), -1, 0)[order]


def main(out, quick=True):
    """Draw the figure to `out`."""
    with Image.open(KEPT) as kept:
        whole = np.asarray(kept, float).reshape(8, 3, 8, 3, 3).swapaxes(1, 2).reshape(64, 3, 3, 3)
    own = kernels(network("float64"))
    columns = 16
    rows = [-(-len(them) // columns) for them in (whole, own)]
    figure = plt.figure(figsize=(7.2, 0.5 * sum(rows) + 0.7), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=rows)
    for part, them, count, words in zip(parts, (whole, own), rows, ("VGG-19", "the small network"), strict=True):
        part.suptitle(f"{words}: {len(them)}", fontsize=10)
        axes = part.subplots(count, columns).ravel()
        for place in axes:
            place.set_axis_off()
        for place, kernel in zip(axes, them, strict=False):
            show(place, kernel)
    save(figure, out)


def keep(weights):
    """Make the picture of VGG-19's kernels anew."""
    found = kernels(load_network(weights, backend="numpy", dtype="float64"))
    sheet = found.reshape(8, 8, 3, 3, 3).swapaxes(1, 2).reshape(24, 24, 3)
    Image.fromarray(sheet.round().astype(np.uint8)).save(KEPT, optimize=True)


if __name__ == "__main__":
    keep(sys.argv[2]) if sys.argv[1] == "--keep" else command(main)
