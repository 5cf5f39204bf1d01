"""The same painting with four weights of the total variation."""

from matplotlib import pyplot as plt

from fig.common import command, save, show
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb

WEIGHTS = (0.0, 1e-3, 1e-2, 1e-1)


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 5.6), layout="constrained")
    for axis, weight in zip(axes.ravel(), WEIGHTS, strict=True):
        objective, start = town(192, 256, "float32", variation=weight)
        outcome = minimize_lbfgsb(objective, start, 45 if quick else 400)
        show(axis, outcome.v.reshape(objective.shape), f"weight {weight:g}")
    save(figure, out)


if __name__ == "__main__":
    command(main)
