"""The exercises of chapter 23."""

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


def test_a_barrier_holds_everybody(rng):
    def shift(_, blockDim, threadIdx, patch, x):
        patch[threadIdx.x] = x[threadIdx.x]
        yield
        x[threadIdx.x] = patch[(threadIdx.x + 1) % blockDim.x]

    x = rng.normal(size=8)
    expected = np.roll(x, -1)
    launch(shift, (1, 1), (8, 1), np.zeros(8), x)
    np.testing.assert_array_equal(x, expected)
