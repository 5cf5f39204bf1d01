"""Style from noise with the true gradient, and with one divided by its own mean size, as an early program did it."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import Moments, StyleTerm, moments_forward
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective


class Normalized(StyleTerm):
    """A style term whose gradient has a mean size of one."""

    def loss(self, s):
        """Return the value, and a gradient of another length than its own."""
        value, d = super().loss(s)
        return value, Moments(0.0, d.sums, d.outer / abs(d.outer).mean())


def main(out, quick=True):
    """Draw the figure to `out`."""
    art, taps, net = painting(144, 192), ("relu1_1", "relu2_1", "relu3_1"), network("float32", kernels="reference")
    features, _ = net.forward(preprocess_forward(art.astype(net.dtype), net.convention), taps)
    start = np.random.default_rng(0).uniform(110, 145, art.shape).ravel()
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained")
    runs = ((StyleTerm, "true gradient", BLUE), (Normalized, "normalized", ORANGE))
    for axis, (kind, words, color) in zip(axes, runs, strict=False):
        objective = Objective(net, [kind(tap, moments_forward(features[tap])) for tap in taps], art.shape)
        values = [objective(start)[0]]
        outcome = minimize_lbfgsb(
            objective, start, 40 if quick else 300, callback=lambda row, values=values: values.append(row.value)
        )
        show(axis, outcome.v.reshape(art.shape), words)
        axes[2].semilogy(values, color=color, label=words, marker="o", ms=2.5)
    axes[2].set(xlabel="iteration of L-BFGS-B", title="the loss")
    axes[2].legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
