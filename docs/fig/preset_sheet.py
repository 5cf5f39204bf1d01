"""Every preset on one photograph and one painting: a contact sheet."""

from dataclasses import replace

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.calibration import suit
from handstyle.painting.presets import PRESETS, adapt

DIVERGES = "keras-io"  # plain descent has a rate for the published network, at which it diverges on a narrower one


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (96, 40) if quick else (384, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width, width)
    net = network("float32")
    names = [name for name in PRESETS if name != DIVERGES]
    figure, axes = plt.subplots(4, 5, figsize=(11, 7.2), layout="constrained")
    panels = axes.ravel()
    show(panels[0], photo, "the photograph")
    show(panels[1], art, "the painting")
    for panel, name in zip(panels[2:], names, strict=True):
        chosen = PRESETS[name].config
        if any(tap not in net.names for tap in chosen.content_layers):
            chosen = replace(chosen, content_layers=("relu4_2",))  # the small network ends at conv5_1
            name += " *"
        if chosen.optimizer == "lbfgs-fixed" and "lbfgs" in PRESETS[name.removesuffix(" *")].optimisers:
            chosen = replace(chosen, optimizer="lbfgs")  # fixed steps may diverge on so small a picture
        config = replace(
            chosen,
            size=width,
            size_rule="square" if chosen.size_rule == "square" else "long",
            smallest=width // 2 if chosen.smallest else 0,
            iterations=iterations,
            iterations_by_scale=(),
            evaluations=0,
        )
        ready, _ = suit(adapt(net, PRESETS[name.removesuffix(" *")]), PRESETS[name.removesuffix(" *")].features)
        result = handstyle.stylize(photo, art, network=ready, config=config)
        show(panel, np.asarray(result.array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
