"""Solutions to chapter 7. The tests that hold them grade a reader's file too."""

import numpy as np


def leaky_forward(x):  # (...) -> (...), (...) bool
    """Return `x` where it is positive and a hundredth of it elsewhere, and where it was positive."""
    return np.where(x > 0, x, 0.01 * x), x > 0


def leaky_backward(dy, cache):  # (...), (...) bool -> (...)
    """Return the gradient at the input."""
    return np.where(cache, dy, 0.01 * dy)


def packed_forward(x):  # (...) -> (...), (ceil(n/8),) uint8
    """Return ``max(x, 0)`` and the mask of positive inputs, eight to a byte."""
    return np.maximum(x, 0), np.packbits(x > 0)


def packed_backward(dy, bits):  # (...), (ceil(n/8),) uint8 -> (...)
    """Return `dy` where the bit is set, zero elsewhere."""
    mask = np.unpackbits(bits, count=dy.size).astype(bool)
    return np.where(mask.reshape(dy.shape), dy, 0)
