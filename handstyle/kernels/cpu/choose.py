"""Run a convolution by the method that its tile size stands for: im2col, F(m x 1) or F(m x m)."""

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import LOWERED, Cost, Tile, ceil_div
from handstyle.kernels.cpu import im2col, winograd, winograd_columns
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.blocking import Blocking
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.cpu.winograd_kernels import KernelCache

# Bytes moved for each byte of weights that BLAS packs for a product, and for each one that is copied transposed.
# Measured by processor time: products of 16 to 64 rows with weights of 9 MB, and copies of these.
PACKED_BYTES, TRANSPOSED_BYTES = 1.5, 4.5


def convolve(
    source: Source,
    w: Array,
    b: Array | None,
    sink: Sink,
    tile: Tile,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    cache: KernelCache | None = None,
) -> None:
    """Convolve a map with zero padding, by the method of `tile`; see `winograd.convolve` for the other parameters.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    >>> x, w, y = np.ones((4, 4, 8)), np.ones((3, 3, 8, 8)), np.empty((4, 4, 8))
    >>> convolve(ArraySource(x), w, None, StoreSink(y), LOWERED, Team(1), Arena())
    >>> y[..., 0].tolist()  # 4, 6 or 9 neighbors of 8 channels
    [[32.0, 48.0, 48.0, 32.0], [48.0, 72.0, 72.0, 48.0], [48.0, 72.0, 72.0, 48.0], [32.0, 48.0, 48.0, 32.0]]
    """
    if tile == LOWERED:
        im2col.convolve(source, w, b, sink, team, arena, adjoint)
    elif tile.across == 1:
        winograd_columns.convolve(source, w, b, sink, tile.down, team, arena, adjoint)
    else:
        winograd.convolve(source, w, b, sink, tile.down, team, arena, adjoint, cache)


def scratch(
    H: int, W: int, C: int, K: int, tile: Tile, itemsize: int, threads: int, adjoint: bool, kept: bool
) -> tuple[list[int], int]:
    """Return the sizes, in values, of the temporary arrays of `convolve` and of the transformed kernels it caches.

    Examples
    --------
    >>> sizes, kept = scratch(8, 8, 16, 32, Tile(4, 4), itemsize=4, threads=1, adjoint=False, kept=True)
    >>> kept  # 6 x 6 points of 16 x 32 kernels
    18432
    """
    if tile == LOWERED:
        return im2col.scratch(H, W, C, K, itemsize, threads, adjoint), 0
    if tile.across == 1:
        return winograd_columns.scratch(H, W, C, K, tile.down, itemsize, threads), 0
    blocking = Blocking.of(H, W, C, K, tile.down, itemsize, kept, threads)
    return blocking.scratch(threads, adjoint), kept * (tile.down + 2) ** 2 * C * K


def weights_cost(H: int, W: int, C: int, K: int, tile: Tile, itemsize: int, threads: int, adjoint: bool) -> Cost:
    """Return the cost of reading and copying the weights of a convolution, in addition to `convolution_cost`.

    BLAS copies the weights again for each product, and a small map is cut into nearly as many blocks as a large one, so
    this cost shrinks less than the map does. The adjoint by lowering copies its weights transposed, in one thread.

    Parameters
    ----------
    H, W, C, K, tile, itemsize
        See `convolution_cost`.
    threads : int
        Number of threads.
    adjoint : bool
        Whether it is the adjoint of a layer.

    Returns
    -------
    Cost
        Only ``moved``, the bytes read from and written to memory.

    Examples
    --------
    >>> weights_cost(32, 32, 512, 512, LOWERED, itemsize=4, threads=2, adjoint=False).moved > 9 * 512 * 512 * 4
    True
    """
    n = tile.down + 2
    if tile == LOWERED:
        few = adjoint and K <= im2col.FEW_CHANNELS
        strips = ceil_div(H, im2col.strip_rows(H, 9 * (K if few else C) * W * itemsize))
        transposed = TRANSPOSED_BYTES * threads if adjoint and not few else 0.0
        return Cost(moved=int(9 * itemsize * C * K * (PACKED_BYTES * strips - 1 + transposed)))  # 1 is counted there
    if tile.across == 1:
        bands = winograd_columns.Bands.cut(H, W, C, K, tile.down, itemsize, threads)
        return Cost(moved=int(PACKED_BYTES * bands.count * 3 * n * itemsize * C * K))
    blocking = Blocking.of(H, W, C, K, tile.down, itemsize, threads=threads)
    return Cost() if blocking.shared else Cost(moved=int(PACKED_BYTES * blocking.grid.count * n * n * itemsize * C * K))
