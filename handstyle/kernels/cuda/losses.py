"""Compute losses by CUDA kernels: value and gradient in one pass, without making the host wait.

A loss written with CuPy is a dozen operations on whole maps, each a kernel that reads and writes memory. Here a loss is
one kernel, in which each block of threads writes a partial sum of the value, and a second kernel, which adds the
partial sums. Matrix products are by cuBLAS.
"""

import math
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import Convention, channel_order
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.gradients import has_plain_moments
from handstyle.kernels.patches import measure_map
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, MomentsTerm, StyleTerm, check_channels
from handstyle.losses.total_variation import VariationTerm, neighbor_pairs
from handstyle.losses.total_variation import total_variation as readable_variation

BLOCK = 256  # threads; see sum.cuh
BLOCKS = 1024  # at most, of a pass over a map: enough to fill a GPU, few enough partial sums for one block to add
TILE = (32, 8)  # values along a row, rows; see variation.cu
REACH = 4  # channels at most, of the kernel for total variation
PAIRS = (16, 16)  # entries of a Gram matrix that a block computes
# Pixels whose products are summed in the features' dtype, before the sums are added in float64. Strips can be long,
# because cuBLAS divides a long sum itself, and each strip is a launch.
STRIP_PIXELS = 1 << 17
STRIP_BYTES = 1 << 24  # strip of features whose gradient is computed at a time, and stays cached


def preprocess(xp: Any, p: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the network's input for a picture, as `preprocess_forward` does.

    See Also
    --------
    preprocess_adjoint : Its adjoint.

    Examples
    --------
    >>> from handstyle.foundations.image import CONVENTIONS, preprocess_forward
    >>> p = np.array([[[255.0, 128.0, 0.0]]])
    >>> np.array_equal(preprocess(np, p, CONVENTIONS["caffe"]), preprocess_forward(p, CONVENTIONS["caffe"]))
    True
    """
    # channel by channel: a CUDA graph cannot capture the upload of an array of means
    x: Array = xp.empty(p.shape, p.dtype)
    channels = zip(channel_order(convention), convention.mean, convention.std, strict=True)
    for i, (channel, mean, std) in enumerate(channels):
        x[..., i] = (p[..., channel] * (convention.scale / 255.0) - mean) / std
    return x


def preprocess_adjoint(xp: Any, dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the gradient at the picture from that at the network's input, as `preprocess_backward` does.

    See Also
    --------
    preprocess : The forward function.

    Examples
    --------
    >>> from handstyle.foundations.image import CONVENTIONS
    >>> preprocess_adjoint(np, np.array([[[1.0, 2.0, 3.0]]]), CONVENTIONS["caffe"])  # from BGR
    array([[[3., 2., 1.]]])
    """
    dp: Array = xp.empty(dx.shape, dx.dtype)
    for i, (channel, std) in enumerate(zip(channel_order(convention), convention.std, strict=True)):
        dp[..., channel] = dx[..., i] / std * (convention.scale / 255.0)
    return dp


def gradient_of(device: Device, term: Any, f: Array, overwrite: bool) -> tuple[Array, Array]:
    """Return the weighted value and the weighted gradient of a term, by CUDA kernels if its class has them.

    Parameters
    ----------
    device : Device
        The device of `f`.
    term : Term
        A term of any class. If there is no kernel for the class, its methods `measure`, `loss` and `spread` are called.
    f : (h, w, C) array
        The term's features, or the picture.
    overwrite : bool
        Whether the gradient may be written over `f`.

    Returns
    -------
    (() array of float64, (h, w, C) array)
        Value and gradient, on the device.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> from handstyle.losses.total_variation import absolute_variation
    >>> term = VariationTerm(2.0, function=absolute_variation)  # there is no kernel for this one
    >>> value, dp = gradient_of(DryDevice(), term, np.array([[[1.0], [4.0]]]), overwrite=False)
    >>> float(value), dp.ravel()  # twice the difference of 3, and its slope
    (6.0, array([-2.,  2.]))
    """
    weight, kind = float(term.weight), type(term)
    if kind is ContentTerm and f.shape == term.target.shape:
        return content(device, f, term, weight)
    if kind is VariationTerm and term.function is readable_variation and f.shape[2] <= REACH:
        return total_variation(device, f, weight * term.stretch, weight * term.in_value)
    if has_plain_moments(term):
        return moments_gradient(device, f, term, weight, overwrite)
    value, ds = term.loss(measure_map(term, f))
    return weight * value, weight * term.spread(ds, f)


def total_variation(  # (H, W, C) -> (), (H, W, C)
    device: Device, p: Array, factor: float = 1.0, value_factor: float | None = None
) -> tuple[Array, Array]:
    """Return the total variation of a picture and its gradient, each times a factor.

    Parameters
    ----------
    device : Device
        The device of `p`.
    p : (H, W, C) array of float32 or float64
        The picture, of at most four channels.
    factor : float
        Factor of the gradient.
    value_factor : float, optional
        Factor of the value; by default `factor`.

    Returns
    -------
    value : () array of float64
        The value, of which squares and sums are in float64.
    dp : (H, W, C) array

    Raises
    ------
    ValueError
        If there are more than four channels.

    See Also
    --------
    handstyle.losses.total_variation.total_variation : The same in NumPy.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> device = DryDevice()
    >>> value, dp = total_variation(device, np.zeros((16, 64, 3), np.float32))
    >>> dp.shape, [request.size for request in device.requests]  # gradient, a sum for each of 2 x 6 blocks, value
    ((16, 64, 3), [12288, 512, 512])
    """
    H, W, C = p.shape
    if C > REACH:
        raise ValueError(f"total variation: {C} channels, the kernel has room for {REACH}")
    p = device.xp.ascontiguousarray(p)
    grid = -(-W * C // TILE[0]), -(-H // TILE[1])
    dp, energy = device.empty(p.shape, p.dtype), device.empty((math.prod(grid),), np.float64)
    n = neighbor_pairs(p.shape)
    device.launch("variation", grid, TILE, p, dp, energy, H, W, C, p.dtype.type(factor * 2 / n), dtype=p.dtype)
    return _total(device, energy, (factor if value_factor is None else value_factor) / n, p.dtype), dp


def content(device: Device, f: Array, term: ContentTerm, factor: float = 1.0) -> tuple[Array, Array]:
    # (h, w, C) -> (), (h, w, C)
    """Return the value and the gradient of a content term, each times `factor`.

    Parameters
    ----------
    device : Device
        The device of the arrays.
    f : (h, w, C) array
        Features.
    term : ContentTerm
        The term; its target must have the shape of `f`.
    factor : float
        Factor of value and gradient.

    Returns
    -------
    (() array of float64, (h, w, C) array)

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> device, f = DryDevice(), np.zeros((16, 16, 64), np.float32)
    >>> value, df = content(device, f, ContentTerm("relu1_1", f, scale=1.0))
    >>> df.shape, [request.size for request in device.requests]  # gradient, a sum for each of 64 blocks, value
    ((16, 16, 64), [65536, 512, 512])
    """
    contiguous, real, scale = device.xp.ascontiguousarray, f.dtype.type, factor * term.factor
    q = None if term.mask is None else contiguous(term.mask.astype(f.dtype, copy=False))
    df = device.empty(f.shape, f.dtype)
    blocks = min(BLOCKS, -(-f.size // BLOCK))
    energy = device.empty((blocks,), np.float64)
    arguments = contiguous(f), contiguous(term.target.astype(f.dtype, copy=False)), q, df, energy, f.shape[2]
    device.launch("content", (blocks,), (BLOCK,), *arguments, real(2 * scale), np.uint64(f.size), dtype=f.dtype)
    return _total(device, energy, scale, f.dtype), df


def moments_gradient(
    device: Device, f: Array, term: Any, factor: float = 1.0, overwrite: bool = False
) -> tuple[Array, Array]:  # (h, w, C) -> (), (h, w, C)
    """Return the value and the gradient of a term of moments, each times `factor`.

    Parameters
    ----------
    device : Device
        The device of the arrays.
    f : (h, w, C) array
        Features.
    term : MomentsTerm
        The term. The loss of a `StyleTerm` is computed by a kernel, that of another by its own method.
    factor : float
        Factor of value and gradient.
    overwrite : bool
        Whether the gradient may be written over `f`.

    Returns
    -------
    (() array of float64, (h, w, C) array)

    Raises
    ------
    HandstyleError
        If the number of channels of the target is not that of `f`.

    Notes
    -----
    The Gram matrix is computed in true float32 even if the device's precision is TF32: factors of ten bits would make
    the value inexact, and a line search fails if value and gradient do not match. The product for the gradient has the
    device's precision, like those of the layers.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> device, f = DryDevice(), np.zeros((16, 16, 64), np.float32)
    >>> target = Moments(1.0, np.zeros(64), np.eye(64))
    >>> value, df = moments_gradient(device, f, StyleTerm("relu1_1", target, scale=1.0))
    >>> [request.size for request in device.requests]  # Gram matrix, gradient at it, 4 x 4 sums, value, gradient at f
    [16384, 16384, 512, 512, 65536]
    """
    C, xp = f.shape[2], device.xp
    count = float(f.shape[0] * f.shape[1]) if term.mask is None or term.counts_all else term.mask_sum
    F, q, parts = _products(device, f, term)
    dsums = None
    if type(term) is StyleTerm:
        check_channels(C, len(term.target.outer))
        grid, scale = (-(-C // PAIRS[0]), -(-C // PAIRS[1])), factor * term.factor
        dG, energy = device.empty((C, C), f.dtype), device.empty((math.prod(grid),), np.float64)
        mean = term.target.outer / term.target.count
        numbers = np.float64(1 / count), np.float64(2 * scale / count)
        device.launch("style", grid, PAIRS, parts, mean, dG, energy, len(parts), C, *numbers, dtype=f.dtype)
        value = _total(device, energy, scale, f.dtype)
    else:
        sums = (F if q is None else q * F).sum(axis=0, dtype=xp.float64)
        loss, ds = term.loss(Moments(count, sums, parts.sum(axis=0, dtype=xp.float64)))
        value, outer, dsums = factor * loss, factor * ds.outer, (factor * ds.sums).astype(f.dtype)
        dG = (outer + outer.T).astype(f.dtype)
    return value, _spread(device, F, dG, dsums, q, overwrite).reshape(f.shape)


def _products(device: Device, f: Array, term: MomentsTerm) -> tuple[Array, Array | None, Array]:
    """Return features as rows, their mask as a column, and ``Fᵀ F`` of each strip of pixels, in true float32."""
    C = f.shape[2]
    F = device.xp.ascontiguousarray(f).reshape(-1, C)
    q = None if term.mask is None else term.mask.reshape(-1, 1).astype(f.dtype, copy=False)
    strips = [slice(a, a + STRIP_PIXELS) for a in range(0, len(F), STRIP_PIXELS)]
    parts = device.empty((len(strips), C, C), f.dtype)
    for part, strip in zip(parts, strips, strict=True):
        weighted = F[strip] if q is None else q[strip] * F[strip]
        device.gemm(weighted.T, F[strip], part, true=True)
    return F, q, parts


def _spread(device: Device, F: Array, dG: Array, dsums: Array | None, q: Array | None, overwrite: bool) -> Array:
    """Compute ``(F dG + dsums) q`` a strip of pixels at a time; with `overwrite` the result is written over `F`."""
    xp, C = device.xp, F.shape[1]
    dF = F if overwrite else device.empty(F.shape, F.dtype)
    rows = max(1, STRIP_BYTES // (C * F.itemsize))
    buffer = device.empty((min(rows, len(F)), C), F.dtype) if overwrite else None
    for a in range(0, len(F), rows):
        part, df = F[a : a + rows], dF[a : a + rows]
        out = df if buffer is None else buffer[: len(part)]
        device.gemm(part, dG, out)
        if dsums is not None:
            out += dsums
        if q is not None:
            xp.multiply(out, q[a : a + rows], out=df)
        elif buffer is not None:
            device.copy(out, df)
    return dF


def _total(device: Device, shares: Array, scale: float, dtype: object) -> Array:
    value = device.empty((), np.float64)
    device.launch("total", (1,), (BLOCK,), shares, value, shares.size, np.float64(scale), dtype=np.dtype(dtype))  # type: ignore[call-overload]
    return value
