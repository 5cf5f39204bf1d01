"""What one layer and all that follows it up to the pool move through memory, apart and fused."""

from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, save

N = 512 * 512 * 64 / 2**20  # 2^20 values behind the convolution
READ, WRITTEN = BLUE, ORANGE
APART = [
    ("convolution", READ, 4 * N),
    ("", WRITTEN, 4 * N),
    ("bias", READ, 4 * N),
    ("", WRITTEN, 4 * N),
    ("rectifier", READ, 4 * N),
    ("", WRITTEN, 4 * N),
    ("mask", READ, 4 * N),
    ("", WRITTEN, N),
    ("pool", READ, 4 * N),
    ("", WRITTEN, 1.25 * N),
]
FUSED = [("all at once", READ, 4 * N), ("", WRITTEN, N), ("", WRITTEN, N / 8)]


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, ax = plt.subplots(figsize=(7.2, 2.1), layout="constrained")
    for y, pieces in enumerate((APART, FUSED)):
        left = 0.0
        for name, color, size in pieces:
            ax.barh(y, size, left=left, color=color, edgecolor="white", height=0.55)
            ax.text(left, y - 0.36, name, ha="left", va="bottom", fontsize=9)
            left += size
        ax.text(left + 6, y, f"{left:.0f} MiB", va="center")
    ax.set_yticks((0, 1), ("apart", "fused"))
    ax.invert_yaxis()
    ax.set_xlim(0, 640)
    ax.set_ylim(1.5, -0.75)
    ax.set_xlabel("MiB")
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color in (READ, WRITTEN)]
    ax.legend(handles, ("read", "written"), loc="lower right")
    save(figure, out)


if __name__ == "__main__":
    command(main)
