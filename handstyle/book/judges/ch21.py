"""Winograd's convolution."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.kernels.winograd_matrices import transforms
from handstyle.kernels.winograd_plain import winograd_forward
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward


def _matrices(points, divided=True, infinity=True, ascending=True):
    n = len(points) + 1
    m = n - 2
    BT, G, AT = np.zeros((n, n)), np.zeros((n, 3)), np.zeros((m, n))
    step = -1 if ascending else 1
    for i, p in enumerate(points):
        others = [q for j, q in enumerate(points) if j != i]
        BT[i, : n - 1] = np.poly(others)[::step]
        G[i] = np.array([1, p, p * p]) / (np.prod([p - q for q in others]) if divided else 1)
        AT[:, i] = [p**k for k in range(m)]
    BT[-1] = np.poly(points)[::step]
    G[-1, 2] = 1
    AT[-1, -1] = float(infinity)
    return BT, G, AT


@exercise(
    "ch21-matrices",
    "the matrices",
    ["winograd_matrices"],
    mistake(
        "not divided",
        "Lagrange's products of differences are nowhere below the line",
        winograd_matrices=lambda points: _matrices(points, divided=False),
    ),
    mistake(
        "infinity forgotten",
        "the last point's product is not added to the last output",
        winograd_matrices=lambda points: _matrices(points, infinity=False),
    ),
    mistake(
        "coefficients from the highest",
        "np.poly begins with the highest power; the inputs begin with the lowest",
        winograd_matrices=lambda points: _matrices(points, ascending=False),
    ),
)
def _winograd(mine, judge):
    for points in ([0, 1, -1], [0, 1, 2], [0, 1, -1, 2], [0, 1, -1, 0.5, -2]):
        BT, G, AT = mine.winograd_matrices(list(points))
        m = len(points) - 1
        x, w = judge.rng.normal(size=m + 2), judge.rng.normal(size=3)
        judge.equal(f"the points {points} and infinity: the shape", np.shape(BT), (m + 2, m + 2), 0)
        y = AT @ ((G @ w) * (BT @ x))
        judge.equal(f"the points {points} and infinity", y, [x[k : k + 3] @ w for k in range(m)], 1e-11)


def _transposed(dy, cache, overlap=True, turned=False):
    w, m = cache
    (H, W, K), C, n = dy.shape, w.shape[2], m + 2
    BT, G, AT = transforms(m, dy.dtype)
    down, across = -(-H // m), -(-W // m)
    whole = np.zeros((m * down, m * across, K), dy.dtype)
    whole[:H, :W] = dy
    tiles = whole.reshape(down, m, across, m, K).transpose(1, 3, 0, 2, 4).reshape(m, m, -1, K)
    dM = np.einsum("pi,qj,pqtk->ijtk", AT, AT, tiles, optimize=True)
    U = np.einsum("pi,qj,ijck->pqck", G, G, w[::-1, ::-1] if turned else w, optimize=True)
    dtiles = np.einsum("pi,qj,pqtc->ijtc", BT, BT, dM @ U.swapaxes(-1, -2), optimize=True)
    dxpad = np.zeros((m * down + 2, m * across + 2, C), dy.dtype)
    for i, j in np.ndindex(n, n):
        there = dxpad[i : i + m * down : m, j : j + m * across : m]
        there[...] = dtiles[i, j].reshape(down, across, C) + (there if overlap else 0)
    return dxpad[1 : H + 1, 1 : W + 1]


@exercise(
    "ch21-transposed",
    "the other adjoint",
    ["transposed_backward"],
    mistake(
        "tiles overwrite",
        "overlapping tiles were cut out of one map: their gradients add up where they overlap",
        transposed_backward=lambda dy, cache: _transposed(dy, cache, overlap=False),
    ),
    mistake(
        "kernel turned",
        "the kernel is turned round as well; each step transposed does that already",
        transposed_backward=lambda dy, cache: _transposed(dy, cache, turned=True),
    ),
)
def _adjoint(mine, judge):
    for m in (2, 4, 6):
        for H, W in ((1, 1), (7, 12), (13, 5)):
            w, dy = judge.rng.normal(size=(3, 3, 3, 4)), judge.rng.normal(size=(H, W, 4))
            _, cache = conv3x3_forward(np.zeros((H, W, 3)), w, np.zeros(4))
            found = mine.transposed_backward(dy, (w, m))
            judge.equal(f"F({m}, 3), {H} by {W}, against chapter 6", found, conv3x3_backward(dy, cache), 1e-10)
    w = judge.rng.normal(size=(3, 3, 3, 4))
    judge.adjoint(
        "the adjoint of the package's forward",
        lambda u: winograd_forward(u, w, np.zeros(4), 4)[0],
        lambda v: mine.transposed_backward(v, (w, 4)),
        (9, 11, 3),
    )
