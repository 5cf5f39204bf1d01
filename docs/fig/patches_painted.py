"""The same layers by Gram matrices and by patches."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show

LAYERS = ("relu3_1", "relu4_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (192, 30) if quick else (384, 200)
    photo, art, net = photograph(width * 3 // 4, width), painting(width * 3 // 4, width), network("float32")
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    axes = axes.ravel()
    show(axes[0], photo, "the photograph")
    show(axes[1], art, "the painting")
    for panel, (statistic, weight) in zip(axes[2:], (("gram", 10.0), ("patches", 2.0)), strict=True):
        result = handstyle.stylize(
            photo,
            art,
            network=net,
            size=width,
            pyramid_min_size=width // 2,
            iterations=iterations,
            style_layers=LAYERS,
            style_weight=weight,
            style_statistic=statistic,
        )
        show(panel, np.asarray(result.array), {"gram": "by Gram matrices", "patches": "by patches"}[statistic])
    save(figure, out)


if __name__ == "__main__":
    command(main)
