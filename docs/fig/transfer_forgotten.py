"""A pyramid, and one whose scales begin at the photograph again."""

from unittest.mock import patch

import numpy as np
from matplotlib import pyplot as plt

from fig.common import BLUE, ORANGE, command, network, painting, photograph, save, show, y_ticks
from handstyle.painting import stylize as module
from handstyle.painting.config import StyleConfig
from handstyle.painting.plan import enlarge_picture
from tests.mutants.catalogue import coarse_picture_forgotten


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (192, 30) if quick else (512, 200)
    photo, art, net = photograph(width * 3 // 4, width), painting(width * 3 // 4, width), network("float32")
    config = StyleConfig(size=width, pyramid_min_size=width // 4, iterations=n, style_weight=30.0)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.5), layout="constrained")
    for panel, name, function, color in (
        (axes[0], "enlarged", enlarge_picture, BLUE),
        (axes[1], "forgotten", coarse_picture_forgotten, ORANGE),
    ):
        with patch.object(module, "enlarge_picture", function):
            result = module.stylize(photo, art, network=net, config=config)
        show(panel, np.asarray(result.array))
        panel.set_title(name, color=color)
        values = [row.value for row in result.trace]
        axes[2].semilogy(range(1, len(values) + 1), values, color=color)
    axes[2].set(xlabel="iteration", title="the value, three scales")
    y_ticks(axes[2], 3, 5, 10, 20, 50)
    for end in (n + 0.5, 2 * n + 0.5):
        axes[2].axvline(end, color="0.7", lw=0.8)
    save(figure, out)


if __name__ == "__main__":
    command(main)
