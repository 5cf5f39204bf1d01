"""The distance of distributions with its whole gradient, and with the gradient at the sums dropped."""

from functools import partial

from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, photograph, save, show, y_ticks
from fig.problem import STYLE_TAPS
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm, gaussian, wasserstein_loss
from handstyle.losses.gram import moments_forward
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from tests.mutants.catalogue import gradient_of_the_sums_ignored


class Ignoring(DistributionTerm):
    """A term whose gradient at the sums is lost on the way back."""

    def spread(self, ds, f, *where):
        """Return the gradient at the features, by the mutant."""
        return gradient_of_the_sums_ignored(ds, f)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(108, 144), network("float64")
    x, y = (preprocess_forward(p, net.convention) for p in (photo, painting(108, 144)))
    wanted, manner = net.forward(x, ["relu3_1"])[0]["relu3_1"], net.forward(y, STYLE_TAPS)[0]
    losses = {tap: partial(wasserstein_loss, target=gaussian(moments_forward(manner[tap]))) for tap in STYLE_TAPS}
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
    runs = ((DistributionTerm, "the whole gradient", BLUE), (Ignoring, "without the sums", ORANGE))
    n = 40 if quick else 300
    for axis, (kind, words, color) in zip(axes, runs, strict=False):
        terms = [kind(tap, ((1.0, losses[tap]),)) for tap in STYLE_TAPS]
        terms += [ContentTerm("relu3_1", wanted, scale=0.015 / wanted.size)]
        objective = Objective(net.with_kernels("reference"), terms, photo.shape)
        outcome = minimize_lbfgsb(objective, photo.ravel(), n, evaluations=n)
        show(axis, outcome.v.reshape(photo.shape), words)
        values = [objective(photo.ravel())[0], *(row.value for row in outcome.trace)]
        axes[2].semilogy([1, *(row.evaluations for row in outcome.trace)], values, color=color, label=words)
        if outcome.evaluations < n:
            axes[2].plot(outcome.evaluations, values[-1], "x", color=color, ms=9, mew=2)
    axes[2].set(xlabel="evaluations", title="the loss")
    y_ticks(axes[2], 0.03, 0.1, 0.3, 1, 2)
    axes[2].legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
