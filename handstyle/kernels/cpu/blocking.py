"""Divide Winograd's convolution into tiles, blocks of tiles and phases, and compute the temporary memory they take."""

import itertools
import math
from dataclasses import dataclass
from functools import cache

from handstyle.kernels.counting import CACHED_KERNELS, ceil_div
from handstyle.kernels.cpu.strips import is_byte_aligned
from handstyle.kernels.cpu.threads import MANY_THREADS, block_factor

# With few kernels, one thread does all steps of a block. Between the steps the interpreter runs one thread at a time,
# and switching takes tens of microseconds, so fewer, larger steps save more than blocks that fit the level-2 cache.
BLOCK_PIXELS = 2048  # outputs of a block, for each channel
# With many kernels, all threads work on one phase.
PHASE_BYTES = 24 << 20  # of transformed tiles and products in a phase (or the bytes of the two maps, if that is more)
GROUP_BYTES = 16 << 20  # of kernels that are transformed at a time, if the map is a single phase
SHARED_BLOCK = 32  # tiles that a thread transforms at a time
MIN_TILES = 16  # tiles of a block at least, with many threads: its calls must be long
PART_OPERATIONS = 50e6  # operations of a part of a product at least, with many threads
LOCKED_TILES = 8  # tiles whose work takes as long as a block's calls hold the interpreter's lock


@dataclass(frozen=True)
class TileGrid:
    """The division of a map into tiles, and of the tiles into blocks of `rows` x `across` tiles.

    Parameters
    ----------
    H, W : int
        The height and the width of the map in pixels.
    m : int
        Outputs along each side of a tile.
    rows, across : int
        Tiles of a block, down and across the map.

    Examples
    --------
    >>> grid = TileGrid(H=20, W=12, m=4, rows=2, across=3)  # 5 x 3 tiles
    >>> [grid.block(i) for i in range(grid.count)]  # the last block has a single row of tiles
    [(0, 0, 2, 3), (2, 0, 2, 3), (4, 0, 1, 3)]
    """

    H: int
    W: int
    m: int
    rows: int
    across: int

    @classmethod
    def cut(cls, H: int, W: int, m: int, C: int, K: int, tiles: int) -> "TileGrid":
        """Return a grid with blocks of about `tiles` tiles, of nearly equal size.

        A block is a few times as wide as it is high. It has the whole width of the map if `C` or `K` is not a multiple
        of eight, because the packed bits of a part must begin with a byte (`is_byte_aligned`).

        Parameters
        ----------
        H, W, m
            See `TileGrid`.
        C, K : int
            The channels of the input and of the output.
        tiles : int
            The number of tiles to aim at; a block has more only if a single row of tiles of the whole width has.

        Examples
        --------
        >>> TileGrid.cut(64, 64, m=4, C=64, K=64, tiles=16)  # of the 16 x 16 tiles
        TileGrid(H=64, W=64, m=4, rows=2, across=8)
        >>> TileGrid.cut(64, 64, m=4, C=3, K=64, tiles=16)  # of the whole width
        TileGrid(H=64, W=64, m=4, rows=1, across=16)
        """
        down, across = ceil_div(H, m), ceil_div(W, m)
        if is_byte_aligned(C) and is_byte_aligned(K):
            wide = min(across, 2 * math.isqrt(tiles))
            across = ceil_div(across, ceil_div(across, wide))  # equal parts
        rows = max(1, min(down, tiles // across))
        rows = ceil_div(down, ceil_div(down, rows))
        return cls(H, W, m, rows, across)

    @classmethod
    def cut_for_threads(cls, H: int, W: int, m: int, C: int, K: int, tiles: range, threads: int) -> "TileGrid":
        """Return the grid with the least estimated time for many threads.

        The estimate counts the tiles of the thread with the most blocks, and for each block the time that its calls
        hold the interpreter's lock.

        Parameters
        ----------
        H, W, m, C, K
            See `cut`.
        tiles : range
            The allowed numbers of tiles of a block.
        threads : int
            The number of threads.

        Examples
        --------
        >>> grid = TileGrid.cut_for_threads(256, 256, m=4, C=64, K=64, tiles=range(16, 129), threads=8)
        >>> grid.rows, grid.across, grid.count  # eight threads take five blocks each, but one that takes four
        (5, 22, 39)
        """
        grids = [cls.cut(H, W, m, C, K, count) for count in tiles]
        return min(
            grids,
            key=lambda grid: ceil_div(grid.count, threads) * grid.rows * grid.across + LOCKED_TILES * grid.count,
        )

    @property
    def _parts(self) -> int:
        """The number of blocks in a row of blocks."""
        return ceil_div(ceil_div(self.W, self.m), self.across)

    @property
    def count(self) -> int:
        """The number of blocks of the whole map.

        Examples
        --------
        >>> TileGrid(H=20, W=24, m=4, rows=2, across=3).count  # three rows of two blocks
        6
        """
        return ceil_div(ceil_div(self.H, self.m), self.rows) * self._parts

    def block(self, i: int) -> tuple[int, int, int, int]:
        """Return the first row, the first column, the height and the width of block `i`, all in tiles.

        Examples
        --------
        >>> grid = TileGrid(H=20, W=24, m=4, rows=2, across=3)  # 5 x 6 tiles
        >>> grid.block(1), grid.block(5)  # to the right of the first; the last one, of a single row
        ((0, 3, 2, 3), (4, 3, 1, 3))
        """
        top, left = i // self._parts * self.rows, i % self._parts * self.across
        return (
            top,
            left,
            min(self.rows, ceil_div(self.H, self.m) - top),
            min(self.across, ceil_div(self.W, self.m) - left),
        )


def cut_products(points: int, tiles: int, channels: int, threads: int) -> list[slice]:
    """Return the parts into which each matrix product is cut, so that many threads can share the products.

    Parameters
    ----------
    points : int
        The number of products: one for each point of a transformed tile.
    tiles : int
        The number of rows of each product: one for each tile.
    channels : int
        The number of weights in each product, ``C K``.
    threads : int
        The number of threads.

    Returns
    -------
    list of slice
        The tiles (rows of the product) of each part; a single part with few threads.

    Examples
    --------
    >>> cut_products(36, tiles=256, channels=512 * 512, threads=16)
    [slice(0, 128, None), slice(128, 256, None)]
    """
    parts = 1
    if threads >= MANY_THREADS:
        most = max(1, min(4, int(2 * tiles * channels / PART_OPERATIONS)))
        parts = min(range(1, most + 1), key=lambda count: ceil_div(points * count, threads) / count)
    step = ceil_div(tiles, parts)
    return [slice(start, min(tiles, start + step)) for start in range(0, tiles, step)]


@dataclass(frozen=True)
class Blocking:
    """The division of a convolution into blocks and phases, with the sizes of its temporary arrays.

    A *block* is a group of tiles that one thread transforms at a time. A *phase* is a group of blocks whose products
    are computed together. With few kernels, each block is a phase, and the threads work on different phases. With many
    kernels, the phases follow one another, and all threads work on each step of a phase, so that each kernel is read
    from memory once a phase.

    Parameters
    ----------
    grid : TileGrid
        The tiles and the blocks.
    C, K : int
        The channels of the input and of the output.
    shared : bool
        Whether all threads work on one phase together.
    phase_blocks : int
        The number of blocks of a phase.
    group : int
        The number of rows of the n x n points whose kernels are transformed at a time.
    kept : bool
        Whether the transformed kernels were kept from an earlier call.

    Examples
    --------
    >>> grid = TileGrid(H=20, W=12, m=4, rows=2, across=3)  # three blocks
    >>> Blocking(grid, C=8, K=8, shared=True, phase_blocks=2, group=6, kept=False).phases
    [range(0, 2), range(2, 3)]
    """

    grid: TileGrid
    C: int
    K: int
    shared: bool
    phase_blocks: int
    group: int
    kept: bool

    @classmethod
    @cache
    def of(
        cls, H: int, W: int, C: int, K: int, m: int, itemsize: int, kept: bool = False, threads: int = 1
    ) -> "Blocking":
        """Return the division for a convolution, by the size of its transformed kernels and the number of threads.

        The result of the convolution has the same bits for any division.

        Parameters
        ----------
        H, W, C, K : int
            The height, width and channels of the map, and the channels of the result.
        m : {2, 4, 6}
            Outputs along each side of a tile.
        itemsize : int
            Bytes of a value.
        kept : bool
            Whether the transformed kernels were kept from an earlier call.
        threads : int
            The number of threads.

        Examples
        --------
        >>> few, many = (Blocking.of(64, 64, C, C, m=4, itemsize=4) for C in (64, 512))
        >>> few.shared, many.shared  # 36 · 512² transformed kernels take 38 MB, which all threads read at a time
        (False, True)
        """
        n, tiles, times = m + 2, ceil_div(H, m) * ceil_div(W, m), block_factor(threads)
        kernels, tile = n * n * C * K * itemsize, n * n * (C + K) * itemsize  # bytes

        def grid(most: int) -> TileGrid:
            if threads < MANY_THREADS:
                return TileGrid.cut(H, W, m, C, K, most)
            most = min(times * most, max(MIN_TILES, 2 * ceil_div(tiles, threads)))
            return TileGrid.cut_for_threads(H, W, m, C, K, range(min(MIN_TILES, most), most + 1), threads)

        if kernels <= CACHED_KERNELS:
            return cls(grid(min(BLOCK_PIXELS // m**2, max(16, tiles // 16))), C, K, False, 1, n, kept)
        blocks = grid(min(SHARED_BLOCK, max(1, tiles // 4)))
        phase_bytes = times * max(PHASE_BYTES, H * W * (C + K) * itemsize)
        # If the map is a single phase, the kernels are transformed a group of points at a time and dropped; otherwise
        # all are kept. Groups are of points, not of channels, so that tiles and products are read and written once.
        group = ceil_div(n, ceil_div(kernels, times * GROUP_BYTES))  # the smallest number of equal groups
        alone = tiles * tile + (not kept) * kernels * group // n
        if alone <= 1.25 * ((not kept) * kernels + phase_bytes):
            return cls(blocks, C, K, True, blocks.count, n if kept else group, kept)
        phases = ceil_div(tiles * tile, phase_bytes)
        return cls(blocks, C, K, True, ceil_div(blocks.count, phases), n, kept)  # equal phases

    @property
    def phases(self) -> list[range]:
        """The blocks of each phase.

        Examples
        --------
        >>> Blocking.of(256, 256, 256, 256, m=4, itemsize=4).phases  # all tiles together take too much memory
        [range(0, 52), range(52, 104), range(104, 154)]
        """
        starts = range(0, self.grid.count, self.phase_blocks)
        return [range(start, min(self.grid.count, start + self.phase_blocks)) for start in starts]

    @property
    def groups(self) -> list[slice]:
        """The groups of rows of the n x n points; the kernels of a group are transformed at the same time.

        Examples
        --------
        >>> Blocking.of(64, 64, 512, 512, m=4, itemsize=4).groups  # a third of 38 MB at a time
        [slice(0, 2, None), slice(2, 4, None), slice(4, 6, None)]
        """
        n = self.grid.m + 2
        return [slice(i, min(n, i + self.group)) for i in range(0, n, self.group)]

    def tiles_before(self, phase: range) -> list[int]:
        """Return the number of tiles before each block of a phase, and at the end the number of all its tiles.

        Examples
        --------
        >>> grid = TileGrid(H=20, W=12, m=4, rows=2, across=3)
        >>> blocking = Blocking(grid, C=8, K=8, shared=True, phase_blocks=3, group=6, kept=False)
        >>> blocking.tiles_before(range(0, 3))  # blocks of 6, 6 and 3 tiles
        [0, 6, 12, 15]
        """
        return [0, *itertools.accumulate(math.prod(self.grid.block(i)[2:]) for i in phase)]

    def thread_values(self) -> tuple[int, int]:
        """Return the sizes, in values, of a thread's arrays for half-transformed tiles and for finished tiles.

        Examples
        --------
        >>> blocking = Blocking.of(16, 16, C=8, K=8, m=4, itemsize=4)  # one block of 4 x 4 tiles
        >>> blocking.thread_values()  # 4 · 6 rows · 18 pixels · 8 channels, and 16 · 16 pixels · 8 channels
        (3456, 2048)
        """
        m, n, rows, across = self.grid.m, self.grid.m + 2, self.grid.rows, self.grid.across
        tiles = rows * across
        half = max(rows * n * (m * across + 2) * self.C, n * m * tiles * self.K)
        return half, m * m * tiles * self.K

    def phase_values(self) -> tuple[int, int]:
        """Return the sizes, in values, of the arrays for transformed tiles and for products of the largest phase.

        Examples
        --------
        >>> blocking = Blocking.of(16, 16, C=8, K=16, m=4, itemsize=4)  # one phase of 16 tiles
        >>> blocking.phase_values()  # 6 · 6 points · 16 tiles · 8 channels, and as many for 16 channels
        (4608, 9216)
        """
        tiles = self.grid.rows * self.grid.across
        if self.shared:
            tiles = max(self.tiles_before(phase)[-1] for phase in self.phases)
        points = (self.grid.m + 2) ** 2
        return points * tiles * self.C, points * tiles * self.K

    def scratch(self, threads: int, adjoint: bool) -> list[int]:
        """Return the sizes of the temporary arrays of the convolution, in values, in the order of their allocation.

        Parameters
        ----------
        threads : int
            The number of threads.
        adjoint : bool
            Whether it is the adjoint of a layer, whose transformed kernels are copied.

        Examples
        --------
        >>> blocking = Blocking.of(16, 16, C=8, K=8, m=4, itemsize=4)
        >>> blocking.scratch(threads=1, adjoint=False)  # half-transformed and transformed tiles, products, kernels
        [3456, 4608, 4608, 2304]
        """
        workers = min(threads, self.grid.count)
        kernels = [] if self.kept else [(self.grid.m + 2) * self.group * self.C * self.K]
        half, finished = self.thread_values()
        transformed, products = self.phase_values()
        if self.shared:
            return workers * [half, finished] + [transformed, products] + kernels
        kernels *= 1 + adjoint  # the adjoint's are copied
        return workers * [half, max(finished, transformed)] + workers * [products] + kernels
