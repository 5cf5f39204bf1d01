"""What a sweep must remember at 512 x 512, VGG-19 to relu5_1: as floats, and as a frozen network needs."""

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, GREEN, ORANGE, command, save
from handstyle.network.vgg import WIDTHS, build_network, random_weights, summary

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


def main(out, quick=True):
    """Draw the figure to `out`."""
    weights = random_weights(widths=(1, 1, 1, 1, 1))  # only names and sizes are used
    rows = summary(build_network(weights), 512, 512)
    values = [
        r.values * WIDTHS[int(r.name.removeprefix("conv").removeprefix("relu").removeprefix("pool")[0]) - 1]
        for r in rows
    ]
    mib = np.array(values) / 2**20
    floats = 4 * mib
    bits = np.array(
        [
            m / 8 if r.name.startswith("relu") else m / 4 if r.name.startswith("pool") else 0
            for m, r in zip(mib, rows, strict=True)
        ]
    )
    taps = np.array([4 * m if r.name in TAPS else 0 for m, r in zip(mib, rows, strict=True)])
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.6), layout="constrained", width_ratios=(2.6, 1))
    k = np.arange(len(rows))
    left.bar(k, floats, color=ORANGE, label="every output as float32")
    left.bar(k, taps, color=BLUE, label="tapped features, float32")
    left.bar(k, bits, color=GREEN, label="bits: signs and choices")
    left.set_xticks(k, [r.name for r in rows], rotation=90, fontsize=9)
    left.set(ylabel="MiB at 512 × 512")
    left.legend()
    for at, (total, hue) in enumerate(((floats.sum(), ORANGE), (taps.sum(), BLUE), (bits.sum(), GREEN))):
        right.bar(at, total, color=hue)
        right.text(at, total, f"{total:.0f} MiB", ha="center", va="bottom")
        right.set_xticks(range(at + 1))
    right.set_xticks(range(3), ["all", "taps", "bits"])
    right.set(title="in all", xlim=(-0.65, 2.65))  # the widest number clear of the axis
    save(figure, out)


if __name__ == "__main__":
    command(main)
