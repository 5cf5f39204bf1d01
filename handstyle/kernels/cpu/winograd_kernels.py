"""Transform the kernels for Winograd's convolution, and cache them between calls."""

from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import Arena, scratch
from handstyle.kernels.cpu.gemm import MAX_COLUMNS, MIN_COLUMNS
from handstyle.kernels.cpu.threads import Team
from handstyle.kernels.winograd_matrices import transforms

# (id of the kernels, m, adjoint) -> the kernels and the transformed kernels. The kernels are kept too, because the id
# of an array that is deleted can be given to another.
KernelCache = dict[tuple[int, int, bool], tuple[Array, Array]]


def cached_kernels(
    w: Array, m: int, team: Team, arena: Arena, adjoint: bool, contiguous: bool, cache: KernelCache | None
) -> Array:  # (3, 3, C, K) -> (n², C, K); adjoint: (n², K, C)
    """Return the transformed kernels of a layer, from `cache` if it has them.

    Examples
    --------
    >>> w, cache = np.ones((3, 3, 2, 2)), {}
    >>> first = cached_kernels(w, 2, Team(1), Arena(), adjoint=False, contiguous=True, cache=cache)
    >>> second = cached_kernels(w, 2, Team(1), Arena(), adjoint=False, contiguous=True, cache=cache)
    >>> first.shape, second is first
    ((16, 2, 2), True)
    """
    if cache is None:
        return transform_kernels(w, m, team, arena, adjoint, contiguous)
    key = id(w), m, adjoint
    if key not in cache:
        transformed = np.empty(((m + 2) ** 2, w.shape[2], w.shape[3]), w.dtype)
        cache[key] = w, transform_kernels(w, m, team, arena, adjoint, contiguous=True, out=transformed)
    return cache[key][1]


def transform_kernels(  # (3, 3, C, K) -> (rows n, C, K); adjoint: (rows n, K, C)
    w: Array,
    m: int,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    contiguous: bool = False,
    out: Array | None = None,  # (rows n, C, K)
    rows: slice | None = None,
) -> Array:
    """Transform all kernels of a layer, ``G w Gᵀ`` for each pair of channels: down the columns, then along the rows.

    `rows` selects rows of the n x n points; by default all are computed. With `adjoint` the result is a transposed
    view, which is as fast as a copy in large products; with `contiguous` it is a contiguous copy, faster in small ones.

    Examples
    --------
    >>> w = np.random.default_rng(0).normal(size=(3, 3, 1, 1))
    >>> U, G = transform_kernels(w, 2, Team(1), Arena()), transforms(2, w.dtype).G
    >>> np.allclose(U.reshape(4, 4), G @ w[..., 0, 0] @ G.T)
    True
    """
    C, K = w.shape[2:]
    G = transforms(m, w.dtype).G
    if adjoint:  # each kernel is turned by 180 degrees
        G = np.ascontiguousarray(G[:, ::-1])
    down = G[rows or slice(None)]
    n, row_count = m + 2, len(down)
    U = arena.take((row_count * n, C, K), w.dtype) if out is None or adjoint else out
    flat, points = w.reshape(3, 3, C * K), U.reshape(row_count, n, C * K)
    step = min(MAX_COLUMNS, max(MIN_COLUMNS, ceil_div(C * K, team.threads)))

    def work(_: int, pieces: Iterator[int]) -> None:
        half = scratch.take("values", (3, row_count, step), w.dtype)
        for piece in pieces:
            part = slice(step * piece, min(C * K, step * (piece + 1)))
            along = half[..., : part.stop - part.start]
            np.matmul(down, flat[:, :, part].swapaxes(0, 1), out=along)
            np.matmul(G, along.swapaxes(0, 1), out=points[:, :, part])

    team.run(work, ceil_div(C * K, step))
    if not adjoint:
        return U
    if not contiguous:
        return U.transpose(0, 2, 1)
    # OpenBLAS's kernels for small products are fast on contiguous operands only.
    transposed = arena.take((row_count * n, K, C), w.dtype) if out is None else out.reshape(row_count * n, K, C)

    count = ceil_div(row_count * n, team.threads)

    def copy(_: int, pieces: Iterator[int]) -> None:
        for piece in pieces:
            points = slice(count * piece, count * (piece + 1))
            transposed[points] = U[points].transpose(0, 2, 1)

    team.run(copy, ceil_div(row_count * n, count))
    return transposed
