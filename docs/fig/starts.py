"""The same objective from five starts, after as many iterations."""

import tempfile
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (160, 40) if quick else (384, 400)
    photo, art = photograph(width * 3 // 4, width), painting(width * 3 // 4, width)
    net = network("float32")
    figure, axes = plt.subplots(2, 3, figsize=(8.8, 5.1), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "start.png"
        Image.fromarray(art.astype(np.uint8)).save(file)
        panels = axes.ravel()
        show(panels[0], photo, "the photograph")
        for panel, init in zip(panels[1:], ("content", "gray", "noise", "style-stats", str(file)), strict=True):
            config = StyleConfig(size=width, iterations=iterations, init=init, pyramid_min_size=0)
            result = handstyle.stylize(photo, art, network=net, config=config)
            name = "a file: the painting" if init == str(file) else init
            show(panel, np.asarray(result.array), f"{name}\nloss {result.trace[-1].value:.3g}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
