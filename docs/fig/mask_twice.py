"""A style behind a soft mask: with the mask once in the gradient, as in the value, and twice."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

TAPS = ("relu1_1", "relu2_1", "relu3_1")


class Twice(StyleTerm):
    """A style term whose gradient is multiplied by the mask once more."""

    def spread(self, ds, f, *where):
        """Return the gradient at the features, wrong where the mask is soft."""
        return self.mask * super().spread(ds, f, *where)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(108, 144), network("float64")
    mask = np.tile(np.linspace(0, 1, 144) ** 2, (108, 1))  # from nothing on the left to all on the right
    carried = carry_mask(net.layers, mask, TAPS)
    wanted, _ = net.forward(preprocess_forward(painting(108, 144), net.convention), TAPS)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
    runs = ((StyleTerm, "mask once", BLUE), (Twice, "mask twice", ORANGE))
    n = 60 if quick else 300
    for axis, (kind, words, color) in zip(axes, runs, strict=False):
        terms = [kind(tap, moments_forward(wanted[tap]), mask=carried[tap]) for tap in TAPS]
        objective = Objective(net.with_kernels("reference"), terms, photo.shape)
        outcome = minimize_lbfgsb(objective, photo.ravel(), n, evaluations=n)
        show(axis, outcome.v.reshape(photo.shape), words)
        values = [objective(photo.ravel())[0], *(row.value for row in outcome.trace)]
        axes[2].semilogy([1, *(row.evaluations for row in outcome.trace)], values, color=color, label=words)
        if outcome.evaluations < n:
            axes[2].plot(outcome.evaluations, values[-1], "x", color=color, ms=9, mew=2)
    axes[2].set(xlabel="evaluations", title="the loss")
    axes[2].legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
