"""Losses of the picture as CUDA kernels, under the contract of the readable ones.

The losses at the taps are products of matrices, which cuBLAS has already. Total variation is a dozen passes over
the picture as it is written in ``losses/total_variation.py``; as a kernel it is one, value and gradient together.
"""

import numpy as np

from handstyle.foundations.backend import Array, scalar
from handstyle.kernels.cuda import Device

BLOCK = (32, 8)  # values along a row, rows; see variation.cu
REACH = 4  # channels at most


def total_variation(device: Device, p: Array) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return what `handstyle.losses.total_variation.total_variation` does, for a picture on a device.

    Parameters
    ----------
    device : Device
        Where `p` is.
    p : (H, W, C) array of float32 or float64
        The picture, of at most four channels.

    Returns
    -------
    value : float
        Squares and sums are in float64, a share for each block of threads, then added up.
    dp : (H, W, C) array

    Raises
    ------
    ValueError
        If there are more channels.
    """
    H, W, C = p.shape
    if C > REACH:
        raise ValueError(f"total variation: {C} channels, the kernel has room for {REACH}")
    p = device.xp.ascontiguousarray(p)
    grid = -(-W * C // BLOCK[0]), -(-H // BLOCK[1])
    dp, energy = device.empty(p.shape, p.dtype), device.empty(grid[::-1], np.float64)
    n = max((H - 1) * W * C + H * (W - 1) * C, 1)
    device.launch("variation", grid, BLOCK, p, dp, energy, H, W, C, p.dtype.type(2 / n), dtype=p.dtype)
    return scalar(energy.sum()) / n, dp
