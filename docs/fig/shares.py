"""The share of each term in the value, along a run from the photograph."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, command, save, y_ticks
from fig.problem import town
from handstyle.optimize.lbfgsb import minimize_lbfgsb


def main(out, quick=True):
    """Draw the figure to `out`."""
    objective, start = town(72, 96, "float32", variation=1e-3)
    rows = [(objective(start)[0], dict(objective.terms))]
    minimize_lbfgsb(objective, start, 40 if quick else 500, callback=lambda row: rows.append((row.value, row.terms)))
    names = list(rows[0][1])
    values = np.array([[terms[name] for name in names] for _, terms in rows]).T
    colors = [plt.cm.Oranges(x) for x in (0.75, 0.55, 0.35)] + [BLUE, GREEN]
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7.2, 4.6), layout="constrained", sharex=True, height_ratios=(1, 1.6)
    )
    above.semilogy([value for value, _ in rows], color=GRAY)
    y_ticks(above, 2, 5, 10, 15)
    above.set_title("the value")
    areas = below.stackplot(range(len(rows)), values / values.sum(axis=0), labels=names, colors=colors)
    below.set(xlabel="iteration", title="the share of each term", xlim=(0, len(rows) - 1), ylim=(0, 1))
    below.legend(areas[::-1], names[::-1], loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
