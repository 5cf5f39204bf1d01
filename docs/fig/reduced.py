"""Fine stripes of black and white beside the gray that has as much light, and the same made smaller in two ways."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save, show


def decode(p):  # 0 to 255 -> light, 0 to 1
    """Return the light that an sRGB value stands for (IEC 61966-2-1)."""
    c = p / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def encode(light):  # 0 to 1 -> 0 to 255
    """Return the sRGB value of an amount of light."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def halve(p):  # (H, W) -> (H/2, W/2)
    """Return the mean of each block of two by two."""
    return p.reshape(p.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))


def main(out, quick=True):
    """Draw the figure to `out`."""
    stripes = np.zeros((32, 32))
    stripes[::2] = 255
    even = np.full((32, 32), float(encode(np.array(0.5))))
    p = np.hstack([stripes, even])
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 1.8), layout="constrained")
    show(axes[0], p, "stripes | gray 188", cmap="gray", vmin=0, vmax=255)
    show(axes[1], halve(p), "mean of the numbers", cmap="gray", vmin=0, vmax=255)
    show(axes[2], encode(halve(decode(p))), "mean of the light", cmap="gray", vmin=0, vmax=255)
    save(figure, out)


if __name__ == "__main__":
    command(main)
