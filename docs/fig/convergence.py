"""The same loss in other units: what SciPy's default stopping tests make of it, and what this package's call does."""

import numpy as np
from matplotlib import pyplot as plt
from scipy.optimize import minimize

from fig.common import BLUE, GRAY, ORANGE, command, save
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb


def main(out, quick=True):
    """Draw the figure to `out`."""
    iterations = 100 if quick else 500
    scales = 10.0 ** np.arange(4, -11, -2)
    objective, start = town()
    first = objective(start)[0]
    default, words = [], []
    for s in scales:
        f, _ = town(style=10 * s, content=s, variation=1e-4 * s)
        result = minimize(f, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
        default.append(result.fun / s / first)
        words.append(f"{result.nit} it.")
    some = scales[[0, 2, 5, 7]]
    scaled = [town(style=10 * s, content=s, variation=1e-4 * s)[0] for s in some]
    ours = [minimize_lbfgsb(f, start, iterations).value / s / first for f, s in zip(scaled, some, strict=True)]
    figure, axes = plt.subplots(figsize=(7.2, 3.6), layout="constrained")
    axes.loglog(scales, default, "o-", color=ORANGE, label="SciPy, called with its defaults")
    axes.loglog(some, ours, "s-", color=BLUE, label="scaled, tests switched off")
    for s, value, text, rise in zip(scales, default, words, np.diff(default, append=default[-1]), strict=True):
        aside = -16 if rise > 0.5 else 0  # not on the line that rises there
        axes.annotate(
            text, (s, value), xytext=(aside, 7), textcoords="offset points", fontsize=9, ha="center", color=ORANGE
        )
    axes.axhline(1, color=GRAY, lw=0.8)
    axes.text(scales[0], 1.03, "the photograph, untouched", fontsize=9, color=GRAY, ha="left", va="bottom")
    axes.set(xlabel="the loss is multiplied by", ylabel="value at the end / value at the start")
    axes.invert_xaxis()
    axes.legend(loc="center right")
    save(figure, out)


if __name__ == "__main__":
    command(main)
