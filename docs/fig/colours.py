"""One run, and what can be done about its colours."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.color import match_affine
from handstyle.painting.config import StyleConfig

CHOICES = {
    "none": {},
    "luminance, YUV": {"color": "luminance"},
    "luminance after, Lab": {"color": "luminance-after", "color_space": "lab"},
    "match, symmetric": {"color": "match"},
    "histogram": {"color": "histogram"},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (128, 40) if quick else (384, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    net = network("float32")
    figure, axes = plt.subplots(2, 4, figsize=(11, 4.9), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    show(panels[2], match_affine(art, photo), "the painting, matched")
    for panel, (name, choice) in zip(panels[3:], CHOICES.items(), strict=True):
        config = StyleConfig(size=width, smallest=width // 2, iterations=iterations, **choice)
        show(panel, np.asarray(handstyle.stylize(photo, art, network=net, config=config).array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
