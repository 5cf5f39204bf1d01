"""CUDA by hand."""

from typing import NamedTuple

import numpy as np

from handstyle.book.gpu_by_loops import Traced, launch, warp_sectors
from handstyle.book.grading import exercise, mistake


def _kernel(patched=True, barrier=True, guarded=True):
    def transpose(blockIdx, blockDim, threadIdx, patch, x, y, M, C):
        m, c = blockIdx.y * 32 + threadIdx.y, blockIdx.x * 32 + threadIdx.x
        if not patched:
            if m < M and c < C:
                y[c * M + m] = x[m * C + c]
            return
        if m < M and c < C:
            patch[threadIdx.y, threadIdx.x] = x[m * C + c]
        if barrier:
            yield
        m, c = blockIdx.y * 32 + threadIdx.x, blockIdx.x * 32 + threadIdx.y
        if not guarded or (m < M and c < C):
            y[c * M + m] = patch[threadIdx.x, threadIdx.y]

    return transpose


def _block_not_turned(blockIdx, blockDim, threadIdx, patch, x, y, M, C):
    m, c = blockIdx.y * 32 + threadIdx.y, blockIdx.x * 32 + threadIdx.x
    if m < M and c < C:
        patch[threadIdx.y, threadIdx.x] = x[m * C + c]
    yield
    m, c = blockIdx.y * 32 + threadIdx.x, blockIdx.x * 32 + threadIdx.y
    if m < M and c < C:
        y[c * M + m] = patch[threadIdx.y, threadIdx.x]


@exercise(
    "ch23-transpose",
    "a transposition",
    ["transpose_tiled"],
    mistake(
        "no tile",
        "right, and its writes are 32 sectors to a warp",
        transpose_tiled=_kernel(patched=False),
    ),
    mistake(
        "barrier forgotten",
        "a thread reads what another has not written yet",
        transpose_tiled=_kernel(barrier=False),
    ),
    mistake(
        "the tile is not turned",
        "blocks lie in the right places, and each as it was",
        transpose_tiled=_block_not_turned,
    ),
)
def _transposition(mine, judge):
    def kernel(*a):
        return mine.transpose_tiled(*a)

    for M, C in ((32, 32), (40, 70), (3, 33)):
        x, y = judge.rng.normal(size=(M, C)), np.full(M * C, np.nan)
        launch(kernel, (-(-C // 32), -(-M // 32)), (32, 32), np.zeros((32, 33)), x.ravel(), y, M, C)
        judge.equal(f"the transposition of {M} by {C}", np.nan_to_num(y.reshape(C, M)), x.T, 0)
    x, y, patch = Traced(judge.rng.normal(size=(64, 64))), Traced(np.zeros((64, 64))), np.zeros((32, 33))
    for what, memory in (("read", x), ("written", y)):
        sectors = warp_sectors(memory, kernel, (32, 32), patch, x, y, 64, 64)
        judge.equal(f"sectors of a warp that are {what}", sectors, [4], 0)


def _votes(positive, highest_first=False, cut=False):
    *pixels, C = positive.shape
    words = C // 32 if cut else -(-C // 32)
    votes = np.zeros((*pixels, max(words, 1) * 32), np.uint32)
    votes[..., : min(C, votes.shape[-1])] = positive[..., : votes.shape[-1]]
    order = np.arange(32, dtype=np.uint32)[:: -1 if highest_first else 1]
    return (votes.reshape(*pixels, -1, 32) << order).sum(-1, dtype=np.uint32)


@exercise(
    "ch23-votes",
    "votes",
    ["pack_votes"],
    mistake(
        "highest bit first",
        "np.packbits' own order: channel 0 is bit 31",
        pack_votes=lambda positive: _votes(positive, highest_first=True),
    ),
    mistake(
        "the last word cut",
        "channels beyond a whole number of words are lost",
        pack_votes=lambda positive: _votes(positive, cut=True),
    ),
)
def _pack(mine, judge):
    for channels in (1, 31, 32, 33, 64, 100):
        positive = judge.rng.random((3, 4, channels)) < 0.5
        packed = mine.pack_votes(positive)
        judge.holds(f"{channels} channels: words of uint32", packed.dtype == np.uint32)
        judge.equal(f"{channels} channels", packed, _votes(positive), 0)


def _rounded(a, bits, half=True, even=False):
    gone = 23 - bits
    word = np.asarray(a, "float32").view("uint32")
    add = np.uint32(1 << (gone - 1)) if half else np.uint32(0)
    if even:
        add = np.uint32((1 << (gone - 1)) - 1) + ((word >> np.uint32(gone)) & np.uint32(1))
    return ((word + add) & np.uint32(0xFFFFFFFF ^ ((1 << gone) - 1))).view("float32")


@exercise(
    "ch23-bits",
    "any number of bits",
    ["round_bits"],
    mistake(
        "cut off",
        "the bits that are too many are dropped, which rounds towards zero",
        round_bits=lambda a, bits: _rounded(a, bits, half=False),
    ),
    mistake(
        "ties to even",
        "float32's own rule; the conversion to TF32 rounds a tie away from zero",
        round_bits=lambda a, bits: _rounded(a, bits, even=True),
    ),
    mistake(
        "a fixed point",
        "rounded to a multiple of 2⁻ᵇ, whatever the exponent",
        round_bits=lambda a, bits: np.float32(np.round(np.float64(a) * 2**bits) / 2**bits),
    ),
)
def _bits(mine, judge):
    for bits in (1, 7, 10, 22):
        step = 2.0**-bits
        whole = 1 + step * judge.rng.integers(0, 2**bits, 200)
        for shift, up in ((0.0, 0.0), (0.49, 0.0), (0.5, 1.0), (0.51, 1.0)):
            if shift in (0.49, 0.51) and bits > 10:
                continue
            a = np.float32(whole + shift * step)
            judge.equal(f"{bits} bits, {shift} steps above", mine.round_bits(a, bits), np.float32(whole + up * step), 0)
            judge.equal("and the same below zero", mine.round_bits(-a, bits), -np.float32(whole + up * step), 0)
    a = judge.rng.normal(size=1000).astype("float32")
    for scale in (2.0**-20, 2.0**20):
        expected = _rounded(a, 10) * np.float32(scale)
        judge.equal(f"ten bits, times {scale:g}", mine.round_bits(a * np.float32(scale), 10), expected, 0)


class _Request(NamedTuple):
    size: int
    begins: int
    ends: int


def _peak(requests, first=False):
    changes = [(r.begins, r.size if not first else 0, r.size) for r in requests]
    changes += [(r.ends, 0 if not first else 1, -r.size) for r in requests]
    key = (lambda c: (c[0], c[1])) if first else (lambda c: (c[0], c[2]))
    now = most = 0
    for _, _, change in sorted(changes, key=key):
        now += change
        most = max(most, now)
    return most


@exercise(
    "ch23-alive",
    "what a sweep can do with",
    ["peak_alive"],
    mistake(
        "the sum",
        "all that is ever asked for; much of it is given back before the rest comes",
        peak_alive=lambda requests: sum(r.size for r in requests),
    ),
    mistake(
        "what comes before what goes",
        "at one moment what ends gives its place to what begins",
        peak_alive=lambda requests: _peak(requests, first=True),
    ),
    mistake(
        "counted, not added",
        "how many live together, not how large they are",
        peak_alive=lambda requests: max(sum(r.begins <= k < r.ends for r in requests) for k in range(99)),
    ),
)
def _alive(mine, judge):
    requests = [_Request(1, 0, 3), _Request(1, 1, 3), _Request(1, 2, 4), _Request(3, 3, 4)]
    judge.equal("four requests by hand", mine.peak_alive(requests), 4, 0)
    for n in range(20):
        asked = [_Request(int(judge.rng.integers(1, 9)), b, b + int(judge.rng.integers(1, 8))) for b in range(12)]
        expected = max(sum(r.size for r in asked if r.begins <= k < r.ends) for k in range(20))
        judge.equal(f"twelve requests, draw {n + 1}", mine.peak_alive(asked), expected, 0)
