"""The distance of distributions with its whole gradient, and with the gradient at the sums dropped."""

from functools import partial

from fig.common import command, network, painting, photograph, save, two_runs, y_ticks
from fig.problem import STYLE_TAPS
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm, gaussian, wasserstein_loss
from handstyle.losses.gram import moments_forward
from handstyle.optimize.objective import Objective
from tests.mutants.catalogue import gradient_of_the_sums_ignored


class Ignoring(DistributionTerm):
    """A term whose gradient at the sums is lost on the way back."""

    def spread(self, ds, f, *where):
        """Return the gradient at the features, by the mutant."""
        return gradient_of_the_sums_ignored(ds, f)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(108, 144), network("float64", kernels="reference")
    x, y = (preprocess_forward(p, net.convention) for p in (photo, painting(108, 144)))
    wanted, manner = net.forward(x, ["relu3_1"])[0]["relu3_1"], net.forward(y, STYLE_TAPS)[0]
    losses = {tap: partial(wasserstein_loss, target=gaussian(moments_forward(manner[tap]))) for tap in STYLE_TAPS}

    def objective(kind):
        terms = [kind(tap, ((1.0, losses[tap]),)) for tap in STYLE_TAPS]
        terms += [ContentTerm("relu3_1", wanted, scale=0.015 / wanted.size)]
        return Objective(net, terms, photo.shape)

    runs = {"the whole gradient": objective(DistributionTerm), "without the sums": objective(Ignoring)}
    figure, panel = two_runs(runs, photo.ravel(), 40 if quick else 300)
    y_ticks(panel, 0.03, 0.1, 0.3, 1, 2)
    save(figure, out)


if __name__ == "__main__":
    command(main)
