"""One evaluation on a GPU, by size, and each layer's rate, against PyTorch's: the latest of `benchmarks/results`."""

from benchmarks.gpu.report import figure
from benchmarks.report import newest
from fig.common import command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    save(figure(newest("gpu")), out)


if __name__ == "__main__":
    command(main)
