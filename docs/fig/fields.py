"""What one number of each style layer sees of a photograph, and which of it counts."""

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patheffects import withStroke

from fig.common import command, network, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.network.vgg import summary

LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
COLORS = ("#fff6c2", "#ffb08a", "#9fe0bf", "#dcb8f5", "#a9d0ff")  # pale: they lie on a night, and on black
LETTERS = {"ha": "center", "va": "top", "fontsize": 9, "path_effects": [withStroke(linewidth=2, foreground="#101418")]}


def influence(net, x, layer):  # -> (H, W)
    """Return how strongly one number in the middle of a layer depends on each pixel, a mean over its channels."""
    f, caches = net.forward(x, [layer])
    df = np.zeros_like(f[layer])
    df[df.shape[0] // 2, df.shape[1] // 2] = 1
    return np.abs(net.backward({layer: df}, caches)).sum(axis=2)


def main(out, quick=True):
    """Draw the figure to `out`."""
    p = photograph(288, 384)
    net = network("float32", kernels="reference", pooling="average")
    rows = {row.name: row for row in summary(net, *p.shape[:2])}
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    show(left, p, "what can be seen")
    for layer, hue in zip(LAYERS, COLORS, strict=True):
        side = rows[layer].receptive_field
        left.add_patch(plt.Rectangle((192 - side / 2, 144 - side / 2), side, side, fill=False, ec=hue, lw=1.6))
        if side > 20:
            left.text(192, 144 + side / 2 + 3, layer, color=hue, **LETTERS)
    x = preprocess_forward(p.astype(np.float32), net.convention)
    g = influence(net, x, "relu5_1")
    show(right, np.log10(g / g.max() + 1e-6), "what counts, for relu5_1", cmap="magma", vmin=-3, vmax=0)
    side = rows["relu5_1"].receptive_field
    right.add_patch(plt.Rectangle((192 - side / 2, 144 - side / 2), side, side, fill=False, ec=COLORS[-1], lw=1.6))
    save(figure, out)


if __name__ == "__main__":
    command(main)
