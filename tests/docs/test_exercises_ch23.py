"""The exercises of chapter 23."""

from typing import NamedTuple

import numpy as np
import pytest
from solutions.gpu_by_loops import Traced, launch, warp_sectors

pytestmark = [pytest.mark.exercise, pytest.mark.ch23]


@pytest.mark.parametrize("shape", [(32, 32), (64, 96), (40, 70), (3, 33)])
def test_a_transposition_by_tiles_is_the_transposition(mine, rng, shape):
    M, C = shape
    x, y = rng.normal(size=shape), np.full(M * C, np.nan)

    def kernel(*a):
        return mine.transpose_tiled(*a)

    launch(kernel, (-(-C // 32), -(-M // 32)), (32, 32), np.full((32, 33), np.nan), x.ravel(), y, M, C)
    np.testing.assert_array_equal(y.reshape(C, M), x.T)


def test_a_transposition_by_tiles_reads_and_writes_whole_sectors(mine, rng):
    x, y, patch = Traced(rng.normal(size=(64, 64))), Traced(np.zeros((64, 64))), np.zeros((32, 33))

    def kernel(*a):
        return mine.transpose_tiled(*a)

    for memory in (x, y):
        assert warp_sectors(memory, kernel, (32, 32), patch, x, y, 64, 64) == [4]


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 100])
def test_votes_are_packed_lowest_channel_first(mine, rng, channels):
    positive = rng.random((3, 4, channels)) < 0.5
    packed = mine.pack_votes(positive)
    assert packed.dtype == np.uint32
    assert packed.shape == (3, 4, -(-channels // 32))
    bits = np.unpackbits(packed.astype("<u4").view(np.uint8), axis=-1, bitorder="little")
    np.testing.assert_array_equal(bits[..., :channels], positive)
    assert not bits[..., channels:].any()


@pytest.mark.parametrize("bits", [1, 7, 10, 22])
def test_round_bits_is_to_the_nearest_and_away_from_zero_at_a_tie(mine, rng, bits):
    step = 2.0**-bits
    whole = 1 + step * rng.integers(0, 2**bits, 200)
    for shift, up in ((0.0, 0.0), (0.49, 0.0), (0.5, 1.0), (0.51, 1.0)):
        a = np.float32(whole + shift * step)  # exact in float32 for up to 21 bits, and at ties
        if shift in (0.49, 0.51) and bits > 10:
            continue
        np.testing.assert_array_equal(mine.round_bits(a, bits), np.float32(whole + up * step))
        np.testing.assert_array_equal(mine.round_bits(-a, bits), -np.float32(whole + up * step))


def test_round_bits_scales_with_the_exponent(mine, rng):
    a = rng.normal(size=1000).astype("float32")
    for scale in (2.0**-20, 1.0, 2.0**20):
        np.testing.assert_array_equal(mine.round_bits(a * np.float32(scale), 10), mine.round_bits(a, 10) * scale)


class Asked(NamedTuple):
    size: int
    begins: int
    ends: int


def test_peak_alive_counts_what_lives_together(mine, rng):
    assert mine.peak_alive([Asked(1, 0, 3), Asked(1, 1, 3), Asked(1, 2, 4), Asked(3, 3, 4)]) == 4
    for _ in range(20):
        begins = range(12)
        asked = [Asked(int(rng.integers(1, 9)), b, b + int(rng.integers(1, 8))) for b in begins]
        expected = max(sum(r.size for r in asked if r.begins <= k < r.ends) for k in range(20))
        assert mine.peak_alive(asked) == expected


def test_a_barrier_holds_everybody(rng):
    def shift(_, blockDim, threadIdx, patch, x):
        patch[threadIdx.x] = x[threadIdx.x]
        yield
        x[threadIdx.x] = patch[(threadIdx.x + 1) % blockDim.x]

    x = rng.normal(size=8)
    expected = np.roll(x, -1)
    launch(shift, (1, 1), (8, 1), np.zeros(8), x)
    np.testing.assert_array_equal(x, expected)
