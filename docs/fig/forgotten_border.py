"""A picture, what its recipe makes if the border is not in it, and the difference of the two."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, paint = photograph(108, 144), painting(108, 144)
    config = StyleConfig(size=144, iterations=40 if quick else 150, pyramid_min_size=0)
    first, again = (
        stylize(photo, paint, network=network("float32", padding=padding, kernels="auto"), config=config).array
        for padding in ("reflect", "zero")
    )
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    show(axes[0], first, "painted, reflecting border")
    show(axes[1], again, "made again, border forgotten")
    apart = np.abs(np.clip(first, 0, 255) - np.clip(again, 0, 255))
    show(axes[2], np.clip(4 * apart, 0, 255), f"difference × 4 (mean {apart.mean():.1f} levels)")
    save(figure, out)


if __name__ == "__main__":
    command(main)
