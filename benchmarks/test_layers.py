"""Time every convolution of VGG-19 at 512², by each kernel, in both directions: ``pytest benchmarks/test_layers.py``.

Each row has GFLOP/s, counting the direct convolution's operations, bytes moved in memory, and the largest error against
the reference, in standard deviations of the output.
"""

from typing import Any

import numpy as np
import pytest

from handstyle.kernels.counting import LOWERED, MIN_CHANNELS, Tile, convolution_cost
from handstyle.kernels.cpu.arena import default_arena
from handstyle.kernels.cpu.choose import convolve
from handstyle.kernels.cpu.epilogues import RectifySink, bits_shape
from handstyle.kernels.cpu.strips import ArraySource, StoreSink
from handstyle.kernels.cpu.threads import default_team
from handstyle.losses.gram import Moments, moments_backward, moments_forward
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward

SHAPES = [
    (512, 3, 64),
    (512, 64, 64),
    (256, 64, 128),
    (256, 128, 128),
    (128, 128, 256),
    (128, 256, 256),
    (64, 256, 512),
    (64, 512, 512),
    (32, 512, 512),
]
ERROR_ROWS = 24  # the reference is slow, so the error is measured on the map's first rows only


def names(shape: tuple[int, int, int]) -> str:
    return f"{shape[1]}-{shape[2]}@{shape[0]}"


@pytest.mark.parametrize("adjoint", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("tile", [LOWERED, Tile(4, 4), Tile(6, 6), Tile(6, 1)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=names)
def test_convolution(benchmark: Any, shape: tuple[int, int, int], tile: Tile, adjoint: bool) -> None:
    H, C, K = shape
    if tile != LOWERED and C < MIN_CHANNELS:
        pytest.skip("three channels are not for Winograd")
    rng = np.random.default_rng(0)
    w = (rng.standard_normal((3, 3, C, K)) * np.sqrt(2 / 9 / C)).astype(np.float32)
    b = rng.standard_normal(K).astype(np.float32)
    into, out = (K, C) if adjoint else (C, K)
    x = np.maximum(rng.standard_normal((H, H, into), np.float32), 0)
    y = np.empty((H, H, out), np.float32)
    sink = StoreSink(y) if adjoint else RectifySink(y, np.empty(bits_shape(y.shape), np.uint8))
    team, arena = default_team(), default_arena()

    def run() -> None:
        convolve(ArraySource(x), w, None if adjoint else b, sink, tile, team, arena, adjoint)

    with team.single_threaded_blas():
        benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    rows = min(H, ERROR_ROWS)
    part = x[: rows + 1].astype(np.float64)
    if adjoint:
        exact = conv3x3_backward(part, (w.astype(np.float64), "zero"))[:rows]
    else:
        exact = np.maximum(conv3x3_forward(part, w.astype(np.float64), b)[0][:rows], 0)
    cost = convolution_cost(H, H, into, out, tile, 4)
    benchmark.extra_info.update(
        gflops=2 * 9 * H * H * C * K / benchmark.stats.stats.min / 1e9,
        products=cost.products,
        bytes=cost.moved,
        largest_error=float(abs(y[:rows] - exact).max() / exact.std()),
    )


@pytest.mark.parametrize("shape", [(512, 64), (256, 128), (128, 256), (64, 512)], ids=lambda s: f"{s[1]}@{s[0]}")
def test_moments(benchmark: Any, shape: tuple[int, int]) -> None:
    H, C = shape
    f = np.maximum(np.random.default_rng(0).standard_normal((H, H, C), np.float32), 0)

    def run() -> Any:
        moments = moments_forward(f)
        return moments, moments_backward(Moments(0.0, 0 * moments.sums, moments.outer), f)

    moments, _ = benchmark.pedantic(run, rounds=5, warmup_rounds=1)
    F = f.reshape(-1, C).astype(np.float64)
    exact = F.T @ F
    benchmark.extra_info.update(
        gflops=3 * H * H * C * C / benchmark.stats.stats.min / 1e9,
        bytes=3 * f.nbytes,
        largest_error=float(abs(moments.outer - exact).max() / exact.std()),
    )
