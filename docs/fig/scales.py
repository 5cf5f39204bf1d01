"""The size of the strokes: the painting's size, and one scale against a pyramid."""

from functools import cache

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (192, 18) if quick else (512, 200)
    photo, art = photograph(width * 3 // 4, width), painting(2 * width, 2 * width)
    net = network("float32")

    @cache  # two of the six are one run
    def painted(**choice):
        config = StyleConfig(**{"size": width, "iterations": n, **choice})
        return np.asarray(handstyle.stylize(photo, art, network=net, config=config).array)

    choices = {
        "--style-scale 0.5": {"pyramid_min_size": width // 2, "style_scale": 0.5},
        "--style-scale 1": {"pyramid_min_size": width // 2},
        "--style-scale 2": {"pyramid_min_size": width // 2, "style_scale": 2.0},
        "one scale": {"iterations": n + n // 4, "pyramid_min_size": 0},
        f"--pyramid-min-size {width // 2}": {"pyramid_min_size": width // 2},
        f"--pyramid-min-size {width // 4}\n--pyramid-factor 1.4142": {
            "pyramid_min_size": width // 4,
            "pyramid_factor": 2**0.5,
        },
    }
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 4.7), layout="constrained")
    for panel, (name, choice) in zip(axes.ravel(), choices.items(), strict=True):
        show(panel, painted(**choice), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
