"""Winograd's convolution F(m x m, 3 x 3), forward and adjoint, channels last.

A tile of m x m outputs needs n x n inputs, n = m + 2. Both kernel and tile are transformed, and what were 9 m² products
a channel pair become n²: 36 instead of 144 for m = 4. With all tiles of a strip side by side the products of one point
of the transformed tile are one matrix product, (tiles, C) @ (C, K).

Every transform is a small matrix product too, and runs along rows first, columns second. Along rows it reads the map
where it lies: n rows, each as one long vector. Zero padding costs nothing then, since a row outside the picture is a
column of the matrix left out. Along columns it reads overlapping windows, and the last transform writes whole rows of
pixels, so that nothing is ever gathered or scattered.

What it costs in accuracy. A layer in float32 errs by 1.7e-6 of its output's deviation (root mean square) with 4 x 4
tiles and with 6 x 1, by 5e-6 with 6 x 6, and by 2.4e-7 if computed directly. Almost nothing of that is seen in the
gradient of the style objective at the picture. Against float64, on VGG-19 and a photograph of 384 x 384 pixels, its
relative error lies between 1e-4 and 1.5e-3 with any kernels, direct ones included. Nearly all of it comes from choices:
of the 29 million rectifiers and pooled values of one pass, a few lie so near a tie that rounding decides them (1 to 3
rectifiers and 4 to 14 bits of pools with 4 x 4 tiles; 1 and 8 to 10 directly), and each that falls the other way moves
the gradient by about 1e-4. With the choices of the float64 pass put in their place, the same gradient errs by 2e-7
(direct) or 4e-6 (tiles). So the backward pass may have larger tiles, since it chooses nothing, and so may the forward
pass from 256 channels on, where the values are few. At a tie either choice is a derivative from one side, and an
optimiser is as well served by one as by the other: after 60 iterations of L-BFGS-B at 256 x 256 the loss is 10.9 with
direct kernels, 11.4 with 2 x 2 tiles, 11.3 with 4 x 4, 11.0 with 6 x 6 and 11.1 as ``auto`` chooses, in no order of
their errors. (``benchmarks/choices.py`` counts the choices and makes the runs.)
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.gemm import rows_times, times_columns
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.cpu.tiling import Plan, strip_sizes
from handstyle.kernels.cpu.winograd_kernels import Kept, kernels_for, transform_kernels
from handstyle.kernels.cpu.winograd_rows import transform_rows
from handstyle.kernels.winograd_matrices import BIAS_POINT, transforms


def convolve(
    source: Source,
    w: Array,
    b: Array | None,
    sink: Sink,
    m: int,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    kept: Kept | None = None,
) -> None:
    """Convolve a map with zero padding, tile by tile; results are those of `conv3x3_forward` but for rounding.

    Parameters
    ----------
    source : Source
        The (H, W, C) map.
    w : (3, 3, C, K) array
        The kernels; with `adjoint` (3, 3, K, C), as the forward pass uses them.
    b : (K,) array or None
        The bias.
    sink : Sink
        Takes the (H, W, K) result.
    m : {2, 4, 6}
        Outputs of a tile, a side.
    team, arena : Team, Arena
        Threads and memory.
    adjoint : bool
        Apply the adjoint of the convolution: the kernel turned by 180 degrees, channels in and out exchanged.
    kept : dict, optional
        Where the transformed kernels are kept for the next call with the same `w`, which nobody may write to; without
        it they are transformed at each call.
    """
    H, W, C = source.shape
    K = w.shape[2] if adjoint else w.shape[3]
    plan = Plan.of(H, W, C, K, m, source.dtype.itemsize, kept is not None)
    strips = [_Strip(source, sink, plan, arena) for _ in range(min(team.threads, plan.grid.count))]
    run = _by_phases if plan.shared else _by_strips
    whole = plan.group == m + 2
    U = kernels_for(w, m, team, arena, adjoint, not plan.shared, kept) if whole else None
    run(strips, plan, w, U, b, adjoint, team, arena)


def _by_strips(
    strips: list["_Strip"],
    plan: Plan,
    w: Array,
    U: Array | None,
    b: Array | None,
    adjoint: bool,
    team: Team,
    arena: Arena,
) -> None:
    # The kernels are few: each thread takes a block through all steps.
    n = plan.grid.m + 2
    assert U is not None

    def work(worker: int, blocks: Iterator[int]) -> None:
        strip = strips[worker]
        for block in blocks:
            V, M = strip.transformed(block)
            strip.transform_input(block, V)
            tiles = V.shape[2] * V.shape[3]
            rows_times(V.reshape(n * n, tiles, -1), U, M.reshape(n * n, tiles, -1))
            if b is not None:
                M[BIAS_POINT, BIAS_POINT] += b
            strip.transform_output(block, M)

    team.run(work, plan.grid.count)


def _by_phases(
    strips: list["_Strip"],
    plan: Plan,
    w: Array,
    U: Array | None,
    b: Array | None,
    adjoint: bool,
    team: Team,
    arena: Arena,
) -> None:
    # They are many: all threads transform many tiles, then share out the points, so that each kernel is fetched once.
    grid, C, K = plan.grid, plan.C, plan.K
    n, most = grid.m + 2, plan.most_tiles
    V = arena.take((n, n, most, C), w.dtype)
    M = arena.take((n, n, most, K), w.dtype)
    groups = [slice(i, min(n, i + plan.group)) for i in range(0, n, plan.group)]
    for begin in range(0, grid.count, plan.together):
        chunk = range(begin, min(grid.count, begin + plan.together))
        starts = [0, *itertools.accumulate(grid.tiles(block) for block in chunk)]

        def inputs(worker: int, pieces: Iterator[int], chunk: range = chunk, starts: list[int] = starts) -> None:
            for i in pieces:
                part = V[:, :, starts[i] : starts[i + 1]].reshape(n, n, *grid.block(chunk[i])[2:], C)
                strips[worker].transform_input(chunk[i], part)

        def outputs(worker: int, pieces: Iterator[int], chunk: range = chunk, starts: list[int] = starts) -> None:
            for i in pieces:
                part = M[:, :, starts[i] : starts[i + 1]].reshape(n, n, *grid.block(chunk[i])[2:], K)
                strips[worker].transform_output(chunk[i], part)

        team.run(inputs, len(chunk))
        T = starts[-1]
        for group in groups:
            kernels = transform_kernels(w, grid.m, team, arena, adjoint, rows=group) if U is None else U
            _products(V[group, :, :T], kernels, M[group, :, :T], team)
            del kernels
        if b is not None:
            M[BIAS_POINT, BIAS_POINT, :T] += b
        team.run(outputs, len(chunk))


def _products(V: Array, U: Array, M: Array, team: Team) -> None:
    # (rows, n, T, C), (rows n, C, K), (rows, n, T, K): point by point
    def work(_: int, points: Iterator[int]) -> None:
        for point in points:
            i, j = divmod(point, V.shape[1])
            np.matmul(V[i, j], U[point], out=M[i, j])

    team.run(work, len(U))


class _Views(NamedTuple):
    """A thread's scratch, seen as each step reads and writes it; Z and Y take the place of R and V."""

    R: Array  # (rows, n, length): transformed along rows
    windows: Array  # (rows, n, across, n, C): the same memory, overlapping
    V: Array  # (n, n, rows, across, C)
    M: Array  # (n, n, rows, across, K)
    Z: Array  # (n, m, tiles * K): transformed back along rows, column of the tile first
    Zt: Array  # (rows, m, across, n, K): the same memory
    Y: Array  # (rows, m, across, m, K): finished


class _Strip:
    """The transforms of one thread, and its scratch."""

    def __init__(self, source: Source, sink: Sink, plan: Plan, arena: Arena) -> None:
        self.source, self.sink, self.plan, self.grid, self.K = source, sink, plan, plan.grid, plan.K
        self.BT, _, self.AT = transforms(self.grid.m, source.dtype)
        first, second = strip_sizes(plan, self.grid.rows, self.grid.across)
        self.scratch = arena.take((max(sum(first), sum(second)),), source.dtype)
        tiles = 0 if plan.shared else self.grid.rows * self.grid.across
        self.products = arena.take(((self.grid.m + 2) ** 2 * tiles * plan.K,), source.dtype)
        self.views: dict[tuple[int, int], _Views] = {}

    def seen(self, rows: int, across: int) -> _Views:
        """Return the scratch as a block of `rows` x `across` tiles needs it."""
        if (rows, across) in self.views:
            return self.views[rows, across]
        m, n, C, K = self.grid.m, self.grid.m + 2, self.source.shape[2], self.K
        (r, v), (z, y) = strip_sizes(self.plan, rows, across)
        R = self.scratch[:r].reshape(rows, n, (m * across + 2) * C)
        row, item = R.strides[1], R.itemsize
        windows = as_strided(R, (rows, n, across, n, C), (n * row, row, m * C * item, C * item, item))
        V = self.scratch[r : r + v].reshape(n, n, -1, across, C)
        M = self.products[: 0 if self.plan.shared else n * n * rows * across * K].reshape(n, n, -1, across, K)
        Z = self.scratch[:z].reshape(n, m, rows * across * K)
        Zt = Z.reshape(n, m, rows, across, K).transpose(2, 1, 3, 0, 4)
        Y = self.scratch[z : z + y].reshape(rows, m, across, m, K)
        self.views[rows, across] = _Views(R, windows, V, M, Z, Zt, Y)
        return self.views[rows, across]

    def transformed(self, block: int) -> tuple[Array, Array]:
        """Return this thread's own room for the transformed tiles of a block, and for their products."""
        views = self.seen(*self.grid.block(block)[2:])
        return views.V, views.M

    def transform_input(self, block: int, V: Array) -> None:  # (n, n, rows, across, C)
        """``BT x BTᵀ`` for the tiles of a block."""
        m = self.grid.m
        top, left, rows, across = self.grid.block(block)
        views = self.seen(rows, across)
        y, x = slice(m * top, m * (top + rows)), slice(m * left, m * (left + across))
        transform_rows(self.source, self.BT, m, y, x, views.R.swapaxes(0, 1))
        np.matmul(self.BT, views.windows, out=V.transpose(2, 0, 3, 1, 4))

    def transform_output(self, block: int, M: Array) -> None:  # (n, n, rows, across, K)
        """``AT M ATᵀ`` for the tiles of a block, and on to the sink."""
        m, n, K = self.grid.m, self.grid.m + 2, self.K
        top, left, rows, across = self.grid.block(block)
        views = self.seen(rows, across)
        by_column = M.reshape(n, n, -1).transpose(1, 0, 2)
        times_columns(self.AT, by_column, views.Z)
        np.matmul(self.AT, views.Zt, out=views.Y)
        y = slice(m * top, min(self.grid.H, m * (top + rows)))
        x = slice(m * left, min(self.grid.W, m * (left + across)))
        done = views.Y.reshape(m * rows, m * across, K)
        self.sink.write(y, x, done[: y.stop - y.start, : x.stop - x.start])
