"""The same photograph and painting with the settings of two other programs and with our own."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (192, 40) if quick else (512, 500)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    for panel, preset in zip(axes, ("neural-style", "gatys", "handstyle"), strict=True):
        result = handstyle.stylize(
            photo, art, network=network("float32"), preset=preset, size=width, iterations=iterations, init="content"
        )
        show(panel, np.asarray(result.array), f"--preset {preset}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
