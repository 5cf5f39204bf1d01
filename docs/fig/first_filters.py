"""The kernels of the first layer of the network that ships with the package, each as a picture of three by three."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, network, save, show


def main(out, quick=True):
    """Draw the figure to `out`."""
    w = network("float64").layers[0].w[:, :, ::-1]  # (3, 3, 3, K): the channels red, green, blue
    K = w.shape[3]
    columns = 12
    figure, axes = plt.subplots(-(-K // columns), columns, figsize=(7.2, 0.72 * -(-K // columns)), layout="constrained")
    for place in axes.ravel():
        place.set_axis_off()
    for place, k in zip(axes.ravel(), np.argsort(-np.abs(w).sum(axis=(0, 1, 2))), strict=False):
        show(place, 127.5 + 127.5 * w[..., k] / np.abs(w[..., k]).max())
    save(figure, out)


if __name__ == "__main__":
    command(main)
