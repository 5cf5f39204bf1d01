"""Style from noise with the true gradient, and with one divided by its own mean size, as an early program did it."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import gram_loss, moments_backward, moments_forward
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from tests.mutants.catalogue import style_gradient_normalised


class Style:
    """The style term at a tap, with a loss to choose."""

    weight = 1.0

    def __init__(self, tap, target, loss):
        self.tap, self.name, self.target, self.loss = tap, tap, target, loss

    def __call__(self, f):  # (h, w, C) -> value, (h, w, C)
        """Return the value and what the loss says is its gradient."""
        value, d = self.loss(moments_forward(f), self.target)
        return value, moments_backward(d, f)


def main(out, quick=True):
    """Draw the figure to `out`."""
    art, taps, net = painting(72, 96), ("relu1_1", "relu2_1", "relu3_1"), network("float64")
    features, _ = net.forward(preprocess_forward(art, net.convention), taps)
    start = np.random.default_rng(0).uniform(110, 145, art.shape).ravel()
    figure, axes = plt.subplots(1, 3, figsize=(11, 2.7), layout="constrained", width_ratios=(1, 1, 1.2))
    runs = (
        (gram_loss, "true gradient", BLUE),
        (style_gradient_normalised, "each layer's gradient normalised", ORANGE),
    )
    for axis, (loss, words, colour) in zip(axes, runs, strict=False):
        terms = [Style(tap, moments_forward(features[tap]), loss) for tap in taps]
        objective, values = Objective(net, terms, art.shape), []
        values.append(objective(start)[0])
        outcome = minimize_lbfgsb(
            objective, start, 50 if quick else 300, callback=lambda row, values=values: values.append(row.value)
        )
        show(axis, outcome.v.reshape(art.shape), words)
        axes[2].semilogy(values, color=colour, label=words, marker="o", ms=2.5)
    axes[2].set(xlabel="iteration of L-BFGS-B", title="the loss")
    axes[2].legend(fontsize=8)
    save(figure, out)


if __name__ == "__main__":
    command(main)
