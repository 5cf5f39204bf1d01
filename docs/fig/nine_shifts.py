"""Nine shifted products of a picture with an edge kernel, and their sum as it grows."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import GRAY, command, photograph, save, signed
from handstyle.network.convolution import conv3x3_forward
from handstyle.network.padding import pad_forward

SOBEL = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])


def main(out, quick=True):
    """Draw the figure to `out`."""
    x = photograph(96, 128).mean(axis=2, keepdims=True)  # (96, 128, 1)
    w = SOBEL[:, :, None, None]  # (3, 3, 1, 1)
    (xpad, _), (H, W, _) = pad_forward(x), x.shape
    terms = [(xpad[i : i + H, j : j + W] @ w[i, j])[..., 0] for i, j in np.ndindex(3, 3)]
    sums = np.cumsum(terms, axis=0)
    whole = conv3x3_forward(x, w, np.zeros(1))[0][..., 0]
    assert np.allclose(sums[-1], whole)
    figure, axes = plt.subplots(3, 6, figsize=(7.2, 3.4), layout="constrained")
    size = np.abs(terms).max()
    for k, (i, j) in enumerate(np.ndindex(3, 3)):
        signed(axes[i, j], terms[k], f"× {SOBEL[i, j]:g}".replace("-", "−"), size)
        signed(axes[i, j + 3], sums[k], "the sum" if k == 8 else f"{k + 1} added", size)
    for axis in axes.ravel():  # a frame, for zero is as white as the page
        axis.add_patch(plt.Rectangle((-0.5, -0.5), W, H, fill=False, ec=GRAY, lw=0.6))
    save(figure, out)


if __name__ == "__main__":
    command(main)
