"""How long a lowered layer takes in strips of 1 to 128 lines, and how large the matrix of a strip is."""

import time

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, GREEN, command, save
from handstyle.kernels.cpu.threads import default_team
from handstyle.network.convolution import conv3x3_forward
from handstyle.network.padding import pad_forward

SIDE, CHANNELS = 128, 64


def in_strips(x, w, rows):
    """Convolve by lowering `rows` lines at a time."""
    H, W, C = x.shape
    xpad, _ = pad_forward(x)
    y = np.empty((H, W, w.shape[3]), x.dtype)
    for top in range(0, H, rows):
        height = min(rows, H - top)
        taps = [xpad[top + i : top + i + height, j : j + W] for i, j in np.ndindex(3, 3)]
        matrix = np.stack(taps, axis=2).reshape(height * W, 9 * C)
        y[top : top + height] = (matrix @ w.reshape(9 * C, -1)).reshape(height, W, -1)
    return y


def best(works, rounds):
    """Return the least time of each, all in turn, so that a noisy neighbor disturbs all alike."""
    seconds = np.full(len(works), np.inf)
    with default_team().single_threaded_blas():
        for _ in range(rounds):
            for k, work in enumerate(works):
                start = time.perf_counter()
                work()
                seconds[k] = min(seconds[k], time.perf_counter() - start)
    return 1e3 * seconds


def main(out, quick=True):
    """Draw the figure to `out`."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SIDE, SIDE, CHANNELS)).astype("float32")
    w = rng.normal(size=(3, 3, CHANNELS, CHANNELS)).astype("float32")
    heights = [1, 2, 4, 8, 16, 32, 64, 128]
    works = [lambda rows=rows: in_strips(x, w, rows) for rows in heights]
    zero = np.zeros(CHANNELS, "float32")
    *lowered, shifts = best([*works, lambda: conv3x3_forward(x, w, zero)], 7 if quick else 40)
    figure, (ax, room) = plt.subplots(2, 1, figsize=(7.2, 4.4), layout="constrained", sharex=True, height_ratios=(2, 1))
    ax.plot(heights, lowered, "o-", color=BLUE, label="lowered, in strips")
    ax.axhline(shifts, color=GRAY, linestyle="--", label="nine shifts")
    ax.set_ylim(0, 1.15 * max(*lowered, shifts))
    ax.set_ylabel("ms, one thread")
    ax.legend()
    size = 4 * 9 * SIDE * CHANNELS * np.array(heights) / 2**20
    room.bar(heights, size, width=0.3 * np.array(heights), color=GREEN)
    room.set_yscale("log")
    room.set_ylabel("MiB of a strip")
    room.set_xscale("log", base=2)
    room.set_xticks(heights, heights)
    room.set_xlabel("lines of a strip")
    save(figure, out)


if __name__ == "__main__":
    command(main)
