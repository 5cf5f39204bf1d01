"""The town painted with the true way back through a convolution and with rows and columns of its kernels exchanged."""

from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import painted
from handstyle.network import sequence
from tests.mutants.catalogue import rows_and_columns_exchanged


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 300
    bug = [(sequence, "conv3x3_backward", rows_and_columns_exchanged)]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    show(axes[0], painted(steps=steps), "the true gradient")
    show(axes[1], painted(bug, steps=steps), "rows and columns exchanged on the way back")
    save(figure, out)


if __name__ == "__main__":
    command(main)
