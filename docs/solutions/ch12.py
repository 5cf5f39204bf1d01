"""Solutions to chapter 12."""

import numpy as np

from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.optimize.objective import evaluate


def cosine_content(f, target):  # (h, w, C), (h, w, C) -> value, (h, w, C)
    """Return one minus the cosine of two feature maps, and its gradient at `f`."""
    length, other = np.sqrt((f * f).sum()), np.sqrt((target * target).sum())
    cosine = (f * target).sum() / (length * other)
    return 1 - cosine, (cosine * f / length - target / other) / length


def blindness(network, photo, delta, tap):  # (H, W, 3), (H, W, 3) -> float
    """Return how much of a small change of the picture arrives at a layer."""
    small = delta / 1000
    x = preprocess_forward(photo, network.convention)
    term = ContentTerm(tap, network.forward(x, [tap])[0][tap])
    values, _ = evaluate(network, [term], photo + small)
    return float(values[0]) / ((small**2).sum() / (x**2).sum())
