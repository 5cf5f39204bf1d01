"""Winograd's convolution along columns only: F(m x 1, 3 x 3), forward and adjoint, channels last.

A tile has m outputs in a column. Down the column they take n = m + 2 multiplications instead of 3 m; along the row the
three weights are applied directly, as one product with three pixels at a time, (pixels, 3 C) @ (3 C, K). With m = 6
that is 4 multiplications for each output and pair of channels, where 6 x 6 tiles take 1.8 and the direct method 9.

In return, there is less other work. Both transforms run along rows of memory and read and write the map in place; there
is no transform along the rows of the tiles. The windows of three pixels overlap, but the rows of a matrix for BLAS may
not. So there are three products, each of every third window, and their operands need no copy. With few channels, where
products are short and transforms take most of the time, this method is the fastest, and its rounding errors are as
small as those of 4 x 4 tiles. (Cho and Brand lower a whole convolution to windows that overlap: MEC, arXiv 1706.06873.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.gemm import rows_times, times_columns
from handstyle.kernels.cpu.strips import Sink, Source, is_byte_aligned
from handstyle.kernels.cpu.threads import MANY_THREADS, Team, block_factor
from handstyle.kernels.winograd_matrices import BIAS_POINT, transforms

BLOCK_BYTES = 3 << 19  # of transformed rows in a block; their products take as many bytes again
TAPS = 3
LOCKED_ROWS = 0.1  # rows of tiles whose work takes as long as a block's calls hold the interpreter's lock


@dataclass(frozen=True)
class Bands:
    """The division of a map into bands of `rows` rows of tiles, and of each band into parts of `columns` pixels.

    A part of a band is a *block*, the piece of work of a thread.

    Parameters
    ----------
    H, W : int
        The height and the width of the map in pixels.
    m : int
        Outputs in the column of a tile.
    rows : int
        Rows of tiles in a band.
    columns : int
        Pixels in a row of a part.

    Examples
    --------
    >>> bands = Bands(H=16, W=12, m=4, rows=2, columns=12)  # 4 rows of tiles
    >>> [bands.block(i) for i in range(bands.count)]
    [(slice(0, 8, None), slice(0, 12, None)), (slice(8, 16, None), slice(0, 12, None))]
    """

    H: int
    W: int
    m: int
    rows: int
    columns: int

    @classmethod
    def cut(cls, H: int, W: int, C: int, K: int, m: int, itemsize: int, threads: int = 1) -> "Bands":
        """Return a division into bands of about `BLOCK_BYTES`; a band has parts only if a single row is larger.

        With many threads, bands are larger and their number fits the threads. The result of the convolution has the
        same bits for any division.

        Parameters
        ----------
        H, W, C, K : int
            The height, width and channels of the map, and the channels of the result.
        m : int
            Outputs in the column of a tile.
        itemsize : int
            Bytes of a value.
        threads : int
            The number of threads.

        Examples
        --------
        >>> Bands.cut(64, 64, C=8, K=8, m=4, itemsize=4)  # 16 rows of tiles in at least eight bands
        Bands(H=64, W=64, m=4, rows=2, columns=64)
        >>> Bands.cut(64, 4096, C=64, K=64, m=4, itemsize=4)  # a single row of tiles takes more than `BLOCK_BYTES`
        Bands(H=64, W=4096, m=4, rows=1, columns=2048)
        """
        fitting = max(1, BLOCK_BYTES // ((m + 2) * max(C, K) * itemsize))  # pixels
        columns = W
        if fitting < W and is_byte_aligned(C) and is_byte_aligned(K):
            columns = 2 * ceil_div(W, 2 * ceil_div(W, 2 * fitting))  # even, for the pools
        down = ceil_div(H, m)
        # At least eight bands, if the map has eight rows of tiles, so that several cores have work.
        rows = max(1, min(fitting // columns, down // 8))
        if threads >= MANY_THREADS:
            large = block_factor(threads) * fitting // columns
            most = max(1, min(large, ceil_div(down * ceil_div(W, columns), threads)))
            bands = [cls(H, W, m, count, columns) for count in range(1, most + 1)]
            return min(bands, key=lambda one: ceil_div(one.count, threads) * one.rows + LOCKED_ROWS * one.count)
        return cls(H, W, m, ceil_div(down, ceil_div(down, rows)), columns)

    @property
    def pitch(self) -> int:
        """Distance in pixels from one row of tiles to the next in temporary memory: a multiple of three.

        Examples
        --------
        >>> Bands(H=16, W=12, m=4, rows=2, columns=12).pitch  # 12, and one on each side, rounded up
        15
        """
        return TAPS * ceil_div(self.columns + 2, TAPS)

    @property
    def _parts(self) -> int:
        """The number of parts of a band."""
        return ceil_div(self.W, self.columns)

    @property
    def count(self) -> int:
        """The number of blocks: of parts of all bands together.

        Examples
        --------
        >>> Bands(H=16, W=12, m=4, rows=2, columns=6).count  # two bands of two parts
        4
        """
        return ceil_div(ceil_div(self.H, self.m), self.rows) * self._parts

    def block(self, i: int) -> tuple[slice, slice]:
        """Return the rows and the columns of the map that block `i` covers.

        Examples
        --------
        >>> Bands(H=14, W=12, m=4, rows=2, columns=6).block(3)  # the map ends at row 14
        (slice(8, 14, None), slice(6, 12, None))
        """
        top, left = i // self._parts * self.rows * self.m, i % self._parts * self.columns
        return slice(top, min(self.H, top + self.rows * self.m)), slice(left, min(self.W, left + self.columns))

    def values(self, C: int, K: int) -> tuple[int, int]:
        """Return the sizes, in values, of a thread's two arrays: for transformed rows or results, and for products.

        Examples
        --------
        >>> bands = Bands(H=16, W=12, m=4, rows=2, columns=12)
        >>> bands.values(C=8, K=16)  # 6 points · 2 rows · 15 pixels, and two more that the last window reads
        (1920, 2880)
        """
        pixels = (self.m + 2) * self.rows * self.pitch
        return max((pixels + 2) * C, self.m * self.rows * self.pitch * K), pixels * K


def scratch(H: int, W: int, C: int, K: int, m: int, itemsize: int, threads: int) -> list[int]:
    """Return the sizes of the temporary arrays of `convolve`, in values; the last one is for the kernels.

    Examples
    --------
    >>> scratch(8, 8, C=16, K=32, m=4, itemsize=4, threads=1)  # the last: 3 · 6 · 16 · 32 and 9 · 16 · 32
    [1536, 2304, 13824]
    """
    bands = Bands.cut(H, W, C, K, m, itemsize, threads)
    return min(threads, bands.count) * [*bands.values(C, K)] + [TAPS * (m + 2) * C * K + 9 * C * K]


def convolve(
    source: Source, w: Array, b: Array | None, sink: Sink, m: int, team: Team, arena: Arena, adjoint: bool = False
) -> None:
    """Convolve a map with zero padding, with tiles of m x 1; the parameters are those of `winograd.convolve`.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    >>> x, w, y = np.ones((8, 8, 8)), np.ones((3, 3, 8, 8)), np.empty((8, 8, 8))
    >>> convolve(ArraySource(x), w, None, StoreSink(y), 4, Team(1), Arena())
    >>> y[0, :, 0].round(6).tolist()  # 4 or 6 neighbors of 8 channels
    [32.0, 48.0, 48.0, 48.0, 48.0, 48.0, 48.0, 32.0]
    """
    (H, W, C), dtype = source.shape, source.dtype
    K = w.shape[2] if adjoint else w.shape[3]
    n, bands = m + 2, Bands.cut(H, W, C, K, m, dtype.itemsize, team.threads)
    BT, _, AT = transforms(m, dtype)
    U = _kernels(w, m, adjoint)
    workers = range(min(team.threads, bands.count))
    buffers = [tuple(arena.take((size,), dtype) for size in bands.values(C, K)) for _ in workers]
    rows, pitch = bands.rows, bands.pitch
    pixels = rows * pitch

    def work(worker: int, blocks: Iterator[int]) -> None:
        first, second = buffers[worker]
        R = first[: n * pixels * C].reshape(n, rows, pitch * C)
        row, pixel, item = pixels * C * R.itemsize, C * R.itemsize, R.itemsize
        windows = as_strided(R, (n, TAPS, pixels // TAPS, TAPS * C), (row, pixel, TAPS * pixel, item))
        M = second.reshape(n, rows, pitch * K)
        row, pixel = pixels * K * item, K * item
        products = as_strided(M, (n, TAPS, pixels // TAPS, K), (row, pixel, TAPS * pixel, item))
        Y = first[: m * pixels * K].reshape(rows, m, pitch * K)
        for block in blocks:
            y, x = bands.block(block)
            columns = x.stop - x.start
            transform_columns(source, BT, m, y, x, R)
            first[n * pixels * C : (n * pixels + 2) * C] = 0  # read by windows whose products are discarded
            rows_times(windows, U, products)
            if b is not None:
                M[BIAS_POINT].reshape(-1, K)[...] += b
            times_columns(AT, M[..., : columns * K].swapaxes(0, 1), Y[..., : columns * K])
            sink.write(y, x, Y.reshape(rows * m, pitch, K)[: y.stop - y.start, :columns])

    team.run(work, bands.count)


def transform_columns(source: Source, BT: Array, m: int, y: slice, x: slice, out: Array) -> None:
    """Apply the input transform ``BT`` to the columns of the tiles whose outputs are at ``[y, x]`` of a map.

    One more pixel on each side is transformed too. This is the first half of the input transform of F(m x m), and all
    of that of F(m x 1). It reads the map in place: n rows, each as one long vector.

    Parameters
    ----------
    source : Source
        The (H, W, C) map; beyond its edge there are zeros.
    BT : (n, n) array
        The transform.
    m : int
        Outputs in a column of a tile; row i of the tiles reads n rows of the map from ``y.start + m i - 1`` on.
    y, x : slice
        The rows and columns of the outputs.
    out : (n, rows, length) array
        Receives the result. The stride along a row must be one value. A row has the columns of the outputs and one more
        on each side; if it is longer, the rest is set to zero.

    Examples
    --------
    >>> from handstyle.kernels.cpu.strips import ArraySource
    >>> import numpy as np
    >>> from handstyle.kernels.winograd_matrices import transforms
    >>> BT, column = transforms(2).BT, ArraySource(np.arange(1.0, 5.0).reshape(4, 1, 1))
    >>> out = np.empty((4, 2, 3))  # two rows of tiles; the middle of three columns is the map's
    >>> transform_columns(column, BT, 2, slice(0, 4), slice(0, 1), out)
    >>> np.array_equal(out[:, 0, 1], BT @ [0, 1, 2, 3]), np.array_equal(out[:, 1, 1], BT @ [2, 3, 4, 0])
    (True, True)
    """
    H, W, C = source.shape
    n, rows = out.shape[:2]
    y0, x0 = y.start - 1, x.start - 1
    read_y = slice(max(0, y0), min(H, y0 + m * rows + 2))
    read_x = slice(max(0, x0), min(W, x.stop + 1))
    begin, end = (read_x.start - x0) * C, (read_x.stop - x0) * C
    out[..., :begin] = 0
    out[..., end:] = 0
    inner = out[..., begin:end]
    values = source.read(read_y, read_x)
    # Rows of tiles whose n inputs all lie in the picture are one batch of products. At the edge each is a product of
    # its own, in which the columns of the matrix for rows outside are left out.
    first, last = max(0, -(y0 // m)), min(rows, (H - n - y0) // m + 1)
    if first < last:
        row, item = values.strides
        batch = as_strided(
            values[m * first + y0 - read_y.start :], (last - first, n, end - begin), (m * row, row, item)
        )
        times_columns(BT, batch, inner[:, first:last].swapaxes(0, 1))
    for i in (i for i in range(rows) if not first <= i < last):
        top = y0 + m * i
        inside = slice(max(top, read_y.start), max(top, min(top + n, read_y.stop)))
        inputs = values[inside.start - read_y.start : inside.stop - read_y.start]
        times_columns(BT[:, inside.start - top : inside.stop - top], inputs, inner[:, i])


def _kernels(w: Array, m: int, adjoint: bool) -> Array:  # (3, 3, C, K) -> (n, 1, 3 C, K)
    # ``G w`` along the columns; the three weights of a row are stacked, as the pixels of a window are.
    C, K = w.shape[2:]
    if adjoint:
        w, C, K = w[::-1, ::-1].transpose(0, 1, 3, 2), K, C
    G = transforms(m, w.dtype).G
    kernels: Array = (G @ w.reshape(TAPS, -1)).reshape(m + 2, 1, TAPS * C, K)
    return kernels
