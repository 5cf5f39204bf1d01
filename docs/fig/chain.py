"""The worked example of the sweep as a circuit: values above the wires, gradients below."""

from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 2.2), layout="constrained")
    arrow = {"arrowstyle": "-|>", "mutation_scale": 12, "lw": 1.6}
    for k, words in enumerate(("× 3", "max(·, 0)", "× (−2)")):
        axes.add_patch(plt.Rectangle((2 * k + 1, 0), 1, 0.7, fill=False, ec=GRAY, lw=1.4))
        axes.text(2 * k + 1.5, 0.35, words, ha="center", va="center", fontsize=10)
    wires = (("x", 2, "15"), ("a", 6, "4 + 1 = 5"), ("b", 6, "4"), ("c", -12, "−2"))
    for k, (name, value, gradient) in enumerate(wires):
        start = 2 * k
        axes.annotate("", (start + 1, 0.47), (start, 0.47), arrowprops=arrow | {"color": BLUE})
        axes.annotate("", (start, 0.23), (start + 1, 0.23), arrowprops=arrow | {"color": ORANGE})
        axes.text(start + 0.5, 0.54, f"${name} = {value}$", ha="center", va="bottom", color=BLUE, fontsize=10)
        axes.text(start + 0.5, 0.14, gradient, ha="center", va="top", color=ORANGE, fontsize=10)
    for x, words, gradient in ((2.5, r"$\frac{1}{2}(a - 5)^2$", "1"), (6.5, r"$\frac{1}{2}(c + 10)^2$", "−2")):
        axes.text(x, 1.62, words, ha="center", va="center", color=GREEN, fontsize=11)
        axes.annotate("", (x - 0.12, 1.4), (x - 0.12, 0.92), arrowprops=arrow | {"color": BLUE, "lw": 1.3})
        axes.annotate("", (x + 0.12, 0.92), (x + 0.12, 1.4), arrowprops=arrow | {"color": ORANGE, "lw": 1.3})
        axes.text(x + 0.2, 1.16, gradient, va="center", color=ORANGE, fontsize=10)
    axes.set(xlim=(-0.1, 7.3), ylim=(-0.2, 1.85))
    axes.set_axis_off()
    save(figure, out)


if __name__ == "__main__":
    command(main)
