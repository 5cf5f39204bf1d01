"""Solutions to chapter 8. The tests that hold them grade a reader's file too."""

import numpy as np


def shared_max_backward(dy, x):  # (h, w, C), (2h, 2w, C) -> (2h, 2w, C)
    """Return the gradient of a maximum pool whose ties share equally."""
    h, w, C = dy.shape
    blocks = x.reshape(h, 2, w, 2, C)
    winners = blocks == blocks.max(axis=(1, 3), keepdims=True)
    part = dy[:, None, :, None] / winners.sum(axis=(1, 3), keepdims=True)
    return (winners * part).reshape(x.shape)


def root_pool_forward(x):  # (2h, 2w, C) -> (h, w, C), cache
    """Return the root of the mean square of each 2x2 block."""
    H, W, C = x.shape
    y = np.sqrt((x.reshape(H // 2, 2, W // 2, 2, C) ** 2).mean(axis=(1, 3)))
    return y, (x, y)


def root_pool_backward(dy, cache):  # (h, w, C), cache -> (2h, 2w, C)
    """Return the gradient at the input; zero where a block is all zeros."""
    x, y = cache
    part = np.divide(dy, 4 * y, out=np.zeros_like(dy), where=y > 0)
    return x * np.repeat(np.repeat(part, 2, axis=0), 2, axis=1)
