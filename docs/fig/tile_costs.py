"""Memory by tiles; and an evaluation of a gigapixel on a cluster: the latest of `benchmarks/results`."""

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.cluster import gigapixel
from benchmarks.report import newest
from fig.common import BLUE, GRAY, ORANGE, command, save


def main(out, quick=True):
    """Draw the figure to `out`."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.1), layout="constrained")
    rows = sorted(newest("tile-memory")["rows"], key=lambda row: row["megapixels"])
    sizes = [row["megapixels"] for row in rows]
    left.plot(sizes, [row["beyond"] for row in rows], "o", color=BLUE, label="measured")
    inside = [row["forecast"] - (row["target"] if row["target"] < 256 else 0) for row in rows]
    left.plot(sizes, inside, "-", color=BLUE, label="forecast")
    left.plot(sizes, [row["vectors"] for row in rows], "--", color=GRAY, label="the photograph itself")
    left.set(xlabel="megapixels", ylabel="MiB of an evaluation", ylim=(0, 800), xscale="log")
    left.set_xticks([1, 4, 16, 64], ["1", "4", "16", "64"])
    left.legend()
    record, workers = newest("cluster"), np.geomspace(1, 512, 40)
    model = gigapixel(record)
    right.loglog(workers, model["compute"] / workers, color=BLUE, label="the tiles")
    right.axhline(model["client"], color=ORANGE, label="client and scheduler")
    right.axhline(model["wire"], color=GRAY, linestyle="--", label="a wire of 10 Gbit/s")
    right.set(xlabel="workers of one core", ylabel="s of an evaluation of 1 gigapixel")
    right.set_xticks([1, 4, 16, 64, 256], ["1", "4", "16", "64", "256"])
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
