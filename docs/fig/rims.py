"""One painting with three borders, and the lower right corner of each, enlarged."""

from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import painted


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.3), layout="constrained")
    for column, padding in enumerate(("zero", "reflect", "replicate")):
        picture = painted(padding=padding, steps=40 if quick else 400)
        show(axes[0, column], picture, padding)
        show(axes[1, column], picture[-36:, -48:])
    save(figure, out)


if __name__ == "__main__":
    command(main)
