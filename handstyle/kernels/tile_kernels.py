"""The transformed kernels of Winograd's convolution."""

from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.products import SMALL_PRODUCT
from handstyle.foundations.threads import Team
from handstyle.foundations.workspace import Arena
from handstyle.kernels.grid import ceil_div
from handstyle.kernels.toom_cook import transforms

# Transformed kernels by those they come from, the size of the tile and the direction, and these themselves, so that
# their identity cannot pass to others.
Kept = dict[tuple[int, int, bool], tuple[Array, Array]]


def kernels_for(
    w: Array, m: int, team: Team, arena: Arena, adjoint: bool, turn: bool, kept: Kept | None
) -> Array:  # (3, 3, C, K) -> (n², C, K); adjoint: (n², K, C)
    """Return the transformed kernels of a layer: those of an earlier call, where they are kept."""
    if kept is None:
        return transform_kernels(w, m, team, arena, adjoint, turn)
    key = id(w), m, adjoint
    if key not in kept:
        room = np.empty(((m + 2) ** 2, w.shape[2], w.shape[3]), w.dtype)
        kept[key] = w, transform_kernels(w, m, team, arena, adjoint, turn=True, out=room)
    return kept[key][1]


def transform_kernels(  # (3, 3, C, K) -> (n², C, K); adjoint: (n², K, C)
    w: Array,
    m: int,
    team: Team,
    arena: Arena,
    adjoint: bool = False,
    turn: bool = False,
    out: Array | None = None,  # (n², C, K)
) -> Array:
    """Transform all kernels of a layer, ``G w Gᵀ`` for each pair of channels, by one Kronecker matrix.

    The adjoint's are a transposed view, which the kernels for large products read as well; `turn` copies them.
    """
    C, K = w.shape[2:]
    G = transforms(m, w.dtype).G
    kron = np.kron(G, G)  # (n², 9)
    if adjoint:
        kron = np.ascontiguousarray(kron[:, ::-1])
    points = len(kron)
    U = arena.take((points, C, K), w.dtype) if out is None or adjoint else out
    rows = max(1, SMALL_PRODUCT // (kron.size * K))

    def work(_: int, pieces: Iterator[int]) -> None:
        for piece in pieces:
            part = slice(rows * piece, rows * (piece + 1))
            flat = w[:, :, part].reshape(9, -1)  # of a slab, a copy
            np.matmul(kron, flat, out=U[:, part].reshape(points, -1))

    team.run(work, ceil_div(C, rows))
    if not adjoint:
        return U
    if not turn:
        return U.transpose(0, 2, 1)
    # The kernels for small products want plain operands.
    turned = arena.take((points, K, C), w.dtype) if out is None else out.reshape(points, K, C)

    def copy(_: int, pieces: Iterator[int]) -> None:
        for point in pieces:
            turned[point] = U[point].T

    team.run(copy, points)
    return turned
