"""When is it worth sending an array to a GPU and back? Time over size for little and for much work on each byte."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, ORANGE, command, save

ALPHA, BETA = 10e-6, 20e9  # a transfer: seconds to start it, bytes a second
CPU, GPU = (0.1e12, 20e9), (20e12, 2e12)  # operations and bytes a second


def seconds(n, work, machine):
    """Return the time for `n` bytes with `work` operations on each: the longer of computing and moving them."""
    operations, moved = machine
    return np.maximum(n * work / operations, 2 * n / moved)


def main(out, quick=True):
    """Draw the figure to `out`."""
    n = np.logspace(2, 9, 200)
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.0), layout="constrained", sharey=True)
    for place, work, title in ((axes[0], 0.25, "add two arrays"), (axes[1], 288.0, "a convolution, 64 channels")):
        cpu = seconds(n, work, CPU)
        there = 5e-6 + seconds(n, work, GPU)
        sent = 2 * (ALPHA + n / BETA) + there
        place.loglog(n, cpu, color=BLUE, label="CPU")
        place.loglog(n, sent, color=ORANGE, label="to the GPU, compute, back")
        place.loglog(n, there, color=GREEN, label="on the GPU already")
        ahead = np.flatnonzero(sent < cpu)
        if ahead.size:
            at = n[ahead[0]]
            place.axvline(at, color=GRAY, lw=0.8, ls="--")
            place.text(1.2 * at, 3e-7, f"{at / 1000:.0f} kB", color=GRAY, fontsize=9)
        place.set(title=title, xlabel="bytes", ylim=(1e-7, 30))
    axes[0].set_ylabel("seconds")
    axes[0].legend(fontsize=9, loc="upper left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
