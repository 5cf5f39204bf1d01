"""Two clouds of points with one Gram matrix, and what is left open by a style of Gram matrices in a run."""

from functools import partial

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, ORANGE, command, network, painting, photograph, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm, gaussian, mean_and_covariance, wasserstein_loss
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

MEAN, DEVIATIONS = np.array([2.4, 1.8]), (0.35, 0.5)  # of the tight cloud, along its mean and across
TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def clouds():
    """Return a cloud far from zero, and one around zero that has its second moments to rounding."""
    rng = np.random.default_rng(2)
    along = MEAN / np.linalg.norm(MEAN)
    axes = np.stack([along, [-along[1], along[0]]])
    z = rng.normal(size=(2, 90, 2))
    z -= z.mean(axis=1, keepdims=True)
    tight = MEAN + (z[0] * DEVIATIONS) @ axes
    wanted, have = (np.linalg.cholesky(x.T @ x / len(x)) for x in (tight, z[1]))
    broad = z[1] @ np.linalg.inv(have).T @ wanted.T
    assert np.allclose(tight.T @ tight, broad.T @ broad)
    return tight, broad


def distribution_term(tap, moments):
    """Return a term that is 1 for a picture without features, as a `StyleTerm` is."""
    mean, covariance = mean_and_covariance(moments)
    scale = 1 / float(mean @ mean + np.trace(covariance))
    loss = partial(wasserstein_loss, target=gaussian(moments), scale=scale)
    return DistributionTerm(tap, ((1.0, loss),))


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, width, iterations = (96, 128, 80) if quick else (288, 384, 500)
    photo, art, net = photograph(height, width), painting(height, width), network("float32")

    def moments(p):
        x = preprocess_forward(p.astype("float32"), net.convention)
        features = net.forward(x, TAPS)[0]
        return {tap: moments_forward(f) for tap, f in features.items()}, features["relu4_1"]

    (goal, _), (_, wanted) = moments(art), moments(photo)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 4.9), layout="constrained")
    (cloud, bars), paintings = axes
    for points, color in zip(clouds(), (BLUE, ORANGE), strict=True):
        cloud.plot(*points.T, ".", color=color, ms=3, alpha=0.6)
        cloud.plot(*points.mean(axis=0), "+", color="black", ms=11, mew=2, zorder=3)
    cloud.axhline(0, color=GRAY, lw=0.6)
    cloud.axvline(0, color=GRAY, lw=0.6)
    cloud.set(xlabel="channel 1", ylabel="channel 2", aspect="equal", title="one Gram matrix")
    kinds = (("by Gram matrices", StyleTerm, BLUE), ("by distributions", distribution_term, ORANGE))
    for n, (panel, (words, term, color)) in enumerate(zip(paintings, kinds, strict=True)):
        terms = [term(tap, goal[tap]) for tap in TAPS] + [ContentTerm("relu4_1", wanted, 0.05)]
        outcome = minimize_lbfgsb(Objective(net, terms, photo.shape), photo.ravel(), iterations)
        picture = outcome.v.reshape(photo.shape)
        show(panel, picture, words)
        found, off = moments(picture)[0], []
        for tap in TAPS:
            mean, right = (mean_and_covariance(at[tap])[0] for at in (found, goal))
            off.append(100 * np.linalg.norm(mean - right) / np.linalg.norm(right))
        bars.bar(np.arange(len(TAPS)) + 0.4 * n, off, 0.36, color=color, label=words)
    bars.set_xticks(np.arange(len(TAPS)) + 0.2, TAPS)
    bars.set(ylabel="percent", title="error of the mean features")
    bars.legend(fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
