"""Bias, rectifier, pooling and their adjoints, applied to a strip of a feature map while it is in the cache.

A convolution reads its input from a *source* and writes its output, strip by strip, to a *sink*. Sources and sinks do
what the reference does in separate passes over memory: the rectifier, pooling, the masks of both in the backward pass,
and the addition of gradients at taps.

Rectifier and pooling share one mechanism. Both let a gradient through at some values and stop it at others, so both
keep one bit for each value: whether the rectified value is positive and, under a max pool, also the first of the
largest in its block. The adjoint of pooling is then *spread and mask*: each pooled gradient is copied to its four
pixels, and set to zero where the bit is 0. A mask is applied by bitwise AND, with a table that turns each byte into
eight masks.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import Arena, scratch
from handstyle.kernels.cpu.losses import MomentsGradient
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team

ROWS = 8  # rows of a strip by default: even, so that it holds whole pooling blocks


def rectify(x: Array, out: Array) -> None:
    """Write the rectified values of `x` to `out`.

    Examples
    --------
    >>> y = np.empty(3)
    >>> rectify(np.array([-1.0, 0.0, 2.0]), out=y)
    >>> y.tolist()
    [0.0, 0.0, 2.0]
    """
    np.clip(x, 0, np.inf, out=out)  # vectorized, which `np.maximum` with a number is not


def pack_bits(positive: Array) -> Array:  # bool (rows, columns, K) -> uint8 (rows, ceil(columns K / 8))
    """Pack eight booleans into a byte; each row starts a new byte, so that strips of rows can be written separately.

    Examples
    --------
    >>> positive = np.array([[[True, False, True, True, False, False, False, True]]])
    >>> pack_bits(positive).tolist(), 0b10110001
    ([[177]], 177)
    """
    return np.packbits(positive.reshape(len(positive), -1), axis=1)  # book: fused-bits


def bits_shape(shape: tuple[int, int, int]) -> tuple[int, int]:  # (H, W, K) -> shape of its bits
    """Return the shape of the packed bits of a map, one bit for each value.

    Examples
    --------
    >>> bits_shape((2, 3, 8)), bits_shape((2, 3, 5))  # 24 and 15 bits in a row
    ((2, 3), (2, 2))
    """
    return shape[0], ceil_div(shape[1] * shape[2], 8)


@cache
def _bytes_to_masks(dtype: np.dtype[Any]) -> Array:  # (256, 8): byte -> eight integers, all ones where its bit is set
    table = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(f"i{dtype.itemsize}")
    return -table


def byte_columns(x: slice, K: int) -> slice:
    """Return which bytes of a row of packed bits hold the bits of the picture columns `x`, with K channels each.

    Examples
    --------
    >>> byte_columns(slice(2, 4), K=16)
    slice(4, 8, None)
    """
    return slice(x.start * K // 8, ceil_div(x.stop * K, 8))


def unpack_masks(bits: Array, y: slice, x: slice, K: int, dtype: np.dtype[Any]) -> Array:  # -> (rows, columns, K)
    """Unpack the bits at ``[y, x]`` of a map to integers as wide as `dtype`: -1 (all bits one) for 1, and 0 for 0.

    Examples
    --------
    >>> bits = np.array([[0b10100000]], np.uint8)
    >>> unpack_masks(bits, slice(0, 1), slice(0, 1), 4, np.dtype("float32")).tolist()
    [[[-1, 0, -1, 0]]]
    """
    packed = bits[y, byte_columns(x, K)]
    table = _bytes_to_masks(dtype)
    masks = scratch.take("masks", (*packed.shape, 8), table.dtype)
    np.take(table, packed, axis=0, mode="clip", out=masks)
    columns = x.stop - x.start
    return masks.reshape(len(packed), -1)[:, : columns * K].reshape(len(packed), columns, K)


def clear_masked(values: Array, bits: Array, y: slice, x: slice, out: Array) -> None:  # (rows, columns, K)
    """Write `values` to `out`, with zeros where the bit of the map at ``[y, x]`` is 0.

    Examples
    --------
    >>> bits, dx = np.array([[0b10100000]], np.uint8), np.empty((1, 1, 4), np.float32)
    >>> clear_masked(np.full((1, 1, 4), 3.0, np.float32), bits, slice(0, 1), slice(0, 1), out=dx)
    >>> dx.ravel().tolist()
    [3.0, 0.0, 3.0, 0.0]
    """
    masks = unpack_masks(bits, y, x, values.shape[2], values.dtype)
    np.bitwise_and(values.view(masks.dtype), masks, out=out.view(masks.dtype))  # book: fused-and


@dataclass
class SpreadSource:
    """A source that computes the gradient at the input of rectifier and 2x2 pool from that at the pool's output.

    Parameters
    ----------
    pooled : (h, w, C) array
        The gradient at the pool's output.
    bits : (H, ceil(W C / 8)) uint8 array
        The mask of pool and rectifier together.
    shape : (H, W, C)
        The shape of the pool's input.
    share : float
        The factor of each gradient: 1 for a max pool, 1/4 for an average.
    tap_gradient : (H, W, C) array, optional
        The gradient of terms that measure the rectifier's output, which is added.
    tap_bits : uint8 array, optional
        The mask of the rectifier alone, for `tap_gradient`.

    Examples
    --------
    >>> bits = pack_bits(np.array([[[3], [1]], [[2], [-1]]]) > 0)  # an average pool passes all that is positive
    >>> source = SpreadSource(np.array([[[8.0]]]), bits, (2, 2, 1), share=0.25)
    >>> source.read(slice(0, 2), slice(0, 2))
    array([[2., 2.],
           [2., 0.]])
    """

    pooled: Array
    bits: Array
    shape: tuple[int, int, int]
    share: float = 1.0
    tap_gradient: Array | None = None
    tap_bits: Array | None = None

    def __post_init__(self) -> None:
        self.dtype = self.pooled.dtype

    def read(self, y: slice, x: slice) -> Array:
        """Return a part of the gradient; see `Source`.

        Examples
        --------
        >>> bits = pack_bits(np.array([[[0], [1]], [[0], [0]]]) > 0)  # the largest value is at the top right
        >>> source = SpreadSource(np.array([[[5.0]]]), bits, (2, 2, 1))
        >>> source.read(slice(0, 2), slice(0, 2)), source.read(slice(0, 1), slice(0, 2))
        (array([[0., 5.],
               [0., 0.]]), array([[0., 5.]]))
        """
        (H, W, C), (h, w, _) = self.shape, self.pooled.shape
        # Whole blocks are read, from an even row and column on, and cropped at the end.
        y2 = slice(y.start // 2 * 2, min(H, y.stop + y.stop % 2))
        x2 = slice(x.start // 2 * 2, min(W, x.stop + x.stop % 2))
        rows, columns = y2.stop - y2.start, x2.stop - x2.start
        spread = scratch.take("values", (rows, columns, C), self.dtype)
        masks = unpack_masks(self.bits, y2, x2, C, self.dtype)
        pooled = self.pooled[y2.start // 2 : min(h, y2.stop // 2), x2.start // 2 : min(w, x2.stop // 2)]
        if self.share != 1:
            pooled = np.multiply(pooled, self.share, out=scratch.take("pooled", pooled.shape, self.dtype))
        repeated = _repeat_columns(pooled)
        pairs, out = (_row_pairs(a, repeated.shape) for a in (masks, spread.view(masks.dtype)))
        np.bitwise_and(repeated.view(masks.dtype), pairs, out=out)
        spread[2 * len(pooled) :] = 0  # an odd last row or column, which pooling dropped
        spread[:, 2 * pooled.shape[1] :] = 0
        if self.tap_gradient is not None:
            assert self.tap_bits is not None
            tap_gradient = scratch.take("tap_gradient", spread.shape, self.dtype)
            clear_masked(self.tap_gradient[y2, x2], self.tap_bits, y2, x2, tap_gradient)
            spread += tap_gradient
        flat = spread.reshape(rows, columns * C)
        return flat[y.start - y2.start : y.stop - y2.start, (x.start - x2.start) * C : (x.stop - x2.start) * C]


def _repeat_columns(pooled: Array) -> Array:  # (h, w, K) -> (h, 1, 2w K): each value twice along the row
    h, w, K = pooled.shape
    repeated = scratch.take("wide", (h, w, 2, K), pooled.dtype)
    np.copyto(repeated, pooled[:, :, None])
    return repeated.reshape(h, 1, 2 * w * K)


def _row_pairs(a: Array, shape: tuple[int, ...]) -> Array:  # (2h, 2w, K), (h, 1, 2w K) -> (h, 2, 2w K)
    row, _, item = a.strides
    return as_strided(a, (shape[0], 2, shape[2]), (2 * row, row, item))


@dataclass
class RectifySink:
    """A sink that rectifies and stores; it also stores one bit for each value, unless `bits` is None.

    Examples
    --------
    >>> out = np.empty((1, 1, 2))
    >>> RectifySink(out, bits=None).write(slice(0, 1), slice(0, 1), np.array([[[1.0, -2.0]]]))
    >>> out.ravel()
    array([1., 0.])
    """

    out: Array  # (H, W, K)
    bits: Array | None

    def write(self, y: slice, x: slice, part: Array) -> None:
        """Rectify and store a part of the map; see `Sink`.

        Examples
        --------
        >>> out, bits = np.empty((1, 2, 2)), np.empty((1, 1), np.uint8)
        >>> RectifySink(out, bits).write(slice(0, 1), slice(0, 2), np.array([[[1.0, -2.0], [-3.0, 4.0]]]))
        >>> out.ravel(), f"{bits[0, 0]:08b}"
        (array([1., 0., 0., 4.]), '10010000')
        """
        K = part.shape[2]
        rectify(part, self.out[y, x])
        if self.bits is None:
            return
        positive = np.greater(part, 0, out=scratch.take("masks", part.shape, bool))
        self.bits[y, byte_columns(x, K)] = pack_bits(positive)


@dataclass
class RectifyPoolSink:
    """A sink that rectifies, pools 2x2 blocks, and stores the result and one bit for each value before pooling.

    The rectified map is stored only if `rectified` is given. An odd last row or column is dropped.

    Examples
    --------
    >>> out, bits = np.empty((1, 1, 1)), np.empty((2, 1), np.uint8)
    >>> part = np.array([[[1.0], [-2.0]], [[3.0], [2.0]]])
    >>> RectifyPoolSink(out, bits, average=True).write(slice(0, 2), slice(0, 2), part)
    >>> out.ravel()  # (1 + 0 + 3 + 2) / 4
    array([1.5])
    """

    out: Array  # (H // 2, W // 2, K)
    bits: Array  # of (H, W, K)
    average: bool = False
    rectified: RectifySink | None = None

    def write(self, y: slice, x: slice, part: Array) -> None:
        """Rectify, pool and store a part of the map; see `Sink`.

        Examples
        --------
        >>> out, bits = np.empty((1, 1, 1)), np.empty((2, 1), np.uint8)
        >>> part = np.array([[[1.0], [-2.0]], [[3.0], [2.0]]])
        >>> RectifyPoolSink(out, bits).write(slice(0, 2), slice(0, 2), part)
        >>> out.ravel(), [f"{row[0]:08b}" for row in bits]  # the largest is at the bottom left
        (array([3.]), ['00000000', '10000000'])
        """
        K = part.shape[2]
        if self.rectified is not None:
            self.rectified.write(y, x, part)
        rows, columns = len(part) // 2 * 2, part.shape[1] // 2 * 2
        passes = scratch.take("masks", part.shape, bool)
        passes[rows:] = passes[:, columns:] = False
        whole = part[:rows, :columns]
        pooled = self.out[y.start // 2 : y.start // 2 + rows // 2, x.start // 2 : x.start // 2 + columns // 2]
        if self.average:
            rectify(whole, whole)
            np.greater(whole, 0, out=passes[:rows, :columns])
            across = whole[:, 0::2] + whole[:, 1::2]
            np.add(across[0::2], across[1::2], out=pooled)
            pooled *= 0.25
        else:
            _pool_maxima(whole, pooled, passes[:rows, :columns])
        self.bits[y, byte_columns(x, K)] = pack_bits(passes)


def _pool_maxima(part: Array, out: Array, passes: Array) -> None:  # (2h, 2w, K), (h, w, K), bool (2h, 2w, K)
    h, w, K = out.shape
    row_maxima = scratch.take("values", (h, 2 * w, K), part.dtype)
    np.maximum(part[0::2], part[1::2], out=row_maxima)
    np.maximum(row_maxima[:, 0::2], row_maxima[:, 1::2], out=out)
    # A pixel is the maximum if it equals the pooled value. Where the largest is not positive, the threshold is a
    # positive number that no value equals.
    threshold = scratch.take("threshold", (h, w, K), part.dtype)
    np.clip(out, _smallest_positive(part.dtype), np.inf, out=threshold)
    rectify(out, out)
    repeated = _repeat_columns(threshold)
    np.equal(_row_pairs(part, repeated.shape), repeated, out=_row_pairs(passes, repeated.shape))
    if np.count_nonzero(passes) != np.count_nonzero(threshold > _smallest_positive(part.dtype)):
        _mark_first_maxima(part, out, passes)


@cache
def _smallest_positive(dtype: np.dtype[Any]) -> Any:
    return np.finfo(dtype).smallest_subnormal


def _mark_first_maxima(part: Array, out: Array, passes: Array) -> None:  # (2h, 2w, K), (h, w, K), bool (2h, 2w, K)
    # Columns first, then rows; a later value is chosen only if it is strictly larger. So of equal values the first in
    # reading order is chosen, as in the reference.
    left, right = part[:, 0::2], part[:, 1::2]
    to_right = right > left
    across = np.maximum(left, right)
    positive = out > 0
    in_lower = (across[1::2] > across[0::2]) & positive
    in_upper = positive ^ in_lower
    for i, row in enumerate((in_upper, in_lower)):
        np.logical_and(row, to_right[i::2], out=passes[i::2, 1::2])
        np.logical_xor(row, passes[i::2, 1::2], out=passes[i::2, 0::2])


@dataclass
class MaskSink:
    """A sink that adds the gradient of terms at this layer, applies the rectifier's mask, and stores.

    Without `tap_gradient` nothing is added. Without `bits` no mask is applied, as for the output of a pool.

    Examples
    --------
    >>> out, bits = np.empty((1, 2, 1)), pack_bits(np.array([[[True], [False]]]))
    >>> MaskSink(out, bits).write(slice(0, 1), slice(0, 2), np.array([[[1.0], [2.0]]]))
    >>> out.ravel()
    array([1., 0.])
    """

    out: Array
    bits: Array | None = None
    tap_gradient: Array | MomentsGradient | None = None

    def write(self, y: slice, x: slice, part: Array) -> None:
        """Add, mask and store a part of the gradient; see `Sink`.

        Examples
        --------
        >>> out, bits = np.empty((1, 2, 1)), pack_bits(np.array([[[True], [False]]]))
        >>> sink = MaskSink(out, bits, tap_gradient=np.array([[[10.0], [10.0]]]))
        >>> sink.write(slice(0, 1), slice(0, 2), np.array([[[1.0], [2.0]]]))
        >>> out.ravel()
        array([11.,  0.])
        """
        if self.tap_gradient is not None:
            part = np.add(part, self.tap_gradient[y, x], out=part)
        if self.bits is None:
            self.out[y, x] = part
        else:
            clear_masked(part, self.bits, y, x, self.out[y, x])


def copy_map(source: Source, sink: Sink, team: Team, arena: Arena) -> None:
    """Copy a map from a source to a sink, strip by strip, without a convolution.

    Examples
    --------
    >>> from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    >>> x, y = np.arange(6.0).reshape(2, 3, 1), np.empty((2, 3, 1))
    >>> copy_map(ArraySource(x), StoreSink(y), Team(1), Arena())
    >>> np.array_equal(x, y)
    True
    """
    H, W, C = source.shape
    scratch = arena.take((team.threads, ROWS, W, C), source.dtype)

    def work(worker: int, strips: Any) -> None:
        for strip in strips:
            y = slice(ROWS * strip, min(H, ROWS * (strip + 1)))
            part = scratch[worker, : y.stop - y.start]
            np.copyto(part, source.read(y, slice(0, W)).reshape(part.shape))
            sink.write(y, slice(0, W), part)

    team.run(work, ceil_div(H, ROWS))
