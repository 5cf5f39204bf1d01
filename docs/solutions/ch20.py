"""Solutions to chapter 20. The tests that hold them grade a reader's file too."""

import numpy as np


def strip_rows(H, W, C, budget):  # -> even number of lines
    """Return the largest even number of lines whose lowered matrix fits."""
    fitting = budget // (4 * 9 * W * C) // 2 * 2
    return max(2, min(fitting, -(-H // 2) * 2))


def width_forward(x, w, b):  # (H, W, C), (3, 3, C, K), (K,) -> (H, W, K)
    """Convolve by three products of a matrix lowered in width only."""
    H, W, C = x.shape
    xpad = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    lines = np.concatenate([xpad[:, j : j + W] for j in range(3)], axis=2)
    y = sum(lines[i : i + H].reshape(H * W, 3 * C) @ w[i].reshape(3 * C, -1) for i in range(3))
    return (y + b).reshape(H, W, -1)
