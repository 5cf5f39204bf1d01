"""How far a region's style reaches beyond its mask: the gradient of one region's terms, by rule, drawn and measured."""

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import portrait_masks, portrait_scene

from fig.common import BRIGHT, command, network, painting, save, show
from handstyle.losses.regions import leak
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.targets import Painting, build_terms


def region_gradient(net, config, p, style, mask):
    """Return the gradient of one region's style terms at the picture, (H, W, 3), and the share that falls outside."""
    objective = Objective(net, build_terms(net, config, p, [Painting(style, region=1)], [mask]), p.shape)
    gradient = objective(p.ravel())[1].reshape(p.shape)
    return gradient, leak(gradient, mask)


def main(out, quick=True):
    """Draw the figure to `out`."""
    height = 192 if quick else 512
    width = height * 3 // 4
    p = portrait_scene(height, width).astype(np.float64)
    mask = portrait_masks(height, width)["background"].astype(np.float64)
    net, style = network("float32"), painting(height, height)
    layers = StyleConfig().style_layers
    rows = {
        "fraction": ("fraction", layers),
        "fraction, first three": ("fraction", layers[:3]),
        "inside, first three": ("inside", layers[:3]),
    }
    figure, axes = plt.subplots(2, 3, figsize=(7.2, 7.2), layout="constrained")
    (picture, region, scale), below = axes
    show(picture, p, "the picture")
    show(region, 255 * mask, "the region", cmap="gray")
    scale.axis("off")
    for panel, (name, (rule, taps)) in zip(below, rows.items(), strict=True):
        config = StyleConfig(content_weight=0.0, tv_weight=0.0, mask_rule=rule, style_layers=taps)
        gradient, share = region_gradient(net, config, p, style, mask)
        size = np.log10(np.linalg.norm(gradient, axis=2) + 1e-30)
        show(panel, size - size.max(), f"{name}\n{100 * share:.2g} % outside", cmap="magma", vmin=-5, vmax=0)
        panel.contour(mask, [0.5], colors=BRIGHT, linewidths=0.6)
    bar = figure.colorbar(below[0].images[0], cax=scale.inset_axes([0.05, 0.5, 0.9, 0.06]), orientation="horizontal")
    bar.set_ticks([-5, -2.5, 0], labels=["10⁻⁵", "the gradient's size", "1"])
    save(figure, out)


if __name__ == "__main__":
    command(main)
