"""Dispatch a convolution to im2col, F(m x 1) or F(m x m), by its tile."""

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import LOWERED, Tile
from handstyle.kernels.cpu import im2col, winograd, winograd_columns
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.strips import Sink, Source
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.cpu.tiling import Tiling
from handstyle.kernels.cpu.winograd_kernels import Kept


def convolve(
    source: Source,
    w: Array,
    b: Array | None,
    sink: Sink,
    tile: Tile,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    kept: Kept | None = None,
) -> None:
    """Convolve a map with zero padding, by the method of `tile`; other parameters as of `winograd.convolve`."""
    if tile == LOWERED:
        im2col.convolve(source, w, b, sink, team, arena, adjoint)
    elif tile.across == 1:
        winograd_columns.convolve(source, w, b, sink, tile.down, team, arena, adjoint)
    else:
        winograd.convolve(source, w, b, sink, tile.down, team, arena, adjoint, kept)


def scratch(
    H: int, W: int, C: int, K: int, tile: Tile, itemsize: int, threads: int, adjoint: bool, kept: bool
) -> tuple[list[int], int]:
    """Return the values of each array of scratch that `convolve` takes, and those of the kernels that it keeps."""
    if tile == LOWERED:
        return im2col.scratch(H, W, C, K, itemsize, threads, adjoint), 0
    if tile.across == 1:
        return winograd_columns.scratch(H, W, C, K, tile.down, itemsize, threads), 0
    tiling = Tiling.of(H, W, C, K, tile.down, itemsize, kept, threads)
    return tiling.scratch(threads, adjoint), kept * (tile.down + 2) ** 2 * C * K
