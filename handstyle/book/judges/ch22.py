"""Fewer passes."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.pooling import average_pool_backward, average_pool_forward
from handstyle.network.relu import relu_backward, relu_forward

SHAPES = [(2, 2, 1), (6, 10, 3), (4, 8, 8)]


def _forward(z, at_zero=False):
    H, W, K = z.shape
    y = np.maximum(z, 0).reshape(H // 2, 2, W // 2, 2, K).mean(axis=(1, 3))
    return y, (np.packbits(((z >= 0) if at_zero else (z > 0)).reshape(H, -1), axis=1), z.shape)


def _backward(dy, cache, masked=True, quarter=4):
    bits, (H, W, K) = cache
    mask = np.unpackbits(bits, axis=1, count=W * K).reshape(H, W, K)
    return dy.repeat(2, axis=0).repeat(2, axis=1) / quarter * (mask if masked else 1)


@exercise(
    "ch22-average-stage",
    "a stage with an average",
    ["average_stage_forward", "average_stage_backward"],
    mistake(
        "pool mask without the rectifier's bit",
        "the gradient is spread over all four, also where the rectifier let nothing through",
        average_stage_forward=_forward,
        average_stage_backward=lambda dy, cache: _backward(dy, cache, masked=False),
    ),
    mistake(
        "average not divided",
        "each of the four gets all of the gradient",
        average_stage_forward=_forward,
        average_stage_backward=lambda dy, cache: _backward(dy, cache, quarter=1),
    ),
    mistake(
        "gradient at zero",
        "the bit is set at zero, where nothing passes",
        average_stage_forward=lambda z: _forward(z, at_zero=True),
        average_stage_backward=_backward,
    ),
    mistake(
        "booleans kept",
        "a byte a value, eight times what is allowed",
        average_stage_forward=lambda z: (_forward(z)[0], ((z > 0).astype(np.uint8), z.shape)),
        average_stage_backward=lambda dy, cache: dy.repeat(2, axis=0).repeat(2, axis=1) / 4 * cache[0],
    ),
)
def _stage(mine, judge):
    for shape in SHAPES:
        z = np.round(judge.rng.normal(size=shape))
        y, cache = mine.average_stage_forward(z)
        rectified, mask = relu_forward(z)
        expected, pooled = average_pool_forward(rectified)
        judge.equal(f"forward, {shape}", y, expected, 1e-14)
        dy = judge.rng.normal(size=expected.shape)
        there = relu_backward(average_pool_backward(dy, pooled), mask)
        judge.equal(f"backward, {shape}", mine.average_stage_backward(dy, cache), there, 1e-14)
    for shape in SHAPES:
        z = judge.rng.normal(size=shape)
        y, cache = mine.average_stage_forward(z)
        d = judge.rng.normal(size=y.shape)
        gradient = mine.average_stage_backward(d, cache)
        judge.gradient(
            f"differences, {shape}", lambda z, d=d: float((mine.average_stage_forward(z)[0] * d).sum()), gradient, z
        )
    H, W, K = shape = 8, 12, 5
    _, (bits, kept) = mine.average_stage_forward(judge.rng.normal(size=shape))
    judge.holds("the bits are of uint8", bits.dtype == np.uint8)
    judge.equal("bytes kept beyond a bit a value and one a row", max(bits.nbytes - (-(-H * W * K // 8) + H), 0), 0, 0)
    judge.holds("the shape is kept", tuple(kept) == shape)


def _bytes(H, W, C, K, fused, apart=30.25, weights=True):
    n = H * W * K
    read = 4 * (H * W * C + 9 * C * K * weights)
    return read + (n + n / 8 if fused else apart * n)


@exercise(
    "ch22-passes",
    "how many passes",
    ["stage_bytes"],
    mistake(
        "the kernels forgotten",
        "nine numbers for each pair of channels are read too",
        stage_bytes=lambda *a, **k: _bytes(*a, weights=False, **k),
    ),
    mistake(
        "the rectifier's mask forgotten",
        "the mask is made in a pass of its own: read four bytes a value, write one",
        stage_bytes=lambda *a, **k: _bytes(*a, apart=25.25, **k),
    ),
    mistake(
        "the convolution's own output forgotten",
        "it is written before the bias reads it",
        stage_bytes=lambda *a, **k: _bytes(*a, apart=26.25, **k),
    ),
)
def _passes(mine, judge):
    for H, W, C, K in ((8, 6, 3, 4), (64, 64, 512, 512)):
        n = H * W * K
        read = 4 * (H * W * C + 9 * C * K)
        apart = read + 4 * n + 8 * n + 8 * n + 5 * n + (4 * n + n + n / 4)  # convolution, bias, rectifier, mask, pool
        judge.equal(f"apart, {(H, W, C, K)}", mine.stage_bytes(H, W, C, K, fused=False), apart, 0)
        judge.equal(f"fused, {(H, W, C, K)}", mine.stage_bytes(H, W, C, K, fused=True), read + n + n / 8, 0)
