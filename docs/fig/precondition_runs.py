"""Whole runs in pixels and in scaled coefficients, in a pyramid or not: the latest of `benchmarks/results`."""

from matplotlib import pyplot as plt

from benchmarks.precondition import Method
from benchmarks.report import newest
from fig.common import BLUE, ORANGE, command, save, y_ticks

TICKS = (0.5, 0.7, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7, 10)


def main(out, quick=True):
    """Draw the figure to `out`."""
    rows = newest("precondition-timed")["rows"]
    case = max((row["size"], row["network"], row["pair"]) for row in rows)
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", sharey=True)
    for row in rows:
        if (row["size"], row["network"], row["pair"]) != case:
            continue
        method = Method(**row["method"])
        label = ("scaled coefficients" if method.exponent else "pixels") + (", pyramid" if method.pyramid else "")
        seconds, evaluations, losses = zip(*row["curve"], strict=True)
        for axis, x in zip(axes, (evaluations, seconds), strict=True):
            axis.semilogy(
                x, losses, "--" if method.pyramid else "-", color=ORANGE if method.exponent else BLUE, label=label
            )
        least = row["loss"]
    for axis in axes:
        axis.axhline(least, color="0.7", lw=0.8, zorder=0)
    axes[0].set(xlabel=f"evaluations at {case[0]}²", title="loss")
    axes[1].set(xlabel="seconds", title="loss")
    axes[0].legend(fontsize=9)
    axes[0].set_ylim(0.96 * least, 2 * least)  # the beginnings, which are far above, would hide the differences
    y_ticks(axes[0], *(tick for tick in TICKS if 0.96 * least < tick < 2 * least))
    save(figure, out)


if __name__ == "__main__":
    command(main)
