"""The same run with the gradient's red and blue exchanged on the way back, by a method that ignores the value."""

from matplotlib import pyplot as plt

import handstyle.optimize.objective as objective_module
from fig.common import command, painting, save, show
from fig.problem import town
from handstyle.optimize.adam import minimize_adam
from tests.mutants.catalogue import channels_not_reversed


def main(out, quick=True):
    """Draw the figure to `out`."""
    steps = 60 if quick else 600
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.1), layout="constrained")
    show(axes[0], painting(144, 192), "the painting")
    objective, start = town(144, 192, dtype="float32")
    show(axes[1], minimize_adam(objective, start, steps, 8.0).v.reshape(objective.shape), "true gradient")
    genuine = objective_module.preprocess_backward
    objective_module.preprocess_backward = channels_not_reversed
    try:
        wrong = minimize_adam(objective, start, steps, 8.0)
    finally:
        objective_module.preprocess_backward = genuine
    show(axes[2], wrong.v.reshape(objective.shape), "red and blue exchanged")
    save(figure, out)


if __name__ == "__main__":
    command(main)
