"""The picture painted with reflecting borders, with the true way back and with two that forget a share."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save, show, signed
from fig.problem import painted
from handstyle.network import convolution
from handstyle.network.padding import pad_backward
from tests.mutants.catalogue import border_cut_instead_of_folded, corners_forgotten


def main(out, quick=True):
    """Draw the figure to `out`."""
    bugs = {
        "true": pad_backward,
        "border cut": border_cut_instead_of_folded,
        "corners forgotten": corners_forgotten,
    }
    ones, steps = np.ones((8, 10, 1)), 30 if quick else 200
    figure, axes = plt.subplots(3, 3, figsize=(7.2, 6.1), layout="constrained")
    pictures = []
    for column, (title, bug) in enumerate(bugs.items()):
        signed(axes[0, column], bug(ones, "reflect")[..., 0], title, size=8)
        for (r, s), value in np.ndenumerate(bug(ones, "reflect")[..., 0]):
            axes[0, column].text(s, r, f"{value:g}", ha="center", va="center", fontsize=9, color="#222222")

        def by_bug(d, mode, bug=bug):
            return bug(d, mode) if mode == "reflect" else pad_backward(d, mode)

        pictures.append(painted([(convolution, "pad_backward", by_bug)], steps=steps, padding="reflect"))
        show(axes[1, column], pictures[-1], "painted")
        apart = (pictures[-1] - pictures[0]).mean(axis=2)
        if column:
            signed(axes[2, column], apart, f"less the true one: {abs(apart).mean():.1f} gray levels", size=60)
        else:
            axes[2, column].set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
