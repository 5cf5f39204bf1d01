"""Style from noise with the true gradient, and with one divided by its own mean size, as an early program did it."""

import numpy as np

from fig.common import command, network, painting, save, two_runs
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import Moments, StyleTerm, moments_forward
from handstyle.optimize.objective import Objective
from tests.support.fast_network import FastNetwork


class Normalized(StyleTerm):
    """A style term whose gradient has a mean size of one."""

    def loss(self, s):
        """Return the value, and a gradient of another length than its own."""
        value, d = super().loss(s)
        return value, Moments(0.0, d.sums, d.outer / abs(d.outer).mean())


def main(out, quick=True):
    """Draw the figure to `out`."""
    art, taps = painting(144, 192), ("relu1_1", "relu2_1", "relu3_1")
    net = network("float32").with_kernels(FastNetwork())
    features, _ = net.forward(preprocess_forward(art.astype(net.dtype), net.convention), taps)
    start = np.random.default_rng(0).uniform(110, 145, art.shape).ravel()

    def objective(kind):
        return Objective(net, [kind(tap, moments_forward(features[tap])) for tap in taps], art.shape)

    runs = {"true gradient": objective(StyleTerm), "normalized": objective(Normalized)}
    figure, _ = two_runs(runs, start, 40 if quick else 300)
    save(figure, out)


if __name__ == "__main__":
    command(main)
