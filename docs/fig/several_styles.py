"""Two paintings at once: their targets blended, their losses blended, and each at layers of its own."""

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import flow_painting

import handstyle
from fig.common import command, kept, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig

FINE, COARSE = "relu1_1,relu2_1", "relu3_1,relu4_1,relu5_1"
CHOICES = {
    "blended 1 : 1": {},
    "blended 1 : 3": {"style_blend": (1.0, 3.0)},
    "losses, 1 : 1": {"blend": "losses"},
    "fine of the first,\ncoarse of the second": {"style_at": (FINE, COARSE)},
    "coarse of the first,\nfine of the second": {"style_at": (COARSE, FINE)},
}


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, iterations = (160, 20) if quick else (384, 300)
    photo, one = photograph(width * 3 // 4, width), painting(width, width)
    other = kept(flow_painting, width, width, 3)[..., ::-1].astype(np.float64)
    net = network("float32")
    figure, axes = plt.subplots(2, 4, figsize=(8.8, 4.1), layout="constrained")
    panels = axes.ravel()
    for panel, (picture, name) in zip(
        panels, ((photo, "the photograph"), (one, "the first"), (other, "the second")), strict=False
    ):
        show(panel, picture, name)
    for panel, (name, choice) in zip(panels[3:], CHOICES.items(), strict=True):
        config = StyleConfig(size=width, pyramid_min_size=width // 2, iterations=iterations, **choice)
        result = handstyle.stylize(photo, [one, other], network=net, config=config)
        show(panel, np.asarray(result.array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
