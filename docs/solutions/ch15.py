"""Solutions to chapter 15."""

import numpy as np

from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.regions import carry_mask


def carried(mask, steps):  # (H, W) -> (h, w)
    """Return how much of what each value sees lies in the mask."""

    def window_sum(m):
        padded = np.pad(m, 1)
        H, W = m.shape
        return sum(padded[i : i + H, j : j + W] for i in range(3) for j in range(3))

    m = mask
    for step in steps:
        if step == "conv":
            m = window_sum(m) / window_sum(np.ones_like(m))
        else:
            h, w = m.shape[0] // 2, m.shape[1] // 2
            m = m[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean(axis=(1, 3))
    return m


def region_terms(network, painting, mask, weight, taps, name):
    """Return the style terms of a region."""
    x = preprocess_forward(painting, network.convention)
    features, _ = network.forward(x, taps)
    masks = carry_mask(network.layers, mask, taps)
    return [
        StyleTerm(
            tap,
            moments_forward(features[tap]),
            weight * mask.mean(),
            mask=masks[tap],
            name=f"{name} {tap}",
        )
        for tap in taps
    ]
