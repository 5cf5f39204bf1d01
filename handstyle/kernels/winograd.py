"""Winograd's convolution F(m x m, 3 x 3), forward and adjoint, channels last.

A tile of m x m outputs needs n x n inputs, n = m + 2. Both kernel and tile are transformed, and what were 9 m² products
a channel pair become n²: 36 instead of 144 for m = 4. With all tiles of a strip side by side the products of one point
of the transformed tile are one matrix product, (tiles, C) @ (C, K).

Every transform is a small matrix product too, and runs along rows first, columns second. Along rows it reads the map
where it lies: n rows, each as one long vector. Zero padding costs nothing then, since a row outside the picture is a
column of the matrix left out. Along columns it reads overlapping windows, and the last transform writes whole rows of
pixels, so that nothing is ever gathered or scattered.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.foundations.threads import Team
from handstyle.kernels.fused import Sink, Source, is_byte_aligned
from handstyle.kernels.toom_cook import BIAS_POINT, transforms
from handstyle.kernels.workspace import Arena

# Products of fewer multiplications than this go through OpenBLAS' kernels for small matrices, which do not copy their
# operands first: three times as fast for a transform (interface/gemm.c and
# kernel/x86_64/sgemm_small_kernel_permit_skylakex.c of OpenBLAS 0.3.31). Elsewhere the bound does no harm.
SMALL_PRODUCT = 1_000_000
# Transformed kernels that are larger than this are read from memory once for many tiles, by all threads together.
SHARED_KERNEL = 3 << 20
STRIP_BLOCK = 64  # tiles a thread takes through all steps, while the kernels fit its cache
SHARED_TILES = 512  # tiles of a phase where they do not,
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
    U = transform_kernels(w, m, team, arena, adjoint)
    shared = U.nbytes > SHARED_KERNEL
    grid = Grid.cut(H, W, m, C, K, SHARED_BLOCK if shared else STRIP_BLOCK)
    strips = [_Strip(source, sink, grid, K, arena, not shared) for _ in range(min(team.threads, grid.count))]
    if shared:
        _by_phases(strips, grid, U, b, team, arena)
    else:
        _by_strips(strips, grid, U, b, team)


def _by_strips(strips: list["_Strip"], grid: "Grid", U: Array, b: Array | None, team: Team) -> None:
    # The kernels fit a core's cache beside a block of tiles: each thread takes a block through all steps.
    n = grid.m + 2

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

    team.run(work, grid.count)


def _by_phases(strips: list["_Strip"], grid: "Grid", U: Array, b: Array | None, team: Team, arena: Arena) -> None:
    # They do not: all threads transform many tiles, then share out the points, so that each kernel is fetched once.
    n = grid.m + 2
    C, K = U.shape[1:]
    together = max(1, SHARED_TILES // (grid.rows * grid.across))
    tiles = [grid.tiles(block) for block in range(grid.count)]
    most = max(sum(tiles[i : i + together]) for i in range(0, grid.count, together))
    V = arena.take((n, n, most, C), U.dtype)
    M = arena.take((n, n, most, K), U.dtype)
    for begin in range(0, grid.count, together):
        chunk = range(begin, min(grid.count, begin + together))
        starts = [sum(tiles[begin:block]) for block in chunk]
        T = sum(tiles[block] for block in chunk)

        def inputs(worker: int, pieces: Iterator[int], chunk: range = chunk, starts: list[int] = starts) -> None:
            for i in pieces:
                tr, across = grid.block(chunk[i])[2:]
                part = V[:, :, starts[i] : starts[i] + tr * across].reshape(n, n, tr, across, C)
                strips[worker].transform_input(chunk[i], part)

        def products(worker: int, points: Iterator[int], T: int = T) -> None:
            for point in points:
                i, j = divmod(point, n)
                np.matmul(V[i, j, :T], U[point], out=M[i, j, :T])
                if b is not None and i == j == BIAS_POINT:
                    M[i, j, :T] += b

        def outputs(worker: int, pieces: Iterator[int], chunk: range = chunk, starts: list[int] = starts) -> None:
            for i in pieces:
                tr, across = grid.block(chunk[i])[2:]
                part = M[:, :, starts[i] : starts[i] + tr * across].reshape(n, n, tr, across, K)
                strips[worker].transform_output(chunk[i], part)

        team.run(inputs, len(chunk))
        team.run(products, n * n)
        team.run(outputs, len(chunk))


def transform_kernels(  # (3, 3, C, K) -> (n², C, K); adjoint: (n², K, C)
    w: Array, m: int, team: Team, arena: Arena, adjoint: bool = False
) -> Array:
    """Transform all kernels of a layer, ``G w Gᵀ`` for each pair of channels, by one Kronecker matrix."""
    C, K = w.shape[2:]
    G = transforms(m, w.dtype).G
    kron = np.kron(G, G)  # (n², 9)
    if adjoint:
        kron = np.ascontiguousarray(kron[:, ::-1])
    flat = w.reshape(9, C * K)
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
    if U.nbytes > SHARED_KERNEL:
        return U.transpose(0, 2, 1)
    turned = arena.take((len(kron), K, C), w.dtype)  # the kernels for small products want plain operands
    np.copyto(turned, U.transpose(0, 2, 1))
    return turned


@dataclass(frozen=True)
class Grid:
    """The tiles of a map, cut into blocks of some rows and columns of tiles."""

    H: int
    W: int
    m: int
    rows: int  # tiles of a block, down
    across: int  # and across

    @classmethod
    def cut(cls, H: int, W: int, m: int, C: int, K: int, tiles: int) -> "Grid":
        """Choose blocks of at most about `tiles` tiles: as square as may be, since neighbours share an edge."""
        down, across = _up(H, m), _up(W, m)
        if is_byte_aligned(C) and is_byte_aligned(K):
            wide = min(across, 2 * math.isqrt(tiles))
            across = _up(across, _up(across, wide))  # equal parts
        rows = max(1, min(down, tiles // across))
        rows = _up(down, _up(down, rows))
        return cls(H, W, m, rows, across)

    @property
    def parts(self) -> int:
        """Blocks side by side."""
        return _up(_up(self.W, self.m), self.across)

    @property
    def count(self) -> int:
        """Blocks in all."""
        return _up(_up(self.H, self.m), self.rows) * self.parts

    def block(self, i: int) -> tuple[int, int, int, int]:
        """Return the first row and column of a block, and how many rows and columns it has; all in tiles."""
        top, left = i // self.parts * self.rows, i % self.parts * self.across
        return top, left, min(self.rows, _up(self.H, self.m) - top), min(self.across, _up(self.W, self.m) - left)

    def tiles(self, i: int) -> int:
        """Return how many tiles a block has."""
        _, _, rows, across = self.block(i)
        return rows * across


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

    def __init__(self, source: Source, sink: Sink, grid: "Grid", K: int, arena: Arena, whole: bool) -> None:
        self.source, self.sink, self.grid, self.K, self.whole = source, sink, grid, K, whole
        self.BT, _, self.AT = transforms(grid.m, source.dtype)
        first, second = self._sizes(grid.rows, grid.across)
        self.scratch = arena.take((max(sum(first), sum(second)),), source.dtype)
        self.products = arena.take(((grid.m + 2) ** 2 * grid.rows * grid.across * K if whole else 0,), source.dtype)
        self.views: dict[tuple[int, int], _Views] = {}

    def _sizes(self, rows: int, across: int) -> tuple[tuple[int, int], tuple[int, int]]:  # R, V; Z, Y
        m, n, C, K = self.grid.m, self.grid.m + 2, self.source.shape[2], self.K
        tiles = rows * across
        return (rows * n * (m * across + 2) * C, n * n * tiles * C * self.whole), (n * m * tiles * K, m * m * tiles * K)

    def seen(self, rows: int, across: int) -> _Views:
        """Return the scratch as a block of `rows` x `across` tiles needs it."""
        if (rows, across) in self.views:
            return self.views[rows, across]
        m, n, C, K = self.grid.m, self.grid.m + 2, self.source.shape[2], self.K
        (r, v), (z, y) = self._sizes(rows, across)
        R = self.scratch[:r].reshape(rows, n, (m * across + 2) * C)
        row, item = R.strides[1], R.itemsize
        windows = as_strided(R, (rows, n, across, n, C), (n * row, row, m * C * item, C * item, item))
        V = self.scratch[r : r + v].reshape(n, n, -1, across, C)
        M = self.products[: n * n * rows * across * K * self.whole].reshape(n, n, -1, across, K)
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


def _up(a: int, b: int) -> int:
    return -(-a // b)


def _step(entries: int) -> int:  # columns of a product that stays small, in whole cache lines
    return SMALL_PRODUCT // entries // 16 * 16
