"""The error of a central difference over its step, in float64 and float32, with the two lines that predict it."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, ORANGE, command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, axes = plt.subplots(figsize=(7.2, 3.8), layout="constrained")
    for dtype, hue in (("float64", BLUE), ("float32", ORANGE)):
        kind = np.dtype(dtype).type
        x = kind(1.0)
        steps = 10.0 ** np.arange(-12 if dtype == "float64" else -6.5, 0, 0.125)
        errors = []
        for h in steps:
            ahead, behind = kind(x + kind(h)), kind(x - kind(h))
            slope = (np.exp(ahead) - np.exp(behind)) / (kind(2) * kind(h))
            errors.append(abs(float(slope) - np.exp(1.0)) / np.exp(1.0))
        epsilon = np.finfo(dtype).eps
        axes.loglog(steps, np.maximum(errors, 1e-17), ".", ms=4, color=hue, label=f"measured, {dtype}")
        axes.loglog(steps, epsilon / steps, "--", lw=1, color=hue, label=rf"rounding, $\varepsilon/h$, {dtype}")
        best = (3 * epsilon) ** (1 / 3)
        axes.axvline(best, 0, 0.77, color=hue, lw=0.8, alpha=0.5)
        height = 3e-15 if dtype == "float64" else 3e-13  # beside the dashed lines, not on them
        digit, power = f"{best:.0e}".split("e")
        words = rf"$(3\varepsilon)^{{1/3}} = {digit} \cdot 10^{{{int(power)}}}$"
        axes.text(best * 1.15, height, words, color=hue, fontsize=9)
    steps = np.logspace(-6, 0)
    axes.loglog(steps, steps**2 / 6, "-", lw=1, color=GRAY, label=r"truncation, $h^2/6$")
    # The legend stands above the points.
    axes.set(xlabel="step h", ylabel="relative error of the slope", ylim=(1e-15, 1e4))
    handles, labels = axes.get_legend_handles_labels()
    by_column = [0, 1, 4, 2, 3]  # float64 and the line that both follow, then float32
    axes.legend([handles[k] for k in by_column], [labels[k] for k in by_column], fontsize=9, loc="upper left", ncols=2)
    save(figure, out)


if __name__ == "__main__":
    command(main)
