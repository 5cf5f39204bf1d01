"""How a picture flows: from the optimizer to the gradient, by the reference, on a processor and on a GPU."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save

ARROW = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 11, "lw": 1.5}
LEFT = 1.2  # where the stations begin
STEP, WIDTH, HEIGHT = 1.42, 1.2, 0.62

# Each row: title, what holds the arrays, the stations of the way down to the losses, and what is peculiar to it.
ROWS = [
    (
        "reference",
        "whole arrays",
        ("picture\nfloat32 or 64", "preprocess", "padding, conv,\nReLU, pool\none by one", "features\nand caches"),
        "measure,\nloss, spread",
        "every layer backward, each with its own cache",
    ),
    (
        "CPU",
        "in threads,\nstrips of rows",
        (
            "picture\nfloat32",
            "preprocess\nby channel",
            "stages: conv,\nReLU and pool\nin one pass",
            "features,\nbits",
        ),
        "moments,\nin parts",
        "transposed Winograd; relu1_1 computed again; arrays from an arena",
    ),
    (
        "GPU",
        "one graph,\nmemory\nplanned",
        (
            "pinned copy\nup, float32",
            "preprocess\nby channel",
            "stages: conv\nwith epilogue,\nin registers",
            "features,\nbits",
        ),
        "values stay\non the GPU",
        "the same graph; values and gradient copied down, one wait",
    ),
]


def station(axes, x, y, words, color):
    """Draw a box with words, its lower left corner at (x, y)."""
    axes.add_patch(plt.Rectangle((x, y), WIDTH, HEIGHT, fill=False, ec=color, lw=1.3))
    axes.text(x + WIDTH / 2, y + HEIGHT / 2, words, ha="center", va="center", fontsize=8.4, color=color)


def row(axes, bottom, title, memory, stations, losses, backward):
    """Draw the way of one engine: forward above, the losses at its end, backward below."""
    axes.text(0.0, bottom + 0.86, title, fontsize=11, va="center", color=BLUE, weight="bold")
    axes.text(0.0, bottom + 0.47, memory, fontsize=8.6, va="center", color=GRAY)
    for k, words in enumerate(stations):
        x = LEFT + STEP * k
        station(axes, x, bottom + 0.6, words, GRAY)
        axes.annotate("", (x + STEP, bottom + 0.88), (x + WIDTH, bottom + 0.88), arrowprops=ARROW | {"color": BLUE})
    end = LEFT + STEP * len(stations)
    station(axes, end, bottom + 0.6, "losses:\n" + losses, GREEN)
    turn = end + WIDTH / 2
    axes.plot([turn, turn], [bottom + 0.6, bottom + 0.24], color=ORANGE, lw=1.5)
    axes.annotate("", (LEFT + 0.66, bottom + 0.24), (turn, bottom + 0.24), arrowprops=ARROW | {"color": ORANGE})
    axes.text(LEFT + 0.6, bottom + 0.24, "gradient", ha="right", va="center", fontsize=9.2, color=ORANGE)
    middle = (LEFT + WIDTH / 2 + turn) / 2
    axes.text(middle, bottom + 0.2, backward, ha="center", va="top", fontsize=8.6, color=ORANGE)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 4.9), layout="constrained")
    for k, entries in enumerate(ROWS):
        row(axes, 2.9 - 1.45 * k, *entries)
    top = 4.55
    axes.text(LEFT, top, "SciPy's L-BFGS-B: a float64 vector on the host", fontsize=9.2, color=GRAY, va="center")
    end = LEFT + STEP * 4 + WIDTH
    axes.text(end, top, "Objective: one number, one vector", fontsize=9.2, color=GRAY, va="center", ha="right")
    axes.plot([LEFT, end], [top - 0.2, top - 0.2], color=GRAY, lw=1.0)
    axes.set(xlim=(-0.05, end + 0.1), ylim=(-0.15, 4.75))
    axes.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
