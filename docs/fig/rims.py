"""One painting with three borders, as it is and when it is asked to be smooth."""

from matplotlib import pyplot as plt

from fig import problem
from fig.common import command, save, show
from fig.common import network as genuine_network
from handstyle.optimize.lbfgsb import minimize_lbfgsb


def painted(padding, variation, iterations):  # -> (H, W, 3)
    """Return the town, painted with a border and a weight of the total variation."""
    problem.network = lambda dtype: genuine_network(dtype, padding=padding)
    try:
        objective, start = problem.town(144, 192, "float32", variation=variation)
    finally:
        problem.network = genuine_network
    return minimize_lbfgsb(objective, start, iterations).v.reshape(objective.shape)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 4.1), layout="constrained")
    for row, variation in zip(axes, (1e-4, 1e-2), strict=True):
        for panel, padding in zip(row, ("zero", "reflect", "replicate"), strict=True):
            title = f"{padding}, smooth" if variation > 1e-3 else padding
            show(panel, painted(padding, variation, 45 if quick else 400), title)
    save(figure, out)


if __name__ == "__main__":
    command(main)
