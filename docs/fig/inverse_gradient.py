"""A run in scaled coefficients with the true gradient, and with a gradient that was transformed as a picture is."""

from unittest.mock import patch

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, save, show, y_ticks
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.precondition import Spectrum, minimize_preconditioned
from tests.mutants.catalogue import gradient_transformed_like_a_picture


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = 60 if quick else 300
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.5), layout="constrained")
    ways = (
        ("by the adjoint", Spectrum.backward, BLUE),
        ("by the inverse", gradient_transformed_like_a_picture, ORANGE),
    )
    for panel, (name, backward, color) in zip(axes, ways, strict=False):
        objective, start = town(108, 144, "float32")
        with patch.object(Spectrum, "backward", backward):
            run = minimize_preconditioned(minimize_lbfgsb, objective, start, n, exponent=0.5, evaluations=n)
        show(panel, run.v.reshape(objective.shape))
        panel.set_title(name, color=color)
        values = [objective(start)[0], *(row.value for row in run.trace)]  # the first evaluation is at the start
        spent = [1, *(row.evaluations for row in run.trace)]
        axes[2].semilogy(spent, np.minimum.accumulate(values), color=color)
    axes[2].set(xlabel="evaluations", title="the value")
    y_ticks(axes[2], 2, 5, 10, 20)
    save(figure, out)


if __name__ == "__main__":
    command(main)
