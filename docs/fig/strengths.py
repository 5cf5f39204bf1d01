"""A photograph, and the same two pictures at five strengths."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (160, 20) if quick else (512, 200)
    photo, art, net = photograph(width * 3 // 4, width), painting(width, width), network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 4.8), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    for panel, strength in zip(panels[1:], (0.1, 0.3, 0.5, 0.7, 0.9), strict=True):
        options = {"size": width, "iterations": iterations, "pyramid_min_size": width // 2, "strength": strength}
        result = handstyle.stylize(photo, art, network=net, **options)
        show(panel, np.asarray(result.array), f"strength {strength}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
