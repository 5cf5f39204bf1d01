"""The same picture painted by a network that takes the maximum and by one that takes the average."""

from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import painted


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.9), layout="constrained")
    for place, pooling in zip(axes, ("max", "average"), strict=True):
        show(place, painted(steps=40 if quick else 500, pooling=pooling), pooling)
    save(figure, out)


if __name__ == "__main__":
    command(main)
