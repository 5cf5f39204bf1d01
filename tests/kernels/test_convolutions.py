"""Every fast convolution against the reference and against its own adjoint, at sides that fit no tile."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.backend import Array
from handstyle.foundations.gradcheck import check_adjoint
from handstyle.kernels.counting import LOWERED, Tile, ceil_div
from handstyle.kernels.cpu import gemm
from handstyle.kernels.cpu import winograd_columns as winograd_1d
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.blocking import Blocking, cut_products
from handstyle.kernels.cpu.choose import convolve
from handstyle.kernels.cpu.strips import ArraySource, StoreSink
from handstyle.kernels.cpu.threads import Team
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

TEAM, ARENA = Team(2), Arena()
# Largest error in float32, in units of the output's deviation (see `differ`): about five times what normal input and 64
# channels give. The tiles lose accuracy as they grow (Lavin and Gray, arXiv 1509.09308, table 3).
BOUNDS = {LOWERED: 1e-5, Tile(2, 2): 1e-5, Tile(4, 4): 8e-5, Tile(6, 6): 3e-4, Tile(4, 1): 4e-5, Tile(6, 1): 8e-5}
tiles = pytest.mark.parametrize("tile", BOUNDS, ids=str)


def bound(tile: Tile, dtype: type) -> float:
    return 1e-12 if dtype == np.float64 else BOUNDS[tile]


def run(tile: Tile, x: Array, w: Array, b: Array | None, adjoint: bool = False, team: Team = TEAM) -> Array:
    K = w.shape[2] if adjoint else w.shape[3]
    out = np.full((*x.shape[:2], K), np.nan, x.dtype)
    with team.single_threaded_blas():
        convolve(ArraySource(x), w, b, StoreSink(out), tile, team, ARENA, adjoint)
    return out


def draw(rng: np.random.Generator, H: int, W: int, C: int, K: int, dtype: type) -> tuple[Array, Array, Array]:
    x, w, b = rng.normal(size=(H, W, C)), rng.normal(size=(3, 3, C, K)), rng.normal(size=K)
    return x.astype(dtype), w.astype(dtype), b.astype(dtype)


def differ(found: Array, expected: Array, x: Array) -> float:
    # In units of what normal weights make of `x`: the deviation of a large output, and defined for one pixel too.
    assert found.dtype == expected.dtype
    return float(abs(found - expected).max() / (3 * np.sqrt((x * x).sum(axis=2).max())))


@tiles
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3, 5, 8, 16]), st.sampled_from([1, 3, 7, 8, 24]))
def test_equals_the_reference_at_any_size(tile: Tile, dtype: type, H: int, W: int, C: int, K: int) -> None:
    x, w, b = draw(np.random.default_rng(H * 41 + W), H, W, C, K, dtype)
    expected, cache = conv3x3_forward(x, w, b)
    assert differ(run(tile, x, w, b), expected, x) < bound(tile, dtype)
    dx = run(tile, expected, w, None, adjoint=True)
    assert differ(dx, conv3x3_backward(expected, cache), expected) < bound(tile, dtype)


@tiles
@pytest.mark.parametrize("shape", [(3, 530, 64, 64), (40, 45, 128, 136), (530, 2, 3, 64), (11, 300, 160, 160)])
def test_equals_the_reference_where_the_map_is_cut_into_blocks(
    tile: Tile, shape: tuple[int, int, int, int], rng: np.random.Generator
) -> None:
    # Kernels that fit the cache and kernels that do not, more blocks than threads, odd remainders.
    x, w, b = draw(rng, *shape, np.float32)
    expected, cache = conv3x3_forward(x, w, b)
    assert differ(run(tile, x, w, b), expected, x) < BOUNDS[tile]
    dx = run(tile, expected, w, None, adjoint=True)
    assert differ(dx, conv3x3_backward(expected, cache), expected) < BOUNDS[tile]


@tiles
@pytest.mark.parametrize("small_kernels", [False, True])
def test_does_not_depend_on_the_kernels_of_blas(
    tile: Tile, small_kernels: bool, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where BLAS has kernels for small products they are made a few rows at a time, of windows that overlap as well.
    monkeypatch.setattr(gemm, "has_small_kernels", lambda: small_kernels)
    x, w, b = draw(rng, 20, 250, 24, 32, np.float32)
    expected, _ = conv3x3_forward(x, w, b)
    assert differ(run(tile, x, w, b), expected, x) < BOUNDS[tile]


@tiles
@pytest.mark.parametrize("shape", [(1, 1, 3, 8), (7, 30, 16, 8), (9, 10, 64, 3), (21, 33, 136, 128)])
def test_is_adjoint_to_itself(tile: Tile, shape: tuple[int, int, int, int], rng: np.random.Generator) -> None:
    # <K u, v> = <u, K* v>, without the reference: both directions could not be wrong alike.
    u, w, _ = draw(rng, *shape, np.float64)
    forward: Callable[[Array], Array] = lambda a: run(tile, a, w, None)  # noqa: E731
    backward: Callable[[Array], Array] = lambda a: run(tile, a, w, None, adjoint=True)  # noqa: E731
    report = check_adjoint(forward, backward, u)
    assert report, report


@tiles
def test_does_not_depend_on_the_number_of_threads(tile: Tile, rng: np.random.Generator) -> None:
    for shape in ((30, 70, 8, 16), (30, 40, 136, 128)):
        x, w, b = draw(rng, *shape, np.float32)
        alone = run(tile, x, w, b, team=Team(1))
        for threads in (2, 3, 16):  # sixteen cut the work otherwise
            np.testing.assert_array_equal(run(tile, x, w, b, team=Team(threads)), alone)


def test_products_that_many_threads_cut_by_rows_are_the_same(rng: np.random.Generator) -> None:
    x, w, b = draw(rng, 64, 64, 512, 512, np.float32)
    assert len(cut_products(36, 256, 512 * 512, 16)) > 1
    for adjoint in (False, True):
        few, many = (run(Tile(4, 4), x, w, None if adjoint else b, adjoint, Team(threads)) for threads in (1, 16))
        np.testing.assert_array_equal(many, few)


@tiles
def test_leaves_its_inputs_alone_and_shows_a_nan(tile: Tile, rng: np.random.Generator) -> None:
    x, w, b = draw(rng, 12, 13, 8, 8, np.float32)
    for array in (x, w, b):
        array.flags.writeable = False
    assert np.isfinite(run(tile, x, w, b)).all()
    x = x.copy()
    x[5, 6, 2] = np.nan
    assert np.isnan(run(tile, x, w, b)[4:7, 5:8]).all()


def test_many_threads_have_equal_work_and_few_calls() -> None:
    for H, C, m in ((256, 128, 6), (128, 256, 4), (64, 512, 4)):
        few, many = (Blocking.of(H, H, C, C, m, 4, threads=threads) for threads in (2, 16))
        tiles = ceil_div(H, m) ** 2
        busiest = ceil_div(many.grid.count, 16) * many.grid.rows * many.grid.across
        assert many.grid.count <= few.grid.count
        assert busiest <= 2.1 * max(16, tiles / 16)
        assert len(many.phases) <= len(few.phases)
    rows = [winograd_1d.Bands.cut(512, 512, 64, 64, 6, 4, threads) for threads in (2, 16)]
    assert [bands.count for bands in rows] == [86, 15]
    assert len(cut_products(36, 256, 512 * 512, 2)) == 1
    cuts = cut_products(36, 256, 512 * 512, 16)
    assert [cut.stop - cut.start for cut in cuts] == [128, 128]  # 72 products: five rounds of a half, not three whole
    assert cut_products(36, 10, 64 * 64, 16) == [slice(0, 10)]  # too short to be cut
