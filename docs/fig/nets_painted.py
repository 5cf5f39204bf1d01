"""The same picture painted by VGG-19, by the small network that was made from it, and by random weights.

VGG-19's weights are not at hand where the book is built, so its panel is kept beside this script. It was painted by

    python -m fig.nets_painted --keep WEIGHTS

with a file of VGG-19 in any format that `load_network` reads.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from fig import problem
from fig.common import command, painting, save, show, weights
from handstyle.network.vgg import random_weights
from handstyle.painting.load import load_network

KEPT = Path(__file__).with_name("nets_painted_vgg19.png")


def by_network(loaded, steps=40):  # -> (H, W, 3)
    """Return the town, painted by a network of these weights."""
    own = problem.network
    problem.network = lambda dtype, **options: load_network(loaded, backend="numpy", dtype=dtype, **options)
    try:
        return problem.painted(steps=steps)
    finally:
        problem.network = own


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 40 if quick else 500
    with Image.open(KEPT) as kept:
        panels = {"VGG-19": np.asarray(kept, float)}
    panels["the small network"] = problem.painted(steps=steps)
    widths = tuple(weights().layers[f"conv{block}_1"][0].shape[3] for block in range(1, 6))
    panels["random weights"] = by_network(random_weights(widths=widths), steps)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    panels["the painting"] = painting(144, 192)
    for panel, (name, picture) in zip(axes.ravel(), panels.items(), strict=False):
        show(panel, picture, name)
    save(figure, out)


def keep(file):
    """Paint VGG-19's panel anew."""
    Image.fromarray(np.clip(by_network(file), 0, 255).astype(np.uint8)).save(KEPT, optimize=True)


if __name__ == "__main__":
    keep(sys.argv[2]) if sys.argv[1] == "--keep" else command(main)
