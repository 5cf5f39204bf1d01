"""One photograph and one painting with the losses of four programs, from the same start by the same optimizer."""

from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.load import fit_network
from handstyle.painting.presets import find_preset

LOSSES = ("keras-2017", "gatys-norm", "pytorch-tutorial", "handstyle")


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (208, 30) if quick else (512, 400)
    photo, art, net = photograph(width * 3 // 4, width), painting(width * 3 // 4, width), network("float32")
    figure, axes = plt.subplots(3, 2, figsize=(7.2, 8.3), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    run = {"size": width, "pyramid_min_size": 0, "iterations": n, "init": "content", "optimizer": "lbfgsb"}
    for panel, name in zip(panels[2:], LOSSES, strict=True):
        chosen = find_preset(name)
        config = replace(chosen.config, **run, size_rule="long", evaluations=0, clamp=False)
        if config.content_layers == ("relu5_2",):  # the small network ends at conv5_1
            config = replace(config, content_layers=("relu4_2",))
        ready, _ = fit_network(net, chosen)
        result = handstyle.stylize(photo, art, network=ready, config=config)
        show(panel, np.asarray(result.array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
