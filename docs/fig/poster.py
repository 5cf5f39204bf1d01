"""A painted poster as a whole, made small, and a part of it at its full size; its commands stand on the page."""

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from fig.common import command, save, show

FOLDER = Path(__file__).parents[1] / "_static"


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 1, figsize=(7.2, 9.6), layout="constrained")
    for panel, name in zip(axes, ("poster", "poster_crop"), strict=True):
        with Image.open(FOLDER / f"{name}.jpg") as picture:
            show(panel, np.asarray(picture))
    save(figure, out)


if __name__ == "__main__":
    command(main)
