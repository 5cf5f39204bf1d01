"""Solutions to chapter 21. The tests that hold them grade a reader's file too."""

import numpy as np

from handstyle.kernels.winograd_matrices import transforms


def winograd_matrices(points):  # m + 1 finite points -> (n, n), (n, 3), (m, n)
    """Return the matrices of F(m, 3) from its points; infinity comes last."""
    n = len(points) + 1
    m = n - 2
    BT, G, AT = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((m, n))
    for i, p in enumerate(points):
        others = [q for j, q in enumerate(points) if j != i]
        BT[i, : n - 1] = np.poly(others)[::-1]
        G[i] = np.array([1, p, p * p]) / np.prod([p - q for q in others])
        AT[:, i] = [p**k for k in range(m)]
    BT[-1] = np.poly(points)[::-1]
    G[-1, 2] = AT[-1, -1] = 1
    return BT, G, AT


def transposed_backward(dy, cache):  # (H, W, K), (w, m) -> (H, W, C)
    """Go back through the steps of the convolution, each transposed."""
    w, m = cache
    (H, W, K), C, n = dy.shape, w.shape[2], m + 2
    BT, G, AT = transforms(m, dy.dtype)
    down, across = -(-H // m), -(-W // m)
    whole = np.zeros((m * down, m * across, K), dy.dtype)
    whole[:H, :W] = dy
    tiles = whole.reshape(down, m, across, m, K).transpose(1, 3, 0, 2, 4).reshape(m, m, -1, K)
    dM = np.einsum("pi,qj,pqtk->ijtk", AT, AT, tiles, optimize=True)
    U = np.einsum("pi,qj,ijck->pqck", G, G, w, optimize=True)
    dV = dM @ U.swapaxes(-1, -2)
    dtiles = np.einsum("pi,qj,pqtc->ijtc", BT, BT, dV, optimize=True)
    dxpad = np.zeros((m * down + 2, m * across + 2, C), dy.dtype)
    for i, j in np.ndindex(n, n):
        dxpad[i : i + m * down : m, j : j + m * across : m] += dtiles[i, j].reshape(down, across, C)
    return dxpad[1 : H + 1, 1 : W + 1]
