"""A town painted by tiles, with both bugs of the chapter, and how far each picture is from the genuine one."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.mutants_painted import painted
from tests.mutants import catalogue, paint


def main(out, quick=True):
    """Draw the figure to `out`."""
    runs = {
        "right": ("halo_of", paint.GENUINE["halo_of"]),
        "halo rounded down": ("halo_of", catalogue.halo_rounded_down),
        "halo counted twice": ("owned", catalogue.halo_counted_twice),
    }
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 3.3), layout="constrained")
    genuine = None
    for (above, below), (name, run) in zip(axes.T, runs.items(), strict=True):
        picture, value = painted(*run)
        show(above, picture, f"{name}: {value:.3f}")
        genuine = picture if genuine is None else genuine
        below.set_axis_off()
        if picture is not genuine:
            apart = np.abs(picture - genuine).mean(axis=2)
            show(below, apart, f"apart by {apart.mean():.1f}, at most {apart.max():.0f}", cmap="gray", vmin=0, vmax=40)
    save(figure, out)


if __name__ == "__main__":
    command(main)
