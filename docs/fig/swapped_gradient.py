"""The same run with the gradient's red and blue exchanged on the way back, by a method that ignores the value."""

from matplotlib import pyplot as plt

from fig.common import command, painting, save, show
from fig.problem import painted
from handstyle.optimize import objective
from tests.mutants.catalogue import channels_not_reversed


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 24 if quick else 400
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    show(axes[0], painting(144, 192), "the painting")
    show(axes[1], painted(steps=steps), "true gradient")
    bug = [(objective, "preprocess_backward", channels_not_reversed)]
    show(axes[2], painted(bug, steps=steps), "red and blue exchanged")
    save(figure, out)


if __name__ == "__main__":
    command(main)
