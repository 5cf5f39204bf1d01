"""The time of one evaluation and of whole runs, against PyTorch's: the latest of `benchmarks/results`."""

from benchmarks.report import evaluation_figure, newest_with
from fig.common import command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    save(evaluation_figure(newest_with("time 1024")[1] + newest_with("run")[1]), out)


if __name__ == "__main__":
    command(main)
