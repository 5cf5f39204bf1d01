"""Losses as CUDA kernels, under the contracts of the readable ones: value and gradient in one pass, no wait.

A readable loss is a dozen operations on whole maps, each a kernel that is started, reads and writes. Here a loss is one
kernel, whose blocks leave their shares of the value, and one that adds the shares up. Products of matrices are
cuBLAS's.
"""

import math
from functools import partial

import numpy as np

from handstyle.foundations.backend import Array, scalar
from handstyle.kernels.cpu.threads import DEVICE_PIXELS
from handstyle.kernels.cuda.device import Device
from handstyle.losses import content
from handstyle.losses import gram as style
from handstyle.losses import total_variation as variation
from handstyle.losses.content import check_target, relative_scale
from handstyle.losses.gram import Moments, check_moments, gram_scale
from handstyle.optimize.terms import Kernels

BLOCK = 256  # threads; see sum.cuh
BLOCKS = 1024  # at most, of a pass over a map: enough to fill a GPU, few enough shares to be added up at once
TILE = (32, 8)  # values along a row, rows; see variation.cu
REACH = 4  # channels at most
PAIRS = (16, 16)  # channels of a block of a Gram matrix
STRIP_BYTES = 1 << 24  # of features whose gradient is made at a time: it stays in the cache until it is written back


def kernels(device: Device) -> Kernels:
    """Return the losses of this file, on a device, by the readable ones they stand for."""
    pairs: Kernels = {
        content.content_loss: content_loss,
        style.gram_loss: gram_loss,
        variation.total_variation: total_variation,
    }
    return {readable: partial(kernel, device) for readable, kernel in pairs.items()}


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
    grid = -(-W * C // TILE[0]), -(-H // TILE[1])
    dp, energy = device.empty(p.shape, p.dtype), device.empty((math.prod(grid),), np.float64)
    n = max((H - 1) * W * C + H * (W - 1) * C, 1)
    device.launch("variation", grid, TILE, p, dp, energy, H, W, C, p.dtype.type(2 / n), dtype=p.dtype)
    return _total(device, energy, 1 / n, p.dtype), dp


def content_loss(  # (h, w, C), (h, w, C) -> value, (h, w, C)
    device: Device,
    f: Array,
    target: Array,
    scale: float | None = None,
    weight: Array | None = None,
    factor: float = 1.0,
) -> tuple[float, Array]:
    """Return what `handstyle.losses.content.content_loss` does, for features on a device.

    Parameters
    ----------
    device : Device
        Where the arrays are.
    f, target, scale, weight, factor
        As there; `f` and `target` contiguous.

    Returns
    -------
    value : float
    df : (h, w, C) array

    Raises
    ------
    HandstyleError
        If the shapes differ, or the target is zero everywhere.
    """
    check_target(f, target)
    scale = relative_scale(target, weight) if scale is None else float(scale)
    contiguous, real = device.xp.ascontiguousarray, f.dtype.type
    q = None if weight is None else contiguous(weight.astype(f.dtype, copy=False))
    df = device.empty(f.shape, f.dtype)
    blocks = min(BLOCKS, -(-f.size // BLOCK))
    energy = device.empty((blocks,), np.float64)
    arguments = contiguous(f), contiguous(target.astype(f.dtype, copy=False)), q, df, energy, f.shape[2]
    device.launch(
        "content", (blocks,), (BLOCK,), *arguments, real(2 * scale * factor), np.uint64(f.size), dtype=f.dtype
    )
    return _total(device, energy, scale, f.dtype), df


def gram_loss(  # (h, w, C), Moments -> value, (h, w, C)
    device: Device,
    f: Array,
    target: Moments,
    scale: float | None = None,
    weight: Array | None = None,
    factor: float = 1.0,
    count: float | None = None,
    spare: bool = False,
) -> tuple[float, Array]:
    """Return what `handstyle.losses.gram.gram_loss` does, for features on a device.

    Parameters
    ----------
    device : Device
        Where the arrays are.
    f, target, scale, weight, factor, count, spare
        As there.

    Returns
    -------
    value : float
    df : (h, w, C) array
        `f` itself, written over, if it is `spare`.

    Raises
    ------
    HandstyleError
        If the widths differ, no pixel counts, or the target is zero.

    Notes
    -----
    The matrix is summed in true float32 whatever the device's precision: what factors of ten bits lose there is lost
    to the value, and a value that does not fit its gradient breaks a line search. The gradient's product has the
    device's precision, as the layers' have.
    """
    xp, C = device.xp, f.shape[2]
    F = xp.ascontiguousarray(f).reshape(-1, C)
    q = None if weight is None else weight.reshape(-1, 1).astype(f.dtype, copy=False)
    if count is None:
        count = float(len(F)) if q is None else float(q.sum(dtype=xp.float64))
    check_moments(count, C, target)
    scale = gram_scale(target) if scale is None else scale
    strips = [slice(a, a + DEVICE_PIXELS) for a in range(0, len(F), DEVICE_PIXELS)]
    parts = device.empty((len(strips), C, C), f.dtype)
    for part, strip in zip(parts, strips, strict=True):
        weighted = F[strip] if q is None else q[strip] * F[strip]
        device.gemm(weighted.T, F[strip], part, true=True)
    grid = -(-C // PAIRS[0]), -(-C // PAIRS[1])
    dG, energy = device.empty((C, C), f.dtype), device.empty((math.prod(grid),), np.float64)
    mean = target.outer / target.count
    numbers = np.float64(1 / count), np.float64(2 * scale * factor / count)
    device.launch("style", grid, PAIRS, parts, mean, dG, energy, len(strips), C, *numbers, dtype=f.dtype)
    value = _total(device, energy, scale, f.dtype)
    dF = F if spare else device.empty(F.shape, f.dtype)
    rows = max(1, STRIP_BYTES // (C * f.itemsize))
    room = device.empty((min(rows, len(F)), C), f.dtype) if spare else None
    for a in range(0, len(F), rows):
        part, df = F[a : a + rows], dF[a : a + rows]
        out = df if room is None else room[: len(part)]
        device.gemm(part, dG, out)
        if q is not None:
            xp.multiply(out, q[a : a + rows], out=df)
        elif room is not None:
            device.copy(out, df)
    return value, dF.reshape(f.shape)


def _total(device: Device, shares: Array, scale: float, dtype: object) -> float:
    value = device.empty((), np.float64)
    device.launch("total", (1,), (BLOCK,), shares, value, shares.size, np.float64(scale), dtype=np.dtype(dtype))  # type: ignore[call-overload]
    return scalar(value)
