"""Layers under the roof of this machine: the plain convolution, and the way that the engine chooses."""

import time

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GRAY, ORANGE, command, save, y_ticks
from handstyle.kernels.counting import choose_kernel
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.choose import convolve
from handstyle.kernels.cpu.strips import ArraySource, StoreSink
from handstyle.kernels.cpu.threads import Team
from handstyle.network.convolution import conv3x3_forward

LAYERS = ((192, 3, 64), (192, 64, 64), (96, 128, 128), (64, 256, 256))


def best(work, rounds):
    """Return the least of some times."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main(out, quick=True):
    """Draw the figure to `out`."""
    rounds, rng, team, arena = 5 if quick else 25, np.random.default_rng(0), Team(1), Arena()
    points = {"nine shifts": [], "chosen": []}
    with team.single_threaded_blas():
        A = rng.normal(size=(1024, 1024)).astype("float32")
        B, C = np.empty(2**24, "float32"), np.ones(2**24, "float32")
        P = 2 * 1024**3 / best(lambda: A @ A, 2 * rounds)
        beta = 2 * B.nbytes / best(lambda: np.copyto(B, C), 2 * rounds)
        for H, channels, K in LAYERS:
            x = rng.normal(size=(H, H, channels)).astype("float32")
            w, b = rng.normal(size=(3, 3, channels, K)).astype("float32"), np.zeros(K, "float32")
            F = 18 * H * H * channels * K
            intensity = F / (4 * (H * H * (channels + K) + w.size))
            y, tile = np.empty((H, H, K), "float32"), choose_kernel(H, H, channels, K, False)

            def chosen(x=x, w=w, b=b, y=y, tile=tile):
                convolve(ArraySource(x), w, b, StoreSink(y), tile, team, arena)

            chosen()
            points["nine shifts"].append((intensity, F / best(lambda x=x, w=w, b=b: conv3x3_forward(x, w, b), rounds)))
            points["chosen"].append((intensity, F / best(chosen, rounds)))
    figure, ax = plt.subplots(figsize=(7.2, 3.4), layout="constrained")
    at = np.geomspace(1, 1000, 200)
    ax.loglog(at, np.minimum(P, at * beta) / 1e9, color=GRAY, label="the roof")
    for (name, found), color, marker in zip(points.items(), (BLUE, ORANGE), "os", strict=True):
        x, y = np.transpose(found)
        ax.loglog(x, y / 1e9, marker, color=color, label=name)
    for k, ((intensity, rate), (_, channels, K)) in enumerate(zip(points["nine shifts"], LAYERS, strict=True)):
        high, end = ((1500, 1100), (800, 600))[k % 2]  # in turn: they are close
        ax.text(intensity, high, f"{channels} to {K}", ha="center", va="center")
        ax.vlines(intensity, rate / 1e9, end, color=GRAY, lw=0.8, ls=":")
    ax.set(ylim=(1, 2500), xticks=(1, 10, 100, 1000), xticklabels=("1", "10", "100", "1000"))
    y_ticks(ax, 1, 2, 5, 10, 20, 50, 100, 200)
    ax.set_xlabel("operations of the direct sum, for each byte")
    ax.set_ylabel("10⁹ operations a second")
    ax.legend(loc="upper left")
    save(figure, out)


if __name__ == "__main__":
    command(main)
