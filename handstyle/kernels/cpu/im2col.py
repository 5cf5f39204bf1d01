"""Convolve by lowering (im2col): each pixel's 3 x 3 neighborhood becomes a row of a matrix, which is then multiplied.

It is the simple alternative to Winograd's convolution: it reads nine times as much, but multiplies directly, so that
its rounding errors are those of the reference. Lowering strip by strip keeps the matrix in the cache. The first layer
is always computed by lowering, because its three channels are too few for Winograd. In the adjoint of that layer the
output has three channels, so the product comes first and nine shifted sums follow (col2im).
"""

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.gemm import rows_times
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team

STRIP_BYTES = 1 << 20  # size of a lowered strip: half a core's second-level cache on current processors
FEW_CHANNELS = 4  # with at most this many channels of output, shifted sums are faster than a product


def convolve(
    source: Source, w: Array, b: Array | None, sink: Sink, team: Team, arena: Arena, adjoint: bool = False
) -> None:
    """Convolve a map with zero padding, by lowering; the parameters are those of `winograd.convolve`.

    Examples
    --------
    >>> from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    >>> x, w, y = np.ones((4, 4, 8)), np.ones((3, 3, 8, 8)), np.empty((4, 4, 8))
    >>> convolve(ArraySource(x), w, np.ones(8), StoreSink(y), Team(1), Arena())
    >>> y[..., 0].tolist()  # 4, 6 or 9 neighbors of 8 channels, and the bias
    [[33.0, 49.0, 49.0, 33.0], [49.0, 73.0, 73.0, 49.0], [49.0, 73.0, 73.0, 49.0], [33.0, 49.0, 49.0, 33.0]]
    """
    K = w.shape[2] if adjoint else w.shape[3]
    if adjoint and K <= FEW_CHANNELS:
        _adjoint_by_shifts(source, w, sink, team, arena)
        return
    if adjoint:
        w = w[::-1, ::-1].transpose(0, 1, 3, 2)
    H, W, C = source.shape
    kernels = np.ascontiguousarray(w).reshape(9 * C, K)
    bias_as_weight = C <= FEW_CHANNELS  # the bias is then the weight of a constant input, which saves a pass
    if b is not None and bias_as_weight:
        kernels = np.concatenate((kernels, b[None]))
    rows = strip_rows(H, 9 * C * W * source.dtype.itemsize)
    workers = range(min(team.threads, ceil_div(H, rows)))
    padded = [arena.take((rows + 2, W + 2, C), source.dtype) for _ in workers]
    lowered = [arena.take((rows, W, len(kernels)), source.dtype) for _ in workers]
    finished = [arena.take((rows, W, K), source.dtype) for _ in workers]

    def work(worker: int, strips: Iterator[int]) -> None:
        xpad, matrix = padded[worker], lowered[worker]
        xpad[:, 0] = xpad[:, -1] = 0
        matrix[..., 9 * C :] = 1
        row, pixel, item = xpad.strides
        windows = as_strided(xpad, (rows, W, 3, 3 * C), (row, pixel, row, item))  # three neighbors are contiguous
        neighbors = as_strided(matrix, windows.shape, (*matrix.strides[:2], 3 * C * item, item))
        for strip in strips:
            top, bottom = rows * strip, min(H, rows * (strip + 1))
            y = slice(max(0, top - 1), min(H, bottom + 1))
            first = y.start - (top - 1)
            inside = slice(first, first + y.stop - y.start)
            xpad[: inside.start] = 0
            xpad[inside, 1:-1] = source.read(y, slice(0, W)).reshape(y.stop - y.start, W, C)
            xpad[inside.stop :] = 0
            np.copyto(neighbors, windows)  # book: lowering-rows
            part = finished[worker]
            rows_times(matrix.reshape(rows * W, -1), kernels, part.reshape(rows * W, K))  # book: lowering-strips
            if b is not None and not bias_as_weight:
                part += b
            sink.write(slice(top, bottom), slice(0, W), part[: bottom - top])

    team.run(work, ceil_div(H, rows))


def scratch(H: int, W: int, C: int, K: int, itemsize: int, threads: int, adjoint: bool) -> list[int]:
    """Return the sizes of the temporary arrays of `convolve`, in values; the last one is for the kernels.

    Examples
    --------
    >>> scratch(8, 8, C=16, K=32, itemsize=4, threads=1, adjoint=False)[-1]  # 9 * 16 * 32
    4608
    """
    few = adjoint and K <= FEW_CHANNELS
    channels = K if few else C
    rows = strip_rows(H, 9 * channels * W * itemsize)
    workers = min(threads, ceil_div(H, rows))
    lowered = 2 * 9 * channels * (rows + 2) * W if few else (9 * channels + (not adjoint)) * rows * W
    padded = [] if few else workers * [(rows + 2) * (W + 2) * C]
    return padded + workers * [lowered] + workers * [rows * W * K] + [9 * C * K]


def _adjoint_by_shifts(source: Source, w: Array, sink: Sink, team: Team, arena: Arena) -> None:
    # The adjoint for few channels of output: one product makes nine values for each pixel and channel; they are
    # transposed to planes, so that each of the nine shifted sums runs along whole rows.
    H, W, K = source.shape
    C = w.shape[2]
    kernels = np.ascontiguousarray(w.reshape(9 * C, K).T)
    rows = strip_rows(H, 9 * C * W * source.dtype.itemsize)
    workers = range(min(team.threads, ceil_div(H, rows)))
    products = [arena.take((2, 9 * C * (rows + 2) * W), source.dtype) for _ in workers]
    planes = [arena.take((C, rows, W), source.dtype) for _ in workers]

    def work(worker: int, strips: Iterator[int]) -> None:
        for strip in strips:
            top, bottom = rows * strip, min(H, rows * (strip + 1))
            y = slice(max(0, top - 1), min(H, bottom + 1))
            height = y.stop - y.start
            dy = source.read(y, slice(0, W)).reshape(height * W, K)
            by_pixel, by_plane = products[worker][:, : 9 * C * height * W]
            rows_times(dy, kernels, by_pixel.reshape(height * W, 9 * C))
            shifted = by_plane.reshape(3, 3, C, height, W)
            np.copyto(by_plane.reshape(9 * C, height * W), by_pixel.reshape(height * W, 9 * C).T)
            total = planes[worker][:, : bottom - top]
            total[:] = 0
            for i, j in np.ndindex(3, 3):
                # Output pixel h read input pixel h + i - 1, so input pixel h receives from output pixel h - i + 1.
                to_y, from_y = _overlap(slice(top, bottom), 1 - i, y)
                to_x, from_x = _overlap(slice(0, W), 1 - j, slice(0, W))
                total[:, to_y, to_x] += shifted[i, j][:, from_y, from_x]
            sink.write(slice(top, bottom), slice(0, W), total.transpose(1, 2, 0))

    team.run(work, ceil_div(H, rows))


def _overlap(to: slice, shift: int, span: slice) -> tuple[slice, slice]:
    # The positions h of `to` for which h + shift is in `span`, and the positions h + shift, as slices of each.
    first, last = max(to.start, span.start - shift), max(to.start, min(to.stop, span.stop - shift))
    first = min(first, last)
    return slice(first - to.start, last - to.start), slice(first + shift - span.start, last + shift - span.start)


def strip_rows(H: int, row_bytes: int) -> int:
    """Return how many rows of a map of height `H` are lowered at a time, if a lowered row takes `row_bytes`.

    Examples
    --------
    >>> strip_rows(100, STRIP_BYTES // 4), strip_rows(100, 1)
    (4, 100)
    """
    # Even, because pooling works on pairs of rows.
    return max(2, min(ceil_div(H, 2) * 2, STRIP_BYTES // row_bytes // 2 * 2))
