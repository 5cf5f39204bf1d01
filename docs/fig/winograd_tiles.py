"""Tiles of outputs and the inputs that they read, and what each size multiplies for an output."""

from matplotlib import patches
from matplotlib import pyplot as plt

from fig.common import BLUE, BRIGHT, GRAY, ORANGE, command, photograph, save, show

SIDE = 4  # outputs of a tile


def frame(ax, top, left, size, **options):
    """Draw a square of `size` pixels whose first pixel is (top, left)."""
    ax.add_patch(patches.Rectangle((left - 0.5, top - 0.5), size, size, **options))


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, (ax, bars) = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained", width_ratios=(1.25, 1))
    picture = photograph(48, 64)[10:34, 20:52]
    show(ax, picture)
    H, W, _ = picture.shape
    for y in range(0, H + 1, SIDE):
        ax.plot((-0.5, W - 0.5), (y - 0.5, y - 0.5), color=BRIGHT, linewidth=0.5)
    for x in range(0, W + 1, SIDE):
        ax.plot((x - 0.5, x - 0.5), (-0.5, H - 0.5), color=BRIGHT, linewidth=0.5)
    frame(ax, 8, 8, SIDE, facecolor=ORANGE, alpha=0.75)
    frame(ax, 7, 7, SIDE + 2, fill=False, edgecolor=ORANGE, linewidth=2)
    frame(ax, 7, 11, SIDE + 2, fill=False, edgecolor="#c8dcf5", linewidth=2, linestyle="--")
    names, products = ("direct", "F(2×2)", "F(4×4)", "F(6×6)"), (9, 16 / 4, 36 / 16, 64 / 36)
    bars.barh(names, products, color=(GRAY, BLUE, BLUE, BLUE))
    for at, value in enumerate(products):
        bars.text(value + 0.15, at, f"{value:.3g}", va="center")
    bars.invert_yaxis()
    bars.set_xlabel("multiplications an output and channel pair")
    bars.set_xlim(0, 10)
    save(figure, out)


if __name__ == "__main__":
    command(main)
