"""A style behind a soft mask: with the mask once in the gradient, as in the value, and twice."""

import numpy as np

from fig.common import command, network, painting, photograph, save, two_runs
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.optimize.objective import Objective
from tests.support.fast_network import FastNetwork

TAPS = ("relu1_1", "relu2_1", "relu3_1")


class Twice(StyleTerm):
    """A style term whose gradient is multiplied by the mask once more."""

    def spread(self, ds, f, *where):
        """Return the gradient at the features, wrong where the mask is soft."""
        return self.mask * super().spread(ds, f, *where)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net = photograph(108, 144), network("float32").with_kernels(FastNetwork())
    mask = np.tile(np.linspace(0, 1, 144, dtype="float32") ** 2, (108, 1))  # nothing on the left, all on the right
    carried = carry_mask(net.layers, mask, TAPS)
    art = painting(108, 144).astype("float32")
    wanted, _ = net.forward(preprocess_forward(art, net.convention), TAPS)

    def objective(kind):
        terms = [kind(tap, moments_forward(wanted[tap]), mask=carried[tap]) for tap in TAPS]
        return Objective(net, terms, photo.shape)

    runs = {"mask once": objective(StyleTerm), "mask twice": objective(Twice)}
    figure, _ = two_runs(runs, photo.ravel(), 60 if quick else 300)
    save(figure, out)


if __name__ == "__main__":
    command(main)
