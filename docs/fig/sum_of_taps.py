"""What each tap asks of the picture, the negative gradient, and their sum, which one sweep computes."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, painting, photograph, save, show, signed
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import gram_loss, moments_backward, moments_forward

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    net, photo, art = network(kernels="reference"), photograph(144, 192), painting(144, 192)
    target, _ = net.forward(preprocess_forward(art, net.convention), TAPS)
    features, caches = net.forward(preprocess_forward(photo, net.convention), TAPS)
    entering = {}
    for tap in TAPS:
        _, d = gram_loss(moments_forward(features[tap]), moments_forward(target[tap]))
        entering[tap] = moments_backward(d, features[tap])
    depth = {tap: net.names.index(tap) + 1 for tap in TAPS}
    each = [net.backward({tap: entering[tap]}, caches[: depth[tap]]) for tap in TAPS]
    together = net.backward(entering, caches)
    assert np.allclose(together, sum(each), atol=1e-9 * np.abs(together).max())
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.1), layout="constrained")
    axes = axes.ravel()
    show(axes[0], photo, "the picture")
    titles = [*(f"from {tap}" for tap in TAPS), "one sweep, all four"]
    for axis, title, dx in zip(axes[1:], titles, [*each, together], strict=True):
        asked = -dx.mean(axis=2)  # descent subtracts the gradient
        signed(axis, asked, title, 3 * float(asked.std()))
    save(figure, out)


if __name__ == "__main__":
    command(main)
