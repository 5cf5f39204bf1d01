"""A town painted in the painting's colors, and in its own."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (192, 20) if quick else (512, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    for panel, color in zip(axes, ("none", "luminance", "match"), strict=True):
        result = handstyle.stylize(
            photo, art, network=network("float32"), size=width, pyramid_min_size=96, iterations=iterations, color=color
        )
        show(panel, np.asarray(result.array), f"--color {color}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
