"""The method as a drawing: a picture through the network, losses at its features, and a gradient that comes back."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, painting, photograph, save
from fig.problem import painted


def picture(axes, p, left, bottom, height, words):
    """Draw a picture into the drawing, words below it."""
    width = height * 4 / 3
    axes.imshow(p.clip(0, 255).astype(np.uint8), extent=(left, left + width, bottom, bottom + height), zorder=2)
    axes.text(left + width / 2, bottom - 0.12, words, ha="center", va="top", fontsize=9)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 3.9), layout="constrained")
    arrow = {"arrowstyle": "-|>", "mutation_scale": 13, "lw": 1.8}
    picture(axes, painted(), 0.0, 0.9, 1.35, "the picture $p$:\nthe unknown")
    left, tops = 2.9, []
    for k, (side, name) in enumerate(zip((1.5, 1.2, 0.95, 0.75, 0.6), range(1, 6), strict=True)):
        x = left + 0.86 * k
        axes.add_patch(plt.Rectangle((x, 1.55 - side / 2), 0.5, side, fc="none", ec=GRAY, lw=1.4))
        axes.text(x + 0.25, 1.55, f"{name}", ha="center", va="center", fontsize=10, color=GRAY)
        tops.append((x + 0.25, 1.55 + side / 2))
        axes.annotate("", (x, 1.66), (x - (0.36 if k else 0.95), 1.66), arrowprops=arrow | {"color": BLUE})
        axes.annotate("", (x - (0.36 if k else 0.95), 1.44), (x, 1.44), arrowprops=arrow | {"color": ORANGE})
    axes.text(left + 1.95, 0.5, "the network: five blocks of layers, fixed", ha="center", fontsize=9, color=GRAY)
    axes.text(2.42, 1.82, "features", ha="center", fontsize=9, color=BLUE)
    axes.text(2.42, 1.12, "gradient", ha="center", fontsize=9, color=ORANGE)
    for x, top in tops:
        axes.annotate("", (x - 0.08, 2.75), (x - 0.08, top), arrowprops=arrow | {"color": BLUE, "lw": 1.3})
        axes.annotate("", (x + 0.08, top), (x + 0.08, 2.75), arrowprops=arrow | {"color": ORANGE, "lw": 1.3})
    axes.add_patch(plt.Rectangle((left - 0.1, 2.75), 4.15, 0.5, fc="none", ec=GREEN, lw=1.6))
    axes.text(
        left + 1.97, 3.0, "losses: how far from what is wanted?", ha="center", va="center", fontsize=9, color=GREEN
    )
    picture(axes, photograph(144, 192), 7.4, 2.5, 1.0, "the photograph:\nwhere things are")
    picture(axes, painting(144, 192), 7.4, 0.75, 1.0, "the painting:\nhow it is painted")
    for y in (3.0, 1.6):
        bend = {"connectionstyle": "arc3,rad=0.15"} if y < 2 else {}
        axes.annotate("", (7.05, 3.0 - 0.12 * (y < 2)), (7.4, y), arrowprops=arrow | {"color": GREEN, "lw": 1.3} | bend)
    loop = {"connectionstyle": "arc3,rad=-0.5", "color": ORANGE}
    axes.annotate("", (0.55, 2.3), (1.75, 2.3), arrowprops=arrow | loop | {"connectionstyle": "arc3,rad=0.9"})
    axes.text(
        1.1, 3.0, "the optimizer:\na step against the gradient,\nand again", ha="center", fontsize=9, color=ORANGE
    )
    axes.set(xlim=(-0.1, 8.85), ylim=(0.2, 3.75), aspect="equal")
    axes.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
