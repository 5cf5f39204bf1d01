"""An embossing filter by Winograd's convolution: right, and with three bugs."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, photograph, save, show
from handstyle.kernels.winograd_plain import winograd_forward
from tests.mutants.catalogue import points_in_two_orders, tiles_rounded_down

EMBOSS = np.array([[-1.0, -1, 0], [-1, 1, 1], [0, 1, 1]])[:, :, None, None]


def main(out, quick=True):
    """Draw the figure to `out`."""
    x = photograph(144, 192).mean(axis=2, keepdims=True)
    right, _ = winograd_forward(x, EMBOSS, np.zeros(1))
    turned, _ = winograd_forward(x, EMBOSS[::-1, ::-1], np.zeros(1))
    corner = tiles_rounded_down(x[:-1, :-1], EMBOSS, 4)[-36:, -48:]
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    found = {
        "right": right,
        "points in two orders": points_in_two_orders(x, EMBOSS, 4),
        "tiles rounded down: a corner": corner,
        "kernel turned": turned,
    }
    for ax, (title, y) in zip(axes.ravel(), found.items(), strict=True):
        show(ax, y[..., 0], title, cmap="gray", vmin=-120, vmax=260)
    save(figure, out)


if __name__ == "__main__":
    command(main)
