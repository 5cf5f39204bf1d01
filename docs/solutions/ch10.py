"""Solutions to chapter 10. The tests that hold them grade a reader's file too."""

import numpy as np


def receptive_fields(counts):  # convolutions of each block -> {name: (field, stride)}
    """Return what one number of each rectified layer sees, and how far apart neighbors look, in pixels."""
    found, field, stride = {}, 1, 1
    for block, count in enumerate(counts, 1):
        for i in range(1, count + 1):
            field += 2 * stride
            found[f"relu{block}_{i}"] = field, stride
        field, stride = field + stride, 2 * stride
    return found


def width_of(g):  # (H, W) -> pixels
    """Return the standard deviation of the row under the weights ``|g|``."""
    weight = np.abs(g).sum(axis=1)
    rows = np.arange(len(weight))
    mean = (weight * rows).sum() / weight.sum()
    return float(np.sqrt((weight * (rows - mean) ** 2).sum() / weight.sum()))
