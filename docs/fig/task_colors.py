"""A town painted in the painting's colors, and in its own."""

from matplotlib import pyplot as plt

from fig.color_ways import painted
from fig.common import command, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    for panel, color in zip(axes, ("none", "luminance", "match"), strict=True):
        show(panel, painted(color, quick), f"--color {color}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
