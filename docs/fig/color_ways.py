"""One town, one painting, and four answers to the question whose colors the picture shall have."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.color import match_affine
from handstyle.painting.config import StyleConfig

WAYS = {
    "colors of the painting": "none",
    "painting recolored first": "match",
    "painted in gray, colors back": "luminance",
}


def pictures(quick=True):  # -> (H, W, 3) twice
    """Return the photograph and the painting."""
    width = 224 if quick else 512
    return photograph(width * 3 // 4, width), painting(width * 3 // 4, width)


def painted(color, quick=True):  # -> (H, W, 3)
    """Return the town painted with a value of `StyleConfig.color`; other figures show the same runs."""
    photo, art = pictures(quick)
    width, iterations = photo.shape[1], 25 if quick else 300
    config = StyleConfig(size=width, pyramid_min_size=width // 2, iterations=iterations, color=color)
    return np.asarray(handstyle.stylize(photo, art, network=network("float32"), config=config).array)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, art = pictures(quick)
    found = {name: painted(color, quick) for name, color in WAYS.items()}
    found["only the result recolored"] = match_affine(found["colors of the painting"], photo)  # color="match-after"
    figure, axes = plt.subplots(3, 2, figsize=(7.2, 8.3), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    for panel, (name, picture) in zip(panels[2:], found.items(), strict=True):
        show(panel, picture, name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
