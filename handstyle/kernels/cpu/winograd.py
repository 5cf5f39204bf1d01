"""Winograd's convolution F(m x m, 3 x 3), forward and adjoint, channels last.

``winograd_plain.py`` has the same four steps on whole arrays. Here they are taken for some tiles at a time, so that
what one step writes is in the cache when the next one reads it. A tile of m x m outputs needs n x n inputs, n = m + 2.

`convolve` cuts the map into tiles, the tiles into blocks, and the blocks into phases (`Blocking`). The kernels become
n² matrices ``U`` of C x K, all of them at first or, if the map is a single phase, a group at a time. `run_phase` takes
three steps:

1. ``transform_inputs``: the tiles of every block become n² matrices ``V`` of tiles x C, one for each point of a tile.
2. ``multiply``: the n² products ``M = V U``, of tiles x K.
3. ``transform_outputs``: ``M`` becomes m x m pixels of every tile, which the sink receives.

There are two ways to share this work. With many kernels, all threads share each step of a phase, so that every kernel
is read once. With few, a phase is one block, and each thread takes the three steps of its own phases.

Every transform is a small matrix product too: first down the columns of the tiles, then along their rows. The first
reads the map in place, n rows, each as one long vector. Zero padding costs nothing there: for a row outside the picture
a column of the matrix is left out. The second reads overlapping windows, and the last transform writes whole rows of
pixels, so that no values are gathered or scattered.

Accuracy. The error of a layer in float32, in root mean square relative to the standard deviation of its output, is
1.7e-6 with tiles of 4 x 4 or 6 x 1, 5e-6 with 6 x 6, and 2.4e-7 if computed directly. These errors have little direct
influence on the gradient of the objective. Compared with float64, on VGG-19 and a photograph of 384 x 384 pixels, the
relative error of the gradient is between 1e-4 and 1.5e-3 with any method, the direct one included. Nearly all of it
comes from values near zero at a rectifier and from nearly equal values in a max pool, where rounding changes which
gradient passes. Of the 29 million values of one pass this happens to 1 to 3 at rectifiers and 4 to 14 at pools with
4 x 4 tiles (directly: 1, and 8 to 10), and each changes the gradient by about 1e-4. If rectifiers and pools are forced
to pass what they pass in float64, the error of the gradient is 2e-7 (direct) or 4e-6 (tiles). So the backward pass,
which is linear, may have larger tiles, and so may the forward pass from 256 channels on, where there are few values.
Which of two nearly equal values passes makes no difference to an optimizer: after 60 iterations of L-BFGS-B at
256 x 256 the loss is 10.9 with direct convolution, 11.4 with 2 x 2 tiles, 11.3 with 4 x 4, 11.0 with 6 x 6 and 11.1
with ``auto``, which is not the order of the errors. (``benchmarks/gradient_error.py`` counts the changes and makes the
runs.)
"""

from collections.abc import Callable, Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.blocking import Blocking, cut_products
from handstyle.kernels.cpu.gemm import rows_times, times_columns
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.cpu.winograd_columns import transform_columns
from handstyle.kernels.cpu.winograd_kernels import KernelCache, cached_kernels, transform_kernels
from handstyle.kernels.winograd_matrices import BIAS_POINT, transforms

Work = Callable[[int, Iterator[int]], None]  # (worker, indices of pieces), as of `Team.run`


def convolve(
    source: Source,
    w: Array,
    b: Array | None,
    sink: Sink,
    m: int,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    cache: KernelCache | None = None,
) -> None:
    """Convolve a map with zero padding, tile by tile; the result is that of `conv3x3_forward` except for rounding.

    Parameters
    ----------
    source : Source
        The (H, W, C) map.
    w : (3, 3, C, K) array
        The kernels; with `adjoint` those of the forward pass, (3, 3, K, C).
    b : (K,) array or None
        The bias.
    sink : Sink
        Receives the (H, W, K) result.
    m : {2, 4, 6}
        Outputs along each side of a tile.
    team, arena : Team, Arena
        Threads and memory.
    adjoint : bool
        Apply the adjoint of the convolution: kernels are turned by 180 degrees, and channels in and out exchanged.
    cache : dict, optional
        A cache of transformed kernels for later calls with the same `w`, which must not be changed. Without it they
        are transformed at each call.

    Examples
    --------
    >>> from handstyle.kernels.cpu.arena import default_arena
    >>> from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    >>> from handstyle.kernels.cpu.threads import default_team
    >>> y = np.empty((3, 3, 1))
    >>> ones, w = ArraySource(np.ones((3, 3, 1))), np.ones((3, 3, 1, 1))
    >>> convolve(ones, w, None, StoreSink(y), 2, default_team(), default_arena())
    >>> y[..., 0].round()  # how many of nine pixels lie in the map
    array([[4., 6., 4.],
           [6., 9., 6.],
           [4., 6., 4.]])
    """
    (H, W, C), dtype = source.shape, source.dtype
    n, K = m + 2, w.shape[2] if adjoint else w.shape[3]
    blocking = Blocking.of(H, W, C, K, m, dtype.itemsize, cache is not None, team.threads)
    workers = range(min(team.threads, blocking.grid.count))
    half, finished = blocking.thread_values()
    transformed, products = blocking.phase_values()
    # A thread that works on a phase alone writes finished tiles over the transformed ones, no longer needed by then.
    sizes = half, max(finished, 0 if blocking.shared else transformed)
    own = [_Transforms(source, b, sink, blocking, *(arena.take((size,), dtype) for size in sizes)) for _ in workers]
    V_buffers = [arena.take((transformed,), dtype)] if blocking.shared else [one.finished for one in own]
    M_buffers = [arena.take((products,), dtype) for _ in V_buffers]
    all_at_once = blocking.group == n  # all kernels are transformed at once
    U = cached_kernels(w, m, team, arena, adjoint, not blocking.shared, cache) if all_at_once else None

    def run_phase(blocks: range, buffer: int, run: Callable[[Work, int], None]) -> None:
        starts = blocking.tiles_before(blocks)
        tiles = starts[-1]
        V = V_buffers[buffer][: n * n * tiles * C].reshape(n * n, tiles, C)
        M = M_buffers[buffer][: n * n * tiles * K].reshape(n * n, tiles, K)

        def transform_inputs(worker: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                own[worker].transform_input(blocks[i], V[:, starts[i] : starts[i + 1]])

        def multiply(rows: slice) -> None:
            kernels = transform_kernels(w, m, team, arena, adjoint, rows=rows) if U is None else U
            points = slice(n * rows.start, n * rows.stop)
            if not blocking.shared:  # alone, a thread makes one call
                run(lambda worker, _: rows_times(V[points], kernels, M[points]), 1)
                return
            cuts = cut_products(len(kernels), tiles, C * K, team.threads)

            def work(worker: int, pieces: Iterator[int]) -> None:
                for i in pieces:
                    point, cut = points.start + i // len(cuts), cuts[i % len(cuts)]
                    rows_times(V[point, cut], kernels[i // len(cuts)], M[point, cut])

            run(work, len(kernels) * len(cuts))

        def transform_outputs(worker: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                own[worker].transform_output(blocks[i], M[:, starts[i] : starts[i + 1]])

        run(transform_inputs, len(blocks))
        for rows in blocking.groups:
            multiply(rows)
        run(transform_outputs, len(blocks))

    phases = blocking.phases
    if blocking.shared:
        for blocks in phases:
            run_phase(blocks, 0, team.run)
        return

    def run_phases(worker: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            run_phase(phases[i], worker, lambda work, count: work(worker, iter(range(count))))

    team.run(run_phases, len(phases))


class _Transforms:
    # The input and output transforms of one thread, with its buffers for half-transformed and for finished tiles.

    def __init__(self, source: Source, b: Array | None, sink: Sink, blocking: Blocking, half: Array, finished: Array):
        self.source, self.b, self.sink, self.grid, self.K = source, b, sink, blocking.grid, blocking.K
        self.half, self.finished = half, finished
        self.BT, _, self.AT = transforms(self.grid.m, source.dtype)

    def transform_input(self, block: int, V: Array) -> None:  # (n², tiles, C)
        # BT x B for the tiles of a block, from the map to V: down the columns of the tiles, then along their rows.
        m, n, C = self.grid.m, self.grid.m + 2, self.source.shape[2]
        top, left, rows, across = self.grid.block(block)
        y, x = slice(m * top, m * (top + rows)), slice(m * left, m * (left + across))
        pixels = m * across + 2
        half = self.half[: rows * n * pixels * C].reshape(rows, n, pixels * C)
        transform_columns(self.source, self.BT, m, y, x, half.swapaxes(0, 1))
        # A tile's row is n pixels and begins m pixels after its neighbor's, so that they overlap by two.
        row, item = half.strides[1:]
        tiles = np.ndarray(
            (rows, n, across, n, C), half.dtype, half, strides=(n * row, row, m * C * item, C * item, item)
        )  # as_strided does the same and takes longer
        np.matmul(self.BT, tiles, out=V.reshape(n, n, rows, across, C).transpose(2, 0, 3, 1, 4))

    def transform_output(self, block: int, M: Array) -> None:  # (n², tiles, K)
        # AT M A for the tiles of a block, from M to the sink: down the columns, then along the rows.
        m, n, K = self.grid.m, self.grid.m + 2, self.K
        top, left, rows, across = self.grid.block(block)
        values = rows * across * K
        if self.b is not None:
            M[n * BIAS_POINT + BIAS_POINT] += self.b
        half = self.half[: n * m * values].reshape(n, m, values)  # column of the tile, row, tiles
        times_columns(self.AT, M.reshape(n, n, values).swapaxes(0, 1), half)
        tiles = half.reshape(n, m, rows, across, K).transpose(2, 1, 3, 0, 4)
        finished = self.finished[: m * m * values].reshape(rows, m, across, m, K)  # whole rows of pixels
        np.matmul(self.AT, tiles, out=finished)
        y = slice(m * top, min(self.grid.H, m * (top + rows)))
        x = slice(m * left, min(self.grid.W, m * (left + across)))
        self.sink.write(y, x, finished.reshape(m * rows, m * across, K)[: y.stop - y.start, : x.stop - x.start])
