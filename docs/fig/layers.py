"""Each shape of convolution, forward, against PyTorch's and ncnn's: the latest of `benchmarks/results`."""

from benchmarks.report import layers_figure, newest
from fig.common import command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    save(layers_figure(newest("layers")), out)


if __name__ == "__main__":
    command(main)
