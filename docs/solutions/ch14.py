"""Solutions to chapter 14."""

import numpy as np

from handstyle.losses.total_variation import differences_backward, differences_forward


def huber_variation(p, width):  # (H, W, C) -> value, (H, W, C)
    """Return the sum of Huber's function over all differences, and its gradient."""
    differences = differences_forward(p)
    value = 0.0
    for d in differences:
        size = abs(d)
        value += np.where(size <= width, d * d / (2 * width), size - width / 2).sum()
    return value, differences_backward(*(np.clip(d / width, -1, 1) for d in differences))


def diagonal_variation(p):  # (H, W, C) -> value, (H, W, C)
    """Return the sum of squared diagonal differences, and its gradient."""
    falling = p[1:, 1:] - p[:-1, :-1]
    rising = p[1:, :-1] - p[:-1, 1:]
    dp = np.zeros_like(p)
    dp[1:, 1:] += 2 * falling
    dp[:-1, :-1] -= 2 * falling
    dp[1:, :-1] += 2 * rising
    dp[:-1, 1:] -= 2 * rising
    return (falling**2).sum() + (rising**2).sum(), dp
