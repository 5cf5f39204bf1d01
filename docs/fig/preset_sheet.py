"""Every preset on one photograph and one painting: a contact sheet."""

from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.load import fit_network
from handstyle.painting.presets import PRESETS

RATED = "keras-io"  # plain descent: its one rate is for a picture of 400 px, whose pixels pull less than fewer would


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (256, 12) if quick else (384, 300)
    height = width * 3 // 4
    photo, art = photograph(height, width), painting(width, width)
    net = network("float32")
    figure, axes = plt.subplots(8, 3, figsize=(7.2, 15.4), layout="constrained")
    panels = axes.ravel()
    for panel in panels[2 + len(PRESETS) :]:
        panel.axis("off")
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    for panel in panels[:2]:
        panel.title.set_fontsize(9)
    for panel, (name, chosen) in zip(panels[2:], PRESETS.items(), strict=False):
        config, shown = chosen.config, name
        if any(tap not in net.names for tap in config.content_layers):
            config, shown = (
                replace(config, content_layers=("relu4_2",)),
                name + " *",
            )  # the small network ends at conv5_1
        if name == RATED:
            config = replace(config, learning_rate=config.learning_rate * height * width / (400 * 533))
        # Noise has further to go, and plain descent goes in small steps.
        long = name == RATED or not (config.pyramid_min_size or config.init == "content")
        config = replace(
            config,
            size=width,
            size_rule="square" if config.size_rule == "square" else "long",
            pyramid_min_size=width // 2 if config.pyramid_min_size else 0,
            iterations=2 * iterations if long else iterations,
            iterations_by_scale=(),
            evaluations=0,
        )
        ready, _ = fit_network(net, chosen)
        result = handstyle.stylize(photo, art, network=ready, config=config)
        show(panel, np.asarray(result.array))
        panel.set_title(shown, fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
