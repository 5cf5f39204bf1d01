"""The town painted with the true unpooling and with one that reads a block's code by columns."""

from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.plaid import keep_the_input
from fig.problem import painted
from handstyle.network import sequence
from handstyle.network.sequence import POOLS
from tests.mutants.catalogue import code_read_by_column
from tests.mutants.paint import grown


def by_column(dy, x):
    """Return the gradient at the input, zero in an odd row and column that the pool drops."""
    return grown(code_read_by_column(dy, x), x)


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 300
    bug = [(sequence, "POOLS", {**POOLS, "max": (keep_the_input, by_column)})]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    show(axes[0], painted(steps=steps), "codes read by row")
    show(axes[1], painted(bug, steps=steps), "codes read by column")
    save(figure, out)


if __name__ == "__main__":
    command(main)
