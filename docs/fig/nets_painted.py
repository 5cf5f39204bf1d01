"""The same picture painted by a network that was trained and by one of the same shape that has learnt nothing."""

from matplotlib import pyplot as plt

from fig import problem
from fig.common import command, save, show
from handstyle.network.vgg import random_weights
from handstyle.painting.load import load_network


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 40 if quick else 500
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    show(axes[0], problem.painted(steps=steps), "trained")
    trained = problem.network
    problem.network = lambda dtype, **options: load_network(
        random_weights(widths=(24, 64, 96, 192, 224)), backend="numpy", dtype=dtype, **options
    )
    try:
        show(axes[1], problem.painted(steps=steps), "random weights")
    finally:
        problem.network = trained
    save(figure, out)


if __name__ == "__main__":
    command(main)
