"""What each rung of the ladders takes, and the time of a copy of as many bytes: the latest of `benchmarks/results`."""

from benchmarks.gpu.report import ladders
from benchmarks.report import newest
from fig.common import BLUE, GRAY, GREEN, ORANGE, command, plt, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    results = newest("gpu")
    copy = results["peaks"]["copy_bytes_per_s"]
    found = sorted(ladders(results).items(), key=lambda ladder: -ladder[1][0][1])
    figure, ax = plt.subplots(figsize=(8.8, 4.8), layout="constrained")
    for y, (_, rungs) in enumerate(found):
        times = [1e6 * seconds for _, seconds, _ in rungs]
        ax.plot(times, [y] * len(times), color=GRAY, linewidth=0.8, zorder=1)
        moved = 1e6 * rungs[0][2] / copy
        ax.plot(moved, y, "|", color=GREEN, markersize=11, label="a copy of the bytes that must move")
        ax.plot(times[0], y, "o", color=ORANGE, label="the first rung")
        ax.plot(times[1:], [y] * (len(times) - 1), "o", color=BLUE, label="those above it")
    ax.set_yticks(range(len(found)), [name for name, _ in found])
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xlim(left=8)  # a copy of a few bytes would be far to the left of any launch
    ax.set_xlabel(f"µs on an {results['machine']['gpu']}")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[:3], labels[:3], loc="lower right")
    save(figure, out)


if __name__ == "__main__":
    command(main)
