"""The Keras script's loop, ten restarts of twenty evaluations, against the same preset run without interruption."""

from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import BLUE, ORANGE, command, network, painting, photograph, save, show
from handstyle.painting.load import fit_network
from handstyle.painting.presets import PRESETS


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, rounds = (128, 10) if quick else (384, 30)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    chosen = PRESETS["keras-2017"]
    net, _ = fit_network(network("float32"), chosen)
    plain = replace(chosen.config, size=width, content_layers=("relu4_2",), evaluations=20 * rounds)
    top = 0.0
    figure, axes = plt.subplots(1, 3, figsize=(8.8, 2.5), layout="constrained", width_ratios=(1.5, 1, 1))
    runs = (
        ("10 rounds of 20 evaluations", replace(plain, restarts=rounds, evaluations=20), "o-", ORANGE),
        ("one run", plain, "-", BLUE),
    )
    for panel, (name, config, line, hue) in zip(axes[1:], runs, strict=True):
        result = handstyle.stylize(photo, art, network=net, config=config)
        spent, value = [row.evaluations for row in result.trace], [row.value / 1e9 for row in result.trace]
        axes[0].plot(spent, np.minimum.accumulate(value), line, color=hue, label=name, markersize=4)
        top, best = (value[0] if config.restarts else top), min(value)  # the first round has done the steepest part
        show(panel, np.asarray(result.array), f"{name}\nloss {best:.2f} · 10⁹")
    axes[0].set(
        xlabel="evaluations of value and gradient", ylabel="loss, 10⁹", xlim=(0, None), ylim=(0.95 * best, 1.05 * top)
    )
    axes[0].legend()
    save(figure, out)


if __name__ == "__main__":
    command(main)
