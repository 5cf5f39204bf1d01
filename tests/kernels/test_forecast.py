"""The counts are the formulas', the choice follows the counts, and the real peak keeps to the forecast."""

import json
import subprocess
import sys

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import LOWERED, Cost, Machine, Tile, choose_kernel, convolution_cost
from handstyle.kernels.cpu import winograd
from handstyle.kernels.cpu import winograd_columns as winograd_1d
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.forecast import check_fits, forecast, largest_side
from handstyle.network.vgg import build_network, random_weights

FULL = (64, 128, 256, 512, 512)
PEAK = """
import json, sys
from pathlib import Path
import numpy as np, psutil
import handstyle.kernels
from handstyle.foundations.backend import choose_backend
from handstyle.foundations.image import preprocess_forward
from handstyle.kernels.cpu.forecast import forecast
from handstyle.losses.gram import moments_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm
H, W, kernels = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
np.ones((300, 300)) @ np.ones((300, 300))  # BLAS takes its buffers
before = psutil.Process().memory_info().rss
network = build_network(random_weights("vgg19", (64, 128, 256, 512, 512))).with_kernels(kernels)
expected = forecast(network, H, W).evaluation_bytes
terms = [StyleTerm(f"relu{i}_1", moments_forward(np.ones((2, 2, C), np.float32)))
         for i, C in enumerate((64, 128, 256, 512, 512), 1)]
terms.append(ContentTerm("relu4_2", np.ones((H // 8, W // 8, 512), np.float32)))
objective = Objective(network, terms, (H, W, 3))
v = np.random.default_rng(0).uniform(0, 255, 3 * H * W)
for _ in range(2):
    objective(v)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(json.dumps([expected, 1024 * int(peak) - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's own account")
@pytest.mark.parametrize(("H", "W", "kernels"), [(256, 384, "auto"), (200, 300, "im2col")])
def test_the_real_peak_keeps_to_the_forecast(H: int, W: int, kernels: str) -> None:
    command = [sys.executable, "-c", PEAK, str(H), str(W), kernels]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected, real = json.loads(done.stdout)
    # 40 MB for BLAS' buffers, whole pages of 2 MB, and the drawing of the random weights.
    assert 0.75 * expected < real < 1.1 * expected + 40e6, (expected / 1e6, real / 1e6)


def test_counts_of_a_convolution() -> None:
    direct = convolution_cost(16, 24, 5, 7, LOWERED, 4)
    assert direct.products == 2 * 9 * 16 * 24 * 5 * 7
    tiled = convolution_cost(16, 24, 5, 7, Tile(4, 4), 4)
    assert tiled.products == direct.products // 4
    assert convolution_cost(13, 21, 5, 7, Tile(4, 4), 4).products == tiled.products  # ragged sides cost whole tiles
    columns = convolution_cost(13, 21, 5, 7, Tile(4, 1), 4)
    assert columns.products == 2 * 4 * 6 * 21 * 3 * 5 * 7  # four bands, six points for four rows, three taps
    assert tiled.moved == 4 * (16 * 24 * (5 + 7) + 9 * 5 * 7)
    assert (direct + tiled).products == direct.products + tiled.products
    assert Machine(1e9, 1e9, 1e9, 1e9).seconds(Cost(1, 2, 3, 4)) == pytest.approx(1e-8)


@pytest.mark.parametrize("tile", [Tile(2, 2), Tile(4, 4), Tile(6, 6), Tile(4, 1), Tile(6, 1)], ids=str)
@pytest.mark.parametrize("size", [(40, 300, 64, 64), (40, 33, 128, 256), (30, 30, 512, 512)])
def test_scratch_is_what_is_taken(tile: Tile, size: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # The arrays that a convolution takes from its arena, added up where they live together.
    from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    from handstyle.kernels.cpu.threads import Team

    H, W, C, K = size
    m, n, arena, taken = tile.down, tile.down + 2, Arena(), []
    real = Arena.take

    def spy(self: Arena, shape: object, dtype: object) -> object:
        array = real(self, shape, dtype)  # type: ignore[arg-type]
        taken.append(array.size)
        return array

    monkeypatch.setattr(Arena, "take", spy)
    w = np.zeros((3, 3, C, K), np.float32)
    sink = StoreSink(np.empty((H, W, K), np.float32))
    kernel = winograd_1d if tile.across == 1 else winograd
    kernel.convolve(ArraySource(np.zeros((H, W, C), np.float32)), w, None, sink, m, Team(2), arena)
    if tile.across == 1:
        kernels = (3 * n + 9) * C * K  # not of the arena: few, where these tiles serve
        assert sum(taken) + kernels == winograd_1d.scratch(H, W, C, K, m, 4, 2)
        return
    tiling = winograd.Tiling.of(H, W, C, K, m, 4)
    groups = -(-n // tiling.group)  # of kernels: one lives at a time
    kernels = n * tiling.group * C * K
    at_once = sum(taken) - (sum(taken[1 - groups :]) if groups > 1 else 0)
    assert at_once <= tiling.scratch(2) <= at_once + kernels


def test_auto_chooses_by_shape() -> None:
    assert choose_kernel(512, 512, 3, 64, False) == LOWERED  # too few channels
    assert choose_kernel(512, 512, 64, 64, True) == Tile(6, 1)  # few: the transforms cost more than the products
    assert choose_kernel(256, 256, 128, 128, False) == Tile(4, 4)
    assert choose_kernel(256, 256, 128, 128, True) == Tile(6, 6)  # linear: larger tiles do no harm
    assert choose_kernel(64, 64, 512, 512, True) == Tile(4, 4)  # but their kernels no longer fit the cache
    assert choose_kernel(1, 1, 512, 512, False) == LOWERED  # one pixel would pay for a whole tile
    assert all(choose_kernel(n, n, 64, 64, False) != Tile(6, 6) for n in range(1, 200))


def test_forecast_grows_with_the_picture_and_the_dtype() -> None:
    network = build_network(random_weights()).with_kernels("auto")
    small, large = forecast(network, 128, 128), forecast(network, 256, 256)
    assert small.evaluation_bytes < large.evaluation_bytes < 5 * small.evaluation_bytes
    assert small.seconds < large.seconds
    assert forecast(network.astype(np.float64), 128, 128).evaluation_bytes > 1.5 * small.evaluation_bytes
    assert {row.direction for row in small.layers} == {"forward", "backward", "loss"}
    with pytest.raises(HandstyleError, match="no forecast for kernels reference"):
        forecast(network.with_kernels("reference"), 64, 64)
    with pytest.raises(HandstyleError, match="nothing left at pool"):
        forecast(network, 4, 400)


def test_what_does_not_fit_is_refused_with_the_size_that_would() -> None:
    network = build_network(random_weights()).with_kernels("auto")
    wanted = forecast(network, 3000, 4000)
    check_fits(wanted, network, wanted.peak_bytes * 2)
    with pytest.raises(
        HandstyleError, match=r"4000 x 3000 pixels need .* GiB are free; --size \d+ would fit"
    ) as refused:
        check_fits(wanted, network, wanted.peak_bytes // 2)
    side = int(str(refused.value).split("--size ")[1].split()[0])
    assert 2000 < side < 4000
    budget = int(0.9 * (wanted.peak_bytes // 2))
    assert side == largest_side(network, 3000, 4000, budget)
    assert forecast(network, round(3000 * side / 4000), side).peak_bytes <= budget
    assert forecast(network, round(3000 * (side + 16) / 4000), side + 16).peak_bytes > budget
    with pytest.raises(HandstyleError, match="not even a small picture"):
        check_fits(wanted, network, 1000)
