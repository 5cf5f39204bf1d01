"""How far single outputs of a layer in float32 are from float64: nine shifts, and tiles of three sizes."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save
from handstyle.kernels.winograd_plain import winograd_forward
from handstyle.network.convolution import conv3x3_forward


def main(out, quick=True):
    """Draw the figure to `out`."""
    rng = np.random.default_rng(0)
    x = np.maximum(rng.normal(size=(48, 48, 64)), 0)
    w, b = rng.normal(size=(3, 3, 64, 64)) / 24, np.zeros(64)
    true, _ = conv3x3_forward(x, w, b)
    single = [a.astype("float32") for a in (x, w, b)]
    found = {"direct": conv3x3_forward(*single)[0]}
    found |= {f"F({m}×{m})": winograd_forward(*single, m)[0] for m in (2, 4, 6)}
    figure, ax = plt.subplots(figsize=(7.2, 2.6), layout="constrained")
    bins = np.geomspace(1e-9, 1e-4, 80)
    for (name, y), color in zip(found.items(), (GRAY, GREEN, BLUE, ORANGE), strict=True):
        error = np.abs(y - true).ravel() / true.std()
        ax.hist(np.maximum(error, bins[0]), bins, histtype="step", color=color, linewidth=1.6, label=name)
    ax.set_xscale("log")
    ax.set_yticks([])
    ax.set_ylabel("number of outputs")
    ax.set_xlabel("error of an output, in units of the outputs' deviation")
    ax.legend(loc="upper left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
