"""The counts are the formulas', the choice follows the counts, and the real peak keeps to the forecast."""

import json
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import LOWERED, Cost, Machine, Tile, choose_kernel, convolution_cost
from handstyle.kernels.cpu import im2col, losses, passes, winograd
from handstyle.kernels.cpu import winograd_columns as winograd_1d
from handstyle.kernels.cpu.arena import Arena
from handstyle.kernels.cpu.choose import PACKED_BYTES, TRANSPOSED_BYTES, convolve, weights_cost
from handstyle.kernels.cpu.dry_run import dry_run
from handstyle.kernels.cpu.engine import auto_engine
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network, build_network, random_weights, summary
from handstyle.optimize.objective import Forecast, engine_of
from handstyle.painting.config import StyleConfig
from handstyle.painting.planned_terms import planned_terms

NORMALIZED = {"normalize_gradients": True, "optimizer": "adam"}
PEAK = """
import ctypes, gc, json, sys
from pathlib import Path
import numpy as np
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import WIDTHS, build_network, random_weights, summary
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network
from handstyle.painting.optimizers import OptimizerState, choose_optimizer
from handstyle.painting.memory import LIBRARY_BYTES, optimizer_vectors, scipy_bytes

def status(key):
    return 1024 * int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0])

H, W, kernels, full, optimizer = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4] == "full", sys.argv[5]
network = build_network(random_weights("vgg19", WIDTHS)) if full else load_network(backend="numpy")
network = network.with_kernels(kernels)
shapes = {row.name: row.shape for row in summary(network, H, W)}
config = StyleConfig(optimizer=optimizer)
np.ones((300, 300)) @ np.ones((300, 300))  # BLAS takes its buffers
gc.collect()
ctypes.CDLL(None).malloc_trim(0)  # what the drawing of the weights took
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
terms = [StyleTerm(tap, Moments(1.0, np.ones(C), np.eye(C))) for tap, C in
         ((f"relu{i}_1", shapes[f"relu{i}_1"][2]) for i in range(1, 6))]
terms += [ContentTerm("relu4_2", np.ones(shapes["relu4_2"], np.float32)), VariationTerm(1e-9)]
expected = network.engine.forecast(network, terms, (H, W, 3)).bytes
start = np.random.default_rng(0).uniform(0, 255, (H, W, 3))
n = start.size
expected += LIBRARY_BYTES + 8 * n + scipy_bytes(config, n) + 4 * n * optimizer_vectors(config, own_memory=False)
choose_optimizer(config, 13, OptimizerState())(Objective(network, terms, (H, W, 3)), start.ravel())
print(json.dumps([expected, status("VmHWM") - before]))
"""


def peak(*arguments: object) -> tuple[int, int]:
    """Run some iterations in a process of their own; return the bytes that were forecast, and those taken."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    expected, real = json.loads(done.stdout)
    return expected, real


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux's own account")
@pytest.mark.parametrize(
    "case",
    [
        (64, 64, "auto", "slim", "lbfgsb"),
        (256, 384, "auto", "slim", "lbfgs"),
        (200, 300, "auto", "slim", "adam"),
        (128, 128, "auto", "full", "adam"),
        (256, 256, "auto", "full", "descent"),
        (384, 400, "auto", "full", "lbfgsb"),
    ],
    ids=lambda case: "-".join(map(str, case)),
)
def test_the_real_peak_keeps_to_the_forecast(case: tuple[int, int, str, str, str]) -> None:
    expected, real = peak(*case)
    assert 0.9 * expected < real < 1.1 * expected, (expected / 1e6, real / 1e6)


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
    # The arrays that a convolution takes from its arena, in their order.
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
        *expected, kernels = winograd_1d.scratch(H, W, C, K, m, 4, 2)
        assert kernels == (3 * n + 9) * C * K  # not of the arena: few, where these tiles serve
        assert taken == expected
        return
    tiling = winograd.Blocking.of(H, W, C, K, m, 4)
    groups = -(-n // tiling.group)  # of kernels: one lives at a time
    expected = tiling.scratch(2, adjoint=False)
    assert taken[: len(expected)] == expected
    assert len(taken) == len(expected) + groups - 1
    taken.clear()
    turned = w.transpose(0, 1, 3, 2).copy()
    kernel.convolve(ArraySource(np.zeros((H, W, C), np.float32)), turned, None, sink, m, Team(2), arena, adjoint=True)
    expected = tiling.scratch(2, adjoint=True)
    assert taken[: len(expected)] == expected


@pytest.mark.parametrize("tile", [LOWERED, Tile(2, 2), Tile(4, 4), Tile(4, 1), Tile(6, 1)], ids=str)
@pytest.mark.parametrize("size", [(16, 16, 64, 64), (64, 48, 64, 128), (8, 8, 128, 96)])
def test_the_weights_are_counted_once_for_every_product(
    tile: Tile, size: tuple[int, int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small map's products read the weights as often as they say, which is what does not shrink with the map."""
    from handstyle.kernels.cpu.strips import ArraySource, StoreSink
    from handstyle.kernels.cpu.threads import Team

    H, W, C, K = size
    read = [0]
    for module in (im2col, winograd, winograd_1d):
        genuine = module.rows_times

        def counted(A: Any, B: Any, out: Any, genuine: Any = genuine) -> None:
            read[0] += B.nbytes
            genuine(A, B, out)

        monkeypatch.setattr(module, "rows_times", counted)
    x, w = np.zeros((H, W, C), np.float32), np.zeros((3, 3, C, K), np.float32)
    convolve(ArraySource(x), w, None, StoreSink(np.empty((H, W, K), np.float32)), tile, Team(1), Arena())
    moved = weights_cost(H, W, C, K, tile, 4, 1, False).moved
    assert moved == pytest.approx(PACKED_BYTES * read[0] - (w.nbytes if tile == LOWERED else 0), rel=1e-3)
    turned = weights_cost(H, W, C, K, tile, 4, 2, True).moved - weights_cost(H, W, C, K, tile, 4, 2, False).moved
    assert turned == (pytest.approx(2 * TRANSPOSED_BYTES * w.nbytes, rel=1e-3) if tile == LOWERED else 0)


def test_auto_chooses_by_shape() -> None:
    assert choose_kernel(512, 512, 3, 64, False) == LOWERED  # too few channels
    assert choose_kernel(512, 512, 64, 64, True) == Tile(6, 1)  # few: the transforms cost more than the products
    assert choose_kernel(256, 256, 128, 128, False) == Tile(4, 4)
    assert choose_kernel(256, 256, 128, 128, True) == Tile(6, 6)  # linear: larger tiles do no harm
    assert choose_kernel(64, 64, 512, 512, True) == Tile(4, 4)  # but their kernels no longer fit the cache
    assert choose_kernel(1, 1, 512, 512, False) == LOWERED  # one pixel would pay for a whole tile
    assert all(choose_kernel(n, n, 64, 64, False) != Tile(6, 6) for n in range(1, 200))


def planned(network: Network, side: int, **changes: Any) -> Forecast:
    terms = planned_terms(StyleConfig(**changes), network, (side, side))
    return engine_of(network).forecast(network, terms, (side, side, 3))


def test_forecast_grows_with_the_picture_and_the_dtype() -> None:
    network = build_network(random_weights()).with_kernels("auto")
    small, large = planned(network, 128), planned(network, 256)
    assert small.bytes < large.bytes < 5 * small.bytes
    assert small.seconds < large.seconds
    assert planned(network.astype(np.float64), 256).bytes > 1.5 * large.bytes
    assert small.weights == network.weight_bytes
    assert np.isnan(planned(network.with_kernels("reference"), 64).seconds)
    with pytest.raises(HandstyleError, match="nothing left at pool"):
        planned(network, 4)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (384, 400)])
def test_a_dry_run_goes_where_the_engine_goes(height: int, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution with the kernel that it has in an evaluation, and as much of the arena."""
    arena, highest, find = Arena(), [0], Arena._find

    def found(self: Arena, size: int) -> tuple[object, int]:
        segment, start = find(self, size)
        highest[0] = max(highest[0], start + size)
        return segment, start

    monkeypatch.setattr(losses, "default_arena", lambda: arena)
    monkeypatch.setattr(passes, "default_arena", lambda: arena)
    network = build_network(random_weights()).with_kernels("auto")
    rows = {row.name: row.shape for row in summary(network, height, width)}
    taps = [f"relu{i}_1" for i in range(1, 6)]
    terms: list[Term] = [StyleTerm(tap, Moments(1.0, np.ones(C := rows[tap][2]), np.eye(C))) for tap in taps]
    terms.append(ContentTerm("relu4_2", np.ones(rows["relu4_2"], np.float32)))
    engine = auto_engine()
    dry = dry_run(engine, network, terms, (height, width, 3))
    forecast = dict(engine.chosen)  # which `describe` reports before anything has run
    engine.chosen.clear()
    with monkeypatch.context() as patch:
        patch.setattr(Arena, "_find", found)
        evaluate, v = engine.prepare(network, terms, (height, width, 3)), np.ones(3 * height * width)
        held = evaluate.host(v)
        held = evaluate.host(v)
    assert len(held) == 2
    assert 0 <= dry.arena.touched - highest[0] < 512 << 10  # the kernels of the first layers are not of the arena
    assert engine.chosen == forecast != {}
    assert {row.direction for row in dry.rows} == {"forward", "backward", "loss"}


@pytest.mark.parametrize(
    "options", [{"padding": "reflect"}, {"pooling": "average"}, {"pooling": "l2"}, {"rounding": "up"}]
)
def test_every_network_can_be_forecast(options: dict[str, Any]) -> None:
    network = build_network(random_weights(), **options).with_kernels("auto")
    for changes in ({}, {"style_statistic": "wasserstein"}, {"means_weight": 1.0}, NORMALIZED):
        assert planned(network, 45, **changes).bytes > 0


def test_a_forecast_touches_no_memory() -> None:
    tracemalloc.start()
    expected = planned(build_network(random_weights()).with_kernels("auto"), 4096)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken < 64 << 20 < expected.bytes / 10
