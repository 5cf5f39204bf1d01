"""The arrays of a small sweep in memory, over time: each where it fits when it comes, and all placed beforehand."""

from typing import NamedTuple

import numpy as np
from matplotlib import patches
from matplotlib import pyplot as plt

from fig.common import command, save
from handstyle.network.vgg import build_network, random_weights, summary


class Request(NamedTuple):
    """An array: its size, and from which request to which it lives."""

    size: int
    begins: int
    ends: int


def first_fit(requests):
    """Return the offsets of arrays that each take the lowest gap, and the size in all."""
    taken, offsets = [], []
    for now, request in enumerate(requests):
        taken = [(at, other) for at, other in taken if other.ends > now]
        at = 0
        for begin, other in sorted(taken, key=lambda place: place[0]):
            if begin - at >= request.size:
                break
            at = max(at, begin + other.size)
        taken.append((at, request))
        offsets.append(at)
    return offsets, max(at + r.size for at, r in zip(offsets, requests, strict=True))


def places(requests):
    """Return the offsets of arrays placed largest first, and the size in all."""
    offsets, placed = [0] * len(requests), []
    for i in sorted(range(len(requests)), key=lambda i: -requests[i].size):
        mine, at = requests[i], 0
        others = [j for j in placed if requests[j].begins < mine.ends and mine.begins < requests[j].ends]
        for j in sorted(others, key=offsets.__getitem__):
            if offsets[j] - at >= mine.size:
                break
            at = max(at, offsets[j] + requests[j].size)
        offsets[i] = at
        placed.append(i)
    return offsets, max(o + r.size for o, r in zip(offsets, requests, strict=True))


def sweep_requests(rows, taps, item=4):
    """Return what a sweep there and back asks for."""
    asked = []  # [bytes, begins, ends]

    def ask(size):
        asked.append([size, len(asked), None])
        return asked[-1]

    def let_go(*arrays):
        for array in arrays:
            if array is not None and array[2] is None:
                array[2] = len(asked)

    kept, x, C = [], None, 3
    for row in rows:  # forward
        pixels, K = row.values // row.shape[2], row.shape[2]
        bits = ask(row.values // 8)
        work = ask(36 * item * pixels // 16 * (C + K))  # transformed tiles, and their products
        y = ask(item * row.values)
        let_go(work, *([] if not kept or kept[-1][0].name in taps else [x]))
        kept.append((row, bits, y if row.name in taps else None, C))
        x, C = y, K
    d = x
    for row, bits, tapped, C in reversed(kept):  # backward
        pixels, K = row.values // row.shape[2], row.shape[2]
        work = ask(36 * item * pixels // 16 * (C + K))
        new = ask(item * pixels * C)
        let_go(work, d, bits, tapped)
        d = new
    return [Request(s, b, len(asked) if e is None else e) for s, b, e in asked]


def main(out, quick=True):
    """Draw the figure to `out`."""
    network = build_network(random_weights(widths=(2, 4, 4, 4, 4), deepest="conv2_1"))
    rows = [row for row in summary(network, 64, 64) if row.name.startswith("relu")]
    asked = sweep_requests(rows, ["relu1_1", "relu2_1"])
    alive = max(sum(r.size for r in asked if r.begins <= k < r.ends) for k in range(len(asked)))
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), layout="constrained", sharey=True)
    colors = plt.get_cmap("tab20")(np.linspace(0, 1, len(asked)))
    for ax, way, title in zip(axes, (first_fit, places), ("as they come", "placed beforehand"), strict=True):
        offsets, size = way(asked)
        for r, at, color in zip(asked, offsets, colors, strict=True):
            box = (r.begins, at / 1024), r.ends - r.begins, r.size / 1024
            ax.add_patch(patches.Rectangle(*box, facecolor=color, edgecolor="white", linewidth=0.8))
        ax.axhline(alive / 1024, color="0.4", linestyle="--", linewidth=1)
        ax.set_title(f"{title}: {size / 1024:.0f} KiB")
        ax.set_xlabel("request")
        ax.set_xlim(0, len(asked))
        ax.set_xticks(range(0, len(asked) + 1, 5))
    axes[0].set_ylim(0, 1.05 * first_fit(asked)[1] / 1024)
    axes[0].set_ylabel("KiB")
    save(figure, out)


if __name__ == "__main__":
    command(main)
