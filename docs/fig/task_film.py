"""A pan over the town, painted frame by frame and as a film, with what changes beyond the motion."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.losses.temporal import warp
from handstyle.painting.film import flicker, motion

FRAMES = 4


def main(out, quick=True):
    """Draw the figure to `out`."""
    side, step, iterations = (96, 4, 25) if quick else (384, 12, 200)
    wide = photograph(side, side * 5 // 3)
    shots = [wide[:, left : left + side * 4 // 3].copy() for left in range(0, FRAMES * step, step)]
    art, options = (
        painting(side, side),
        {"size": side * 4 // 3, "iterations": iterations, "network": network("float32")},
    )
    alone = [handstyle.stylize(shot, art, **options).image.astype(np.float64) for shot in shots]
    film = [result.image.astype(np.float64) for result in handstyle.frames(shots, art, **options)]
    figure, axes = plt.subplots(5, FRAMES, figsize=(7.6, 7.4), layout="constrained")
    for column, shot in enumerate(shots):
        show(axes[0, column], shot, f"frame {column + 1}")
    for row, frames, name in ((1, alone, "each by itself"), (3, film, "as a film")):
        for column, frame in enumerate(frames):
            show(axes[row, column], frame)
            axes[row + 1, column].set_axis_off()
            if column:
                backward, certain = motion(shots[column], shots[column - 1])
                change = (frame - warp(frames[column - 1], backward)) * certain[..., None]
                gray = {"cmap": "gray", "vmin": 0, "vmax": 60}
                show(axes[row + 1, column], np.abs(change).mean(axis=2), **gray)
        axes[row, 0].set_title(name, loc="left")
        axes[row + 1, 0].text(0.5, 0.5, f"flicker {flicker(shots, frames):.1f}\ngray levels", ha="center", va="center")
    save(figure, out)


if __name__ == "__main__":
    command(main)
