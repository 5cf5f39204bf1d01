"""Solutions to chapter 23; kernels are for the loops of ``handstyle.book.gpu_by_loops``."""

import numpy as np


def transpose_tiled(blockIdx, blockDim, threadIdx, patch, x, y, M, C):
    """Write x (M, C) as y (C, M), by blocks of 32 x 32 threads."""
    m, c = blockIdx.y * 32 + threadIdx.y, blockIdx.x * 32 + threadIdx.x
    if m < M and c < C:
        patch[threadIdx.y, threadIdx.x] = x[m * C + c]
    yield
    m, c = blockIdx.y * 32 + threadIdx.x, blockIdx.x * 32 + threadIdx.y
    if m < M and c < C:
        y[c * M + m] = patch[threadIdx.x, threadIdx.y]


def pack_votes(positive):  # (..., C) bool -> (..., words) uint32
    """Pack channel c into bit c % 32 of word c // 32, as a warp's votes do."""
    *pixels, C = positive.shape
    words = -(-C // 32)
    votes = np.zeros((*pixels, words * 32), np.uint32)  # the lanes beyond the last channel vote no
    votes[..., :C] = positive
    return (votes.reshape(*pixels, words, 32) << np.arange(32, dtype=np.uint32)).sum(-1, dtype=np.uint32)


def round_bits(a, bits):  # (...) float32 -> (...) float32
    """Round to `bits` bits behind the point, to the nearest, ties away from zero."""
    gone = 23 - bits
    whole = np.asarray(a, "float32").view("uint32") + np.uint32(1 << (gone - 1))
    return (whole & np.uint32(0xFFFFFFFF ^ ((1 << gone) - 1))).view("float32")


def peak_alive(requests):  # -> bytes
    """Return the most that is alive at once."""
    changes = [(r.begins, r.size) for r in requests] + [(r.ends, -r.size) for r in requests]
    now = most = 0
    for _, change in sorted(changes):  # at one moment, what goes before what comes
        now += change
        most = max(most, now)
    return most
