"""What one style loss asks of the photograph, sent back through maxima and through averages."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, signed
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.losses.gram import gram_loss, moments_backward, moments_forward


def asked(pooling):  # -> (H, W, 3)
    """Return what the style loss at relu3_1 asks of the photograph: the negative gradient."""
    net = network("float32", pooling=pooling)
    photo, art = photograph(144, 192), painting(144, 192)
    x, y = (preprocess_forward(p.astype("float32"), net.convention) for p in (photo, art))
    (f, caches), g = net.forward(x, ["relu3_1"]), net.forward(y, ["relu3_1"])[0]
    _, dmoments = gram_loss(moments_forward(f["relu3_1"]), moments_forward(g["relu3_1"]))
    dx = net.backward({"relu3_1": moments_backward(dmoments, f["relu3_1"])}, caches)
    return -preprocess_backward(dx, net.convention)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    for place, pooling in zip(axes, ("max", "average"), strict=True):
        g = asked(pooling).sum(axis=2)[24:120, 48:176]
        signed(place, g, pooling, float(np.quantile(np.abs(g), 0.99)))
    save(figure, out)


if __name__ == "__main__":
    command(main)
