"""The sweep: features forward, losses at two taps, gradients entering on the way back."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save

LAYERS = ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1")
TAPS = {1: "style", 6: "style, content"}


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 2.5), layout="constrained")
    arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
    for k, name in enumerate(LAYERS):
        axes.add_patch(plt.Rectangle((k, 0), 0.72, 0.5, fill=False, ec=GRAY, lw=1.3))
        axes.text(k + 0.36, 0.25, name, ha="center", va="center", fontsize=9)
        cache = {"conv": "weights", "relu": "1 bit", "pool": "2 bits"}[name[:4]]
        axes.text(k + 0.36, -0.13, cache, ha="center", va="center", fontsize=9, color=GRAY)
        start = "$x$" if k == 0 else ""
        axes.text(k - 0.42, 0.37, start, color=BLUE, fontsize=12)
        axes.annotate("", (k, 0.37), (k - 0.28, 0.37), arrowprops=arrow | {"color": BLUE, "lw": 1.8})
        axes.annotate("", (k - 0.28, 0.12), (k, 0.12), arrowprops=arrow | {"color": ORANGE, "lw": 1.8})
    axes.text(-0.42, 0.09, r"$\bar x$", color=ORANGE, fontsize=12)
    for k, name in TAPS.items():
        end = k + 0.79
        axes.plot([k + 0.72, end], [0.37, 0.37], color=BLUE, lw=1.8)
        axes.annotate("", (end, 1.0), (end, 0.37), arrowprops=arrow | {"color": BLUE, "lw": 1.8})
        axes.add_patch(plt.Rectangle((end - 0.6, 1.0), 1.3, 0.34, fill=False, ec=GREEN, lw=1.5))
        axes.text(end + 0.05, 1.17, name, ha="center", va="center", fontsize=9, color=GREEN)
        bend = end + 0.14
        axes.plot([bend, bend], [1.0, 0.12], color=ORANGE, lw=1.8)
        axes.annotate("", (k + 0.72, 0.12), (bend, 0.12), arrowprops=arrow | {"color": ORANGE, "lw": 1.8})
        axes.text(bend + 0.05, 0.62, r"$\partial L_t / \partial f_t$", color=ORANGE, fontsize=9)
    axes.text(1.84, 0.08, "+", color=ORANGE, fontsize=12, ha="center", va="top")
    axes.set(xlim=(-0.6, 7.9), ylim=(-0.35, 1.45))
    axes.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
