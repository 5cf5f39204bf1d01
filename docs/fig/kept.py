"""What each layer keeps: pictures painted from noise after the content, and after the style, of one layer alone."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (128, 40) if quick else (384, 500)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    net = network("float32")
    figure, axes = plt.subplots(2, 6, figsize=(8.8, 3.2), layout="constrained")
    show(axes[0, 0], photo, "the photograph")
    show(axes[1, 0], art, "the painting")
    start = {"size": width, "iterations": iterations, "init": "noise", "tv_weight": 1e-4, "pyramid_min_size": 0}
    for k, layer in enumerate(LAYERS, 1):
        content = StyleConfig(**start, content_layers=(layer,), style_weight=0.0)
        show(axes[0, k], np.asarray(handstyle.stylize(photo, art, network=net, config=content).array), layer)
        style = StyleConfig(**start, style_layers=LAYERS[:k], content_weight=0.0)
        blank = np.full((width, width, 3), 127.5, np.float32)
        texture = handstyle.stylize(blank, art, network=net, config=style).array
        show(axes[1, k], np.asarray(texture), layer if k == 1 else f"to {layer}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
