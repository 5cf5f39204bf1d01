"""The time of one evaluation and of whole runs, against PyTorch's: the latest of `benchmarks/results`."""

from benchmarks.report import evaluation_figure, newest
from fig.common import command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    save(evaluation_figure(newest("evaluation")), out)


if __name__ == "__main__":
    command(main)
