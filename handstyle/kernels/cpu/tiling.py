"""How Winograd's convolution is cut up: the tiles of a map, which of them go together, and how much room they take."""

import itertools
import math
from dataclasses import dataclass

from handstyle.kernels.counting import CACHED_KERNELS, ceil_div
from handstyle.kernels.cpu.strips import is_byte_aligned

# Tiles that a thread takes through all steps, while the kernels are few. The interpreter runs one thread at a time
# between the steps, and handing it over costs tens of microseconds: fewer, larger steps are worth more than tiles that
# stay in the second-level cache.
BLOCK_PIXELS = 2048  # outputs, a channel
# Where the kernels are many, all threads share a phase:
PHASE_BYTES = 24 << 20  # transformed tiles and their products, or half the maps, where that is more;
GROUP_BYTES = 16 << 20  # transformed kernels at a time, where a map is one phase;
SHARED_BLOCK = 32  # tiles that a thread transforms at a time


@dataclass(frozen=True)
class TileGrid:
    """The tiles of a map, cut into blocks of some rows and columns of tiles."""

    H: int
    W: int
    m: int
    rows: int  # tiles of a block, down
    across: int  # and across

    @classmethod
    def cut(cls, H: int, W: int, m: int, C: int, K: int, tiles: int) -> "TileGrid":
        """Choose blocks of at most about `tiles` tiles: as square as may be, since neighbours share an edge."""
        down, across = ceil_div(H, m), ceil_div(W, m)
        if is_byte_aligned(C) and is_byte_aligned(K):
            wide = min(across, 2 * math.isqrt(tiles))
            across = ceil_div(across, ceil_div(across, wide))  # equal parts
        rows = max(1, min(down, tiles // across))
        rows = ceil_div(down, ceil_div(down, rows))
        return cls(H, W, m, rows, across)

    @property
    def parts(self) -> int:
        """Blocks side by side."""
        return ceil_div(ceil_div(self.W, self.m), self.across)

    @property
    def count(self) -> int:
        """Blocks in all."""
        return ceil_div(ceil_div(self.H, self.m), self.rows) * self.parts

    def block(self, i: int) -> tuple[int, int, int, int]:
        """Return the first row and column of a block, and how many rows and columns it has; all in tiles."""
        top, left = i // self.parts * self.rows, i % self.parts * self.across
        return (
            top,
            left,
            min(self.rows, ceil_div(self.H, self.m) - top),
            min(self.across, ceil_div(self.W, self.m) - left),
        )

    def tiles(self, i: int) -> int:
        """Return how many tiles a block has."""
        _, _, rows, across = self.block(i)
        return rows * across


@dataclass(frozen=True)
class Tiling:
    """How a convolution is cut up: what `winograd.convolve` does and what `scratch` counts.

    A *block* is some tiles that one thread transforms at a time. A *phase* is some blocks whose products are made
    together. While the kernels are few, each block is a phase of its own, and the threads share out the phases. Where
    they are many, the phases come one after the other, and the threads share out each of its steps, so that each
    kernel is fetched once a phase.
    """

    grid: TileGrid
    C: int
    K: int
    shared: bool  # all threads work at a phase together
    together: int  # blocks of a phase
    group: int  # rows of the n x n points whose kernels are transformed at a time
    kept: bool  # the transformed kernels are there already

    @classmethod
    def of(cls, H: int, W: int, C: int, K: int, m: int, itemsize: int, kept: bool = False) -> "Tiling":
        """Decide by the size of the transformed kernels."""
        n, tiles = m + 2, ceil_div(H, m) * ceil_div(W, m)
        kernels, tile = n * n * C * K * itemsize, n * n * (C + K) * itemsize  # bytes
        if kernels <= CACHED_KERNELS:
            return cls(TileGrid.cut(H, W, m, C, K, BLOCK_PIXELS // m**2), C, K, False, 1, n, kept)
        grid = TileGrid.cut(H, W, m, C, K, min(SHARED_BLOCK, max(1, tiles // 4)))
        room = max(PHASE_BYTES, H * W * (C + K) * itemsize // 2)
        # Kernels that serve one phase are transformed some points at a time and forgotten; those that serve many are
        # kept. Points, not channels: the tiles of a point, and the products, are then moved once.
        group = ceil_div(n, ceil_div(kernels, GROUP_BYTES))  # equal parts, of the least number
        alone = tiles * tile + (not kept) * kernels * group // n
        if alone <= 1.25 * ((not kept) * kernels + room):
            return cls(grid, C, K, True, grid.count, n if kept else group, kept)
        phases = ceil_div(tiles * tile, room)
        return cls(grid, C, K, True, ceil_div(grid.count, phases), n, kept)  # equal phases

    @property
    def phases(self) -> list[range]:
        """The blocks of each phase."""
        starts = range(0, self.grid.count, self.together)
        return [range(start, min(self.grid.count, start + self.together)) for start in starts]

    @property
    def groups(self) -> list[slice]:
        """The rows of the n x n points whose kernels are there at the same time."""
        n = self.grid.m + 2
        return [slice(i, min(n, i + self.group)) for i in range(0, n, self.group)]

    def tiles_before(self, phase: range) -> list[int]:
        """Return how many tiles of a phase lie before each of its blocks, and at last how many there are."""
        return [0, *itertools.accumulate(self.grid.tiles(block) for block in phase)]

    def thread_values(self) -> tuple[int, int]:
        """Return how many values a thread needs for half transformed tiles, and for finished ones."""
        m, n, rows, across = self.grid.m, self.grid.m + 2, self.grid.rows, self.grid.across
        tiles = rows * across
        half = max(rows * n * (m * across + 2) * self.C, n * m * tiles * self.K)
        return half, m * m * tiles * self.K

    def phase_values(self) -> tuple[int, int]:
        """Return how many values the transformed tiles of the largest phase take, and their products."""
        tiles = self.grid.rows * self.grid.across
        if self.shared:
            tiles = max(self.tiles_before(phase)[-1] for phase in self.phases)
        points = (self.grid.m + 2) ** 2
        return points * tiles * self.C, points * tiles * self.K

    def scratch(self, threads: int) -> int:
        """Return how many values the convolution works with, beside the maps it reads and writes."""
        workers = min(threads, self.grid.count)
        rows = (self.grid.m + 2) * self.group
        kernels = 0 if self.kept else rows * self.C * self.K * (1 if self.shared else 2)  # the adjoint turns them
        half, finished = self.thread_values()
        transformed, products = self.phase_values()
        if self.shared:
            return kernels + workers * (half + finished) + transformed + products
        return kernels + workers * (half + max(finished, transformed) + products)
