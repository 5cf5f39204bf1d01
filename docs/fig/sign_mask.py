"""A picture found from features before the rectifier: with the true gradient, and with one masked by the sign."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses import content
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective


class Masked(content.ContentTerm):
    """A content term whose gradient is dropped wherever the feature is negative."""

    def spread(self, ds, f, where=content.WHOLE):
        """Return the gradient at the features, wrong before a rectifier."""
        return np.where(f > 0, super().spread(ds, f, where), 0)


def main(out, quick=True):
    """Draw the figure to `out`."""
    photo, net, tap = photograph(144, 192), network("float32"), "conv2_1"
    wanted = net.forward(preprocess_forward(photo.astype(net.dtype), net.convention), [tap])[0][tap]
    start = np.random.default_rng(0).uniform(110, 145, photo.size)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.4), layout="constrained", width_ratios=(1, 1, 1))
    runs = (
        (content.ContentTerm, "true gradient", BLUE),
        (Masked, "masked by the sign", ORANGE),
    )
    for axis, (kind, words, color) in zip(axes, runs, strict=False):
        objective, values = Objective(net, [kind(tap, wanted)], photo.shape), []
        values.append(objective(start)[0])
        outcome = minimize_lbfgsb(
            objective, start, 60 if quick else 300, callback=lambda row, values=values: values.append(row.value)
        )
        show(axis, outcome.v.reshape(photo.shape), words)
        axes[2].semilogy(values, color=color, label=words)
        if len(values) < 60:
            axes[2].plot(len(values) - 1, values[-1], "x", color=color, ms=9, mew=2)
    axes[2].set(xlabel="iteration of L-BFGS-B", title="the loss")
    axes[2].legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
