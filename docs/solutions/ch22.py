"""Solutions to chapter 22. The tests that hold them grade a reader's file too."""

import numpy as np


def average_stage_forward(z):  # (H, W, K) -> (H/2, W/2, K), (bits, shape)
    """Rectify and average blocks of four; keep one bit a value."""
    H, W, K = z.shape
    y = np.maximum(z, 0).reshape(H // 2, 2, W // 2, 2, K).mean(axis=(1, 3))
    return y, (np.packbits((z > 0).reshape(H, -1), axis=1), z.shape)


def average_stage_backward(dy, cache):  # (H/2, W/2, K), (bits, shape) -> (H, W, K)
    """Spread a quarter of each gradient, and mask."""
    bits, (H, W, K) = cache
    mask = np.unpackbits(bits, axis=1, count=W * K).reshape(H, W, K)
    return dy.repeat(2, axis=0).repeat(2, axis=1) / 4 * mask


def stage_bytes(H, W, C, K, fused):  # -> bytes moved
    """Return the bytes that a layer with all that follows it moves."""
    n = H * W * K
    read = 4 * (H * W * C + 9 * C * K)
    return read + (n + n / 8 if fused else 30.25 * n)
