"""Winograd's convolution F(m x m, 3 x 3), forward and adjoint, channels last.

A tile of m x m outputs needs n x n inputs, n = m + 2. Both kernel and tile are transformed, and what were 9 m² products
a channel pair become n²: 36 instead of 144 for m = 4. With all tiles of a strip side by side the products of one point
of the transformed tile are one matrix product, (tiles, C) @ (C, K).

Every transform is a small matrix product too, and runs along rows first, columns second. Along rows it reads the map
where it lies: n rows, each as one long vector. Zero padding costs nothing then, since a row outside the picture is a
column of the matrix left out. Along columns it reads overlapping windows, and the last transform writes whole rows of
pixels, so that nothing is ever gathered or scattered.

What it costs in accuracy. A layer in float32 errs by 1.7e-6 of its output's deviation (root mean square) with 4 x 4
tiles, by 5e-6 with 6 x 6, and by 2.4e-7 if computed directly. Almost nothing of that is seen in the gradient of the
style objective at the picture. Against float64, on VGG-19 and a photograph of 384 x 384 pixels, its relative error
lies between 1e-4 and 1.5e-3 with any kernels, direct ones included. Nearly all of it comes from choices: of the 29
million rectifiers and pooled values of one pass, a few lie so near a tie that rounding decides them (1 or 2
rectifiers and 4 to 15 bits of pools with 4 x 4 tiles; 1 or 2 and 6 to 11 directly), and each that falls the other way
moves the gradient by about 1e-4. With the choices of the float64 pass put in their place, the same gradient errs by
2e-7 (direct) or 4e-6 (tiles). So the backward pass may have larger tiles, since it chooses nothing. At a tie either
choice is a derivative from one side, and an optimiser is as well served by one as by the other.
(``benchmarks/choices.py`` counts them.)
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.foundations.threads import Team
from handstyle.foundations.workspace import Arena
from handstyle.kernels.cost import CACHED_KERNELS
from handstyle.kernels.grid import Grid, Sink, Source, ceil_div
from handstyle.kernels.toom_cook import BIAS_POINT, transforms

# Products of fewer multiplications than this go through OpenBLAS' kernels for small matrices, which do not copy their
# operands first: three times as fast for a transform (interface/gemm.c and
# kernel/x86_64/sgemm_small_kernel_permit_skylakex.c of OpenBLAS 0.3.31). Elsewhere the bound does no harm.
SMALL_PRODUCT = 1_000_000
STRIP_BLOCK = 64  # tiles a thread takes through all steps, while the kernels fit its cache
SHARED_TILES = 512  # tiles of a phase where they do not,
SLAB_BYTES = 20 << 20  # of their transforms at a time, where a map is one phase,
SHARED_BLOCK = 32  # and tiles that a thread transforms at a time then


def convolve(
    source: Source, w: Array, b: Array | None, sink: Sink, m: int, team: Team, arena: Arena, adjoint: bool = False
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
    """
    H, W, C = source.shape
    K = w.shape[2] if adjoint else w.shape[3]
    plan = Plan.of(H, W, C, K, m, source.dtype.itemsize)
    strips = [_Strip(source, sink, plan, arena) for _ in range(min(team.threads, plan.grid.count))]
    run = _by_phases if plan.shared else _by_strips
    run(strips, plan, w, b, adjoint, team, arena)


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up: what `convolve` does and what `scratch` counts."""

    grid: Grid
    C: int
    K: int
    shared: bool  # all threads work at a phase together
    together: int  # blocks of a phase
    slab: int  # output channels whose kernels are transformed at a time

    @classmethod
    def of(cls, H: int, W: int, C: int, K: int, m: int, itemsize: int) -> "Plan":
        """Decide by the size of the transformed kernels."""
        kernels = (m + 2) ** 2 * C * K * itemsize
        if kernels <= CACHED_KERNELS:
            return cls(Grid.cut(H, W, m, C, K, STRIP_BLOCK), C, K, False, 1, K)
        grid = Grid.cut(H, W, m, C, K, SHARED_BLOCK)
        together = min(grid.count, max(1, SHARED_TILES // (grid.rows * grid.across)))
        # Kernels that serve one phase are transformed a slab at a time and forgotten; those that serve many are kept.
        slabs = ceil_div(kernels, SLAB_BYTES) if together == grid.count else 1
        return cls(grid, C, K, True, together, ceil_div(K, slabs))

    @property
    def most_tiles(self) -> int:
        """The tiles of the largest phase."""
        tiles = [self.grid.tiles(block) for block in range(self.grid.count)]
        return max(sum(tiles[i : i + self.together]) for i in range(0, len(tiles), self.together))

    def scratch(self, threads: int) -> int:
        """Return how many values the convolution works with, beside the maps it reads and writes."""
        points, grid = (self.grid.m + 2) ** 2, self.grid
        first, second = strip_sizes(self, grid.rows, grid.across)
        tiles = 0 if self.shared else grid.rows * grid.across
        own = max(sum(first), sum(second)) + points * tiles * self.K
        kernels = points * self.C * self.slab * (1 if self.shared else 2)  # the adjoint keeps them turned, too
        return kernels + min(threads, grid.count) * own + self.shared * points * self.most_tiles * (self.C + self.K)


def strip_sizes(plan: Plan, rows: int, across: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the values of R and V, and of Z and Y, which take their place, for a block of `rows` x `across` tiles."""
    m, n, tiles = plan.grid.m, plan.grid.m + 2, rows * across
    inputs = rows * n * (m * across + 2) * plan.C, 0 if plan.shared else n * n * tiles * plan.C
    return inputs, (n * m * tiles * plan.K, m * m * tiles * plan.K)


def _by_strips(
    strips: list["_Strip"], plan: Plan, w: Array, b: Array | None, adjoint: bool, team: Team, arena: Arena
) -> None:
    # The kernels fit a core's cache beside a block of tiles: each thread takes a block through all steps.
    n = plan.grid.m + 2
    U = transform_kernels(w, plan.grid.m, team, arena, adjoint, turn=True)

    def work(worker: int, blocks: Iterator[int]) -> None:
        strip = strips[worker]
        for block in blocks:
            V, M = strip.transformed(block)
            strip.transform_input(block, V)
            tiles = V.shape[2] * V.shape[3]
            np.matmul(V.reshape(n * n, tiles, -1), U, out=M.reshape(n * n, tiles, -1))
            if b is not None:
                M[BIAS_POINT, BIAS_POINT] += b
            strip.transform_output(block, M)

    team.run(work, plan.grid.count)


def _by_phases(
    strips: list["_Strip"], plan: Plan, w: Array, b: Array | None, adjoint: bool, team: Team, arena: Arena
) -> None:
    # They do not: all threads transform many tiles, then share out the points, so that each kernel is fetched once.
    grid, C, K = plan.grid, plan.C, plan.K
    n, most = grid.m + 2, plan.most_tiles
    V = arena.take((n, n, most, C), w.dtype)
    M = arena.take((n, n, most, K), w.dtype)
    slabs = [slice(k, min(K, k + plan.slab)) for k in range(0, K, plan.slab)]
    U = transform_kernels(w, grid.m, team, arena, adjoint) if len(slabs) == 1 else None
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
        for slab in slabs:
            kernels = U
            if kernels is None:
                kernels = transform_kernels(w[:, :, slab] if adjoint else w[..., slab], grid.m, team, arena, adjoint)
            _products(V[:, :, :T], kernels, b, M[:, :, :T], slab, team)
            del kernels
        team.run(outputs, len(chunk))


def _products(V: Array, U: Array, b: Array | None, M: Array, slab: slice, team: Team) -> None:
    # (n, n, T, C), (n², C, slab), (K,), (n, n, T, K): the products of some output channels, point by point
    n = len(V)

    def work(_: int, points: Iterator[int]) -> None:
        for point in points:
            i, j = divmod(point, n)
            np.matmul(V[i, j], U[point], out=M[i, j, :, slab])
            if b is not None and i == j == BIAS_POINT:
                M[i, j, :, slab] += b[slab]

    team.run(work, n * n)


def transform_kernels(  # (3, 3, C, K) -> (n², C, K); adjoint: (n², K, C)
    w: Array, m: int, team: Team, arena: Arena, adjoint: bool = False, turn: bool = False
) -> Array:
    """Transform all kernels of a layer, ``G w Gᵀ`` for each pair of channels, by one Kronecker matrix.

    The adjoint's are a transposed view, which the kernels for large products read as well; `turn` copies them.
    """
    C, K = w.shape[2:]
    G = transforms(m, w.dtype).G
    kron = np.kron(G, G)  # (n², 9)
    if adjoint:
        kron = np.ascontiguousarray(kron[:, ::-1])
    flat = w.reshape(9, C * K)  # copies a slab
    U = arena.take((len(kron), C * K), w.dtype)
    step = _step(kron.size)

    def work(_: int, pieces: Iterator[int]) -> None:
        for piece in pieces:
            part = slice(step * piece, step * (piece + 1))
            np.matmul(kron, flat[:, part], out=U[:, part])

    team.run(work, -(-C * K // step))
    U = U.reshape(len(kron), C, K)
    if not adjoint:
        return U
    if not turn:
        return U.transpose(0, 2, 1)
    turned = arena.take((len(kron), K, C), w.dtype)  # the kernels for small products want plain operands
    np.copyto(turned, U.transpose(0, 2, 1))
    return turned


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
        H, W, C = self.source.shape
        m, n = self.grid.m, self.grid.m + 2
        top, left, rows, across = self.grid.block(block)
        views = self.seen(rows, across)
        R = views.R
        y0, x0 = m * top - 1, m * left - 1
        y = slice(max(0, y0), min(H, y0 + m * rows + 2))
        x = slice(max(0, x0), min(W, x0 + m * across + 2))
        begin, end = (x.start - x0) * C, (x.stop - x0) * C
        if begin > 0:
            R[:, :, :begin] = 0
        if end < R.shape[2]:
            R[:, :, end:] = 0
        values = self.source.read(y, x)
        step = _step(n * n)
        for i in range(rows):
            above = y0 + m * i  # of the tile row, the first input
            inside = slice(max(above, y.start), min(above + n, y.stop))
            BT = self.BT if inside.stop - inside.start == n else self.BT[:, inside.start - above : inside.stop - above]
            part = values[inside.start - y.start : inside.stop - y.start]
            for start in range(0, end - begin, step):
                stop = min(start + step, end - begin)
                np.matmul(BT, part[:, start:stop], out=R[i, :, begin + start : begin + stop])
        np.matmul(self.BT, views.windows, out=V.transpose(2, 0, 3, 1, 4))

    def transform_output(self, block: int, M: Array) -> None:  # (n, n, rows, across, K)
        """``AT M ATᵀ`` for the tiles of a block, and on to the sink."""
        m, n, K = self.grid.m, self.grid.m + 2, self.K
        top, left, rows, across = self.grid.block(block)
        views = self.seen(rows, across)
        by_column = M.reshape(n, n, -1).transpose(1, 0, 2)
        step, length = _step(n * m), rows * across * K
        for start in range(0, length, step):
            part = slice(start, start + step)
            np.matmul(self.AT, by_column[:, :, part], out=views.Z[:, :, part])
        np.matmul(self.AT, views.Zt, out=views.Y)
        y = slice(m * top, min(self.grid.H, m * (top + rows)))
        x = slice(m * left, min(self.grid.W, m * (left + across)))
        done = views.Y.reshape(m * rows, m * across, K)
        self.sink.write(y, x, done[: y.stop - y.start, : x.stop - x.start])


def _step(entries: int) -> int:  # columns of a product that stays small, in whole cache lines
    return SMALL_PRODUCT // entries // 16 * 16
