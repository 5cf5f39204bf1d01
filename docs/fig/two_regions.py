"""The closing picture: a portrait, two styles by mask, and a head that belongs to neither."""

import numpy as np
from matplotlib import pyplot as plt
from pictures.scenes import flow_painting, portrait_masks, portrait_scene

from fig.common import command, kept, network, painting, save, show
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask, share_overlaps, uncovered
from handstyle.losses.terms import PICTURE
from handstyle.losses.total_variation import VariationTerm
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def region_terms(net, art, mask, weight, name):
    """Return the style terms of one region: targets of `art`, masks carried to each layer, weight by area."""
    features, _ = net.forward(preprocess_forward(art.astype(net.dtype), net.convention), TAPS)
    carried = carry_mask(net.layers, mask, TAPS)
    return [
        StyleTerm(
            tap,
            moments_forward(features[tap]),
            weight * mask.mean(),
            mask=carried[tap].astype(net.dtype),
            name=f"{name} {tap}",
        )
        for tap in TAPS
    ]


def main(out, quick=True):
    """Draw the figure to `out`."""
    height, width = 288, 216
    net, photo = network("float32"), portrait_scene(height, width).astype(np.float64)
    parts = portrait_masks(height, width)
    masks = share_overlaps([parts[name].astype(np.float64) for name in ("background", "clothes")])
    first, second = painting(256, 256), kept(flow_painting, 256, 256, 3)[..., ::-1].astype(np.float64)
    wanted, _ = net.forward(preprocess_forward(photo.astype(net.dtype), net.convention), ["relu4_1"])
    terms = [
        *region_terms(net, first, masks[0], 30.0, "garden"),
        *region_terms(net, second, masks[1], 30.0, "clothes"),
        ContentTerm("relu4_1", wanted["relu4_1"], 2.0),
        ContentTerm(PICTURE, photo.astype(net.dtype), 30.0, mask=uncovered(masks)[..., None].astype(net.dtype)),
        VariationTerm(1e-3),
    ]
    outcome = minimize_lbfgsb(Objective(net, terms, photo.shape), photo.ravel(), 40 if quick else 500)
    figure, axes = plt.subplots(1, 3, figsize=(7.2, 4.1), layout="constrained", width_ratios=(1, 0.44, 1))
    show(axes[0], photo, "the photograph")
    show(axes[1], np.concatenate([first[:, :170], second[:, :170]]), "the paintings")
    show(axes[2], outcome.v.reshape(photo.shape), "two styles, head in neither")
    save(figure, out)


if __name__ == "__main__":
    command(main)
