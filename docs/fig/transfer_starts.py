"""One objective from four starts: how the value falls, and the pictures after 60 iterations."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show, y_ticks
from handstyle.painting.config import StyleConfig

STARTS = {"content": {}, "gray": {"init": "gray"}, "noise": {"init": "noise"}, "half noise": {"init_noise": 0.5}}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (160, 40) if quick else (384, 400)
    photo, art, net = photograph(width * 3 // 4, width), painting(width * 3 // 4, width), network("float32")
    figure = plt.figure(figsize=(7.2, 7.4), layout="constrained")
    panels = figure.subplot_mosaic(
        [["content", "gray"], ["noise", "half noise"], ["plot", "plot"]], height_ratios=(1.5, 1.5, 1)
    )
    for name, choice in STARTS.items():
        config = StyleConfig(size=width, pyramid_min_size=0, iterations=n, **choice)
        result = handstyle.stylize(photo, art, network=net, config=config)
        show(panels[name], np.asarray(result.array), name)
        rows = result.trace
        panels["plot"].semilogy([row.evaluations for row in rows], [row.value for row in rows], label=name)
    panels["plot"].set(xlabel="evaluations", title="the value")
    y_ticks(panels["plot"], 2, 5, 10, 20)
    panels["plot"].legend(ncols=2, fontsize=9)
    save(figure, out)


if __name__ == "__main__":
    command(main)
