"""What can be done about the colors of a run, before it and after it."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.color import match_affine
from handstyle.painting.config import StyleConfig

CHOICES = {
    "none": {},
    "luminance, yuv": {"color": "luminance"},
    "luminance, lab": {"color": "luminance", "color_space": "lab"},
    "luminance, luv": {"color": "luminance", "color_space": "luv"},
    "match, cholesky": {"color": "match", "color_match": "cholesky"},
    "match, pca": {"color": "match", "color_match": "pca"},
    "match, symmetric": {"color": "match", "color_match": "symmetric"},
    "histogram": {"color": "histogram"},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (160, 15) if quick else (384, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    net = network("float32")
    figure, axes = plt.subplots(3, 4, figsize=(8.8, 5.9), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    show(panels[2], match_affine(art, photo), "the painting, matched")
    found = {}
    for name, choice in CHOICES.items():
        config = StyleConfig(size=width, pyramid_min_size=width // 2, iterations=iterations, **choice)
        found[name] = np.asarray(handstyle.stylize(photo, art, network=net, config=config).array)
    found["match-after"] = match_affine(found["none"], photo)
    for panel, (name, picture) in zip(panels[3:], found.items(), strict=True):
        show(panel, picture, name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
