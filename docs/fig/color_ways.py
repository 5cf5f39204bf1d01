"""One town, one painting, and four answers to the question whose colors the picture shall have."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig

WAYS = {
    "colors of the painting": {},
    "painting recolored first": {"color": "match"},
    "painted in gray, colors back": {"color": "luminance"},
    "only the result recolored": {"color": "match-after"},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (224, 25) if quick else (512, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width * 3 // 4, width)
    net = network("float32")
    figure, axes = plt.subplots(3, 2, figsize=(7.2, 8.3), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    for panel, (name, choice) in zip(panels[2:], WAYS.items(), strict=True):
        config = StyleConfig(size=width, pyramid_min_size=width // 2, iterations=iterations, **choice)
        show(panel, np.asarray(handstyle.stylize(photo, art, network=net, config=config).array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
