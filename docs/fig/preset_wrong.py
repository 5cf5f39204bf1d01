"""A style weight for means of G, carried over to the units of neural-style the right way and the wrong way."""

import numpy as np
from matplotlib import pyplot as plt

import handstyle
from fig.common import command, network, painting, photograph, save, show
from handstyle.painting.config import StyleConfig
from handstyle.painting.feature_scale import match_features
from handstyle.painting.normalizations import STYLE, Place, carry_over
from tests.mutants.catalogue import weight_carried_the_wrong_way

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
WEIGHT = 0.1


def main(out, quick=True):
    """Draw the figure to `out`."""
    width, n = (144, 25) if quick else (512, 300)
    photo, art = photograph(width * 3 // 4, width), painting(width * 3 // 4, width)
    net, _ = match_features(network("float32"), "vgg19")
    sizes = {layer.name.replace("conv", "relu"): layer.b.size for layer in net.layers if layer.name.startswith("conv")}
    config = {"size": width, "pyramid_min_size": 0, "iterations": n, "content_weight": 1e4, "tv_weight": 0.0}
    config |= {"content_normalization": "mean", "style_layers": TAPS}
    runs = {"its own units": StyleConfig(style_normalization="mean", style_weight=WEIGHT, **config)}
    for name, carry in (("carried over", carry_over), ("the wrong way", weight_carried_the_wrong_way)):
        each = tuple(carry(1.0, STYLE, "mean", "neural-style", Place(sizes[tap], 1, 1)) for tap in TAPS)
        runs[name] = StyleConfig(
            style_normalization="neural-style", style_weight=WEIGHT, style_layer_weights=each, **config
        )
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 2.2), layout="constrained")
    for panel, (name, settings) in zip(axes, runs.items(), strict=True):
        result = handstyle.stylize(photo, art, network=net, config=settings)
        show(panel, np.asarray(result.array), name)
    save(figure, out)


if __name__ == "__main__":
    command(main)
