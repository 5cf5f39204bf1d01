"""The first half of Winograd's input transform: down the rows of the map, which are read where they lie."""

from numpy.lib.stride_tricks import as_strided

from handstyle.foundations.backend import Array
from handstyle.kernels.cpu.gemm import times_columns
from handstyle.kernels.cpu.strips import Source


def transform_rows(source: Source, BT: Array, m: int, y: slice, x: slice, out: Array) -> None:
    """Apply ``BT`` down the rows of a map, for the outputs at ``[y, x]`` and the pixel to each side of them.

    Parameters
    ----------
    source : Source
        The (H, W, C) map; what lies beyond it is zero.
    BT : (n, n) array
        The transform.
    m : int
        Outputs of a tile; those of row i of the tile rows need n rows of the map from ``y.start + m i - 1`` on.
    y, x : slice
        Of the outputs.
    out : (n, rows, length) array
        Of unit stride along a row, and as long as the columns and two, or longer: the rest is set to zero.
    """
    H, W, C = source.shape
    n, rows = out.shape[:2]
    y0, x0 = y.start - 1, x.start - 1
    seen_y = slice(max(0, y0), min(H, y0 + m * rows + 2))
    seen_x = slice(max(0, x0), min(W, x.stop + 1))
    begin, end = (seen_x.start - x0) * C, (seen_x.stop - x0) * C
    out[..., :begin] = 0
    out[..., end:] = 0
    inner = out[..., begin:end]
    values = source.read(seen_y, seen_x)
    # Tile rows whose n inputs all lie in the picture are one batch of products. At its edge they go alone: a row that
    # is outside is a column of the matrix left out.
    first, last = max(0, -(y0 // m)), min(rows, (H - n - y0) // m + 1)
    if first < last:
        row, item = values.strides
        batch = as_strided(
            values[m * first + y0 - seen_y.start :], (last - first, n, end - begin), (m * row, row, item)
        )
        times_columns(BT, batch, inner[:, first:last].swapaxes(0, 1))
    for i in (i for i in range(rows) if not first <= i < last):
        top = y0 + m * i
        inside = slice(max(top, seen_y.start), max(top, min(top + n, seen_y.stop)))
        seen = values[inside.start - seen_y.start : inside.stop - seen_y.start]
        times_columns(BT[:, inside.start - top : inside.stop - top], seen, inner[:, i])
