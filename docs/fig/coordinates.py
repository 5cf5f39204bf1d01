"""Why pixels are poor unknowns: how far each frequency of a picture goes, and the first step in two coordinates."""

from itertools import pairwise

import numpy as np
from matplotlib import pyplot as plt
from scipy.fft import dctn

from fig.common import BLUE, ORANGE, command, network, painting, photograph, save, signed, y_ticks
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective
from handstyle.optimize.precondition import Spectrum, frequency_scale, minimize_preconditioned
from handstyle.painting.config import StyleConfig
from handstyle.painting.targets import build_terms

EDGES = np.geomspace(0.008, 0.7, 9)  # of the bands of frequency, cycles a pixel


def by_frequency(coefficients):  # (H, W, ...) -> (bands,)
    """Return the root mean square of the coefficients in each band."""
    H, W = coefficients.shape[:2]
    f = np.hypot(np.arange(H)[:, None] / (2 * H), np.arange(W) / (2 * W))
    return np.array([np.sqrt((coefficients[(f >= low) & (f < high)] ** 2).mean()) for low, high in pairwise(EDGES)])


def main(out, quick=True):
    """Draw the figure to `out`."""
    size, iterations, places = ((72, 96), 100, (0, 20, 60)) if quick else ((192, 256), 400, (0, 50, 150))
    net, photo, art = network("float32"), photograph(*size), painting(*size)
    terms = build_terms(net, StyleConfig(), photo.astype(np.float32), [art.astype(np.float32)])
    objective, start = Objective(net, terms, photo.shape), photo.ravel()
    curves, outcomes, met = {}, {}, {0: start}

    def remember(row):
        if row.iteration in places:
            met.setdefault(row.iteration, row.v)

    for name, exponent in (("pixels", 0.0), ("scaled coefficients", 0.5)):
        run = minimize_preconditioned(
            minimize_lbfgsb, objective, start, iterations, 30, exponent=exponent, callback=remember
        )
        curves[name] = [(1, objective(start)[0]), *((row.evaluations, row.value) for row in run.trace)]
        outcomes[name] = run

    def waves(v):
        return by_frequency(dctn(v.reshape(photo.shape), axes=(0, 1), norm="ortho"))

    figure, axes = plt.subplots(2, 2, figsize=(8, 5.6), layout="constrained")
    middle = np.sqrt(EDGES[1:] * EDGES[:-1])
    for place, marker in zip(places, "os^", strict=True):
        quotient = waves(outcomes["pixels"].v - met[place]) / waves(objective(met[place])[1])
        label = f"after {place} iterations" if place else "at the photograph"
        axes[0, 0].loglog(middle, quotient / quotient[-4:].mean(), marker + "-", ms=4, label=label)
    square = by_frequency(frequency_scale(*size, 0.5)) ** 2
    axes[0, 0].loglog(middle, square / square[-4:].mean(), "k--", label="s², exponent ½")
    axes[0, 0].set(xlabel="cycles a pixel", title="distance to go / gradient")
    axes[0, 0].legend(fontsize=9)
    y_ticks(axes[0, 0], 0.5, 1, 2, 4)
    for (name, curve), color in zip(curves.items(), (BLUE, ORANGE), strict=True):
        axes[0, 1].semilogy(*zip(*curve, strict=True), color=color, label=name)
    axes[0, 1].set(xlabel="evaluations", title="loss")
    axes[0, 1].legend()
    y_ticks(axes[0, 1], 2, 5, 10, 20)
    spectrum = Spectrum.of(photo.shape, 0.5, start)
    g = objective(start)[1].reshape(photo.shape)
    steps = {"pixels": -g, "scaled coefficients": -spectrum.forward(spectrum.backward(g))}
    for panel, (name, step) in zip(axes[1], steps.items(), strict=True):
        gray = step.mean(axis=2)
        signed(panel, gray, f"the first step, {name}", size=float(np.percentile(abs(gray), 99.5)))
    save(figure, out)


if __name__ == "__main__":
    command(main)
