"""What painting takes of a GPU's memory, from the first target to the last iteration: by accounts, without a GPU."""

import gc
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handstyle.painting.need import device_need, measuring_bytes
from handstyle.painting.room import make_room
from support.fake_cupy import Pool, PretendedCupy, pretend

from handstyle.foundations import backend as backends
from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import OutOfMemoryError
from handstyle.kernels.cuda.cublas import WORKSPACE
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.memory_plan import Room
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting import targets
from handstyle.painting.config import StyleConfig
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import build_terms

MIB = 1 << 20
RESULTS = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*-gpu.json"))


@pytest.fixture
def cupy(monkeypatch):
    return pretend(monkeypatch)


@pytest.fixture
def misses(monkeypatch):
    """Requests that found no place in their room."""
    found, take = [], Room.take

    def noted(room, size):
        place = take(room, size)
        if place is None:
            found.append(size)
        return place

    monkeypatch.setattr(Room, "take", noted)
    return found


def vgg19(precision="float32"):
    weights = build_network(random_weights(widths=WIDTHS)).to(choose_backend("cupy"))
    return weights.with_kernels(CudaEngine(CupyDevice(precision)))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def painted(cupy, network, config, shape=(512, 512)):
    """Paint, and return the most bytes that were taken beside what was there before."""
    before = cupy.peak = cupy.held
    result = stylize(noise(*shape), noise(512, 384), network=network, config=config, callback=lambda _: None)
    assert not result.failed
    return cupy.peak - before


def test_a_pool_cuts_joins_and_gives_back_as_cupys_does():
    cupy = PretendedCupy()
    pool = Pool(cupy)
    blocks = [pool.malloc(size)[1] for size in (1 * MIB, 4 * MIB)]
    for block in blocks:
        pool.let_go(block)
    first = pool.malloc(1)[1]  # from the smaller one
    second = pool.malloc(2 * MIB)[1]
    assert (pool.total_bytes(), pool.used_bytes()) == (5 * MIB, 2 * MIB + 512)
    pool.free_all_blocks()
    assert pool.total_bytes() == 5 * MIB  # both are cut
    pool.let_go(first)
    pool.free_all_blocks()
    assert pool.total_bytes() == 4 * MIB
    third = pool.malloc(2 * MIB)[1]
    assert pool.total_bytes() == 4 * MIB
    for block in (second, third):
        pool.let_go(block)
    assert [block.size for block in pool.free] == [4 * MIB]
    with cupy.cuda.Stream(non_blocking=True):
        pool.malloc(512)  # another stream's blocks are its own
    assert pool.total_bytes() == 4 * MIB + 512


OPTIMISERS = pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "lbfgsb"},
        {"optimizer": "lbfgs"},
        {"optimizer": "lbfgs", "clamp": True, "memory": 3},
        {"optimizer": "lbfgs-fixed"},
        {"optimizer": "adam"},
        {"optimizer": "descent"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)


@OPTIMISERS
def test_a_run_takes_what_was_forecast(cupy, misses, changes):
    network = vgg19()
    config = replace(StyleConfig(size=512, iterations=13, tv_weight=1.0), **changes)
    need = device_need(network, config, (512, 512))
    taken = painted(cupy, network, config)
    assert 0.95 * (need.device - need.weights) < taken <= need.device - need.weights
    assert misses == []  # and all of a sweep in the room that was made for it
    assert network.engine.describe().startswith("products by cuBLAS; launched as one graph")


@pytest.mark.gpu
@OPTIMISERS
def test_cupys_own_pools_take_what_was_forecast(monkeypatch, changes):
    backend = choose_backend("cupy")
    make, pools = backend.xp.cuda.MemoryPool, [backend.xp.get_default_memory_pool(), backends._pool_aside(backend.xp)]
    monkeypatch.setattr(backend.xp.cuda, "MemoryPool", lambda: pools.append(make()) or pools[-1])
    network = vgg19()
    config = replace(StyleConfig(size=512, iterations=13, tv_weight=1.0), **changes)
    need = device_need(network, config, (512, 512))
    backend.tidy()
    before, seen = sum(pool.total_bytes() for pool in pools), []
    stylize(
        noise(512, 512),
        noise(512, 384),
        network=network,
        config=config,
        callback=lambda _: seen.append(sum(pool.total_bytes() for pool in pools) - before),
    )
    assert 0.9 * (need.device - need.weights) < max(seen) <= need.device - need.weights


@pytest.mark.skipif(not RESULTS, reason="the benchmarks are not in this tree")
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_an_evaluation_takes_less_than_half_of_what_pytorch_takes(cupy, misses, precision):
    """As `benchmarks/gpu/run.py` counts: all but the kernels' code and the workspace of cuBLAS."""
    network = vgg19(precision)
    p = noise(1024, 1024)
    objective = Objective(network, build_terms(network, StyleConfig(), p, [p]), p.shape, choose_backend("cupy"))
    start = objective.backend.asarray(p, "float32")
    for _ in range(3):
        objective.evaluate(start)
    assert misses == []
    peaks = json.loads(RESULTS[-1].read_text())["evaluation"]["1024"]["peak_bytes"]
    assert cupy.held - WORKSPACE < 0.4 * peaks[f"torch {precision}"]


def test_all_of_it_is_given_back(cupy):
    network = vgg19()
    tidy = choose_backend("cupy").tidy
    tidy()
    before = cupy.held
    painted(cupy, network, StyleConfig(size=64, iterations=4, optimizer="lbfgs"), (64, 64))
    gc.collect()
    tidy()
    assert cupy.held == before


def test_what_targets_are_measured_with_does_not_stay(cupy, monkeypatch):
    """What was once wrong is seen: targets cut out of the large blocks that they were measured with."""
    config = StyleConfig(size=512, iterations=3)
    network = vgg19()
    need = device_need(network, config, (512, 512))
    monkeypatch.setattr(Backend, "aside", lambda self: nullcontext())
    assert painted(cupy, network, config) > need.device - need.weights


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("shape", [(512, 512), (700, 1000)])
def test_measuring_a_painting_takes_what_was_forecast_and_less_than_painting(cupy, precision, shape):
    network, config = vgg19(precision), StyleConfig()
    measuring = measuring_bytes(network, config, shape)
    taken = measured(cupy, network, config, shape)
    assert 0.9 * measuring < taken < measuring + MIB  # the last one is of what stays: the targets
    assert measuring < device_need(network, config, shape).evaluation
    assert backends._pool_aside(cupy).total_bytes() == 0


def measured(cupy, network, config, shape):
    """Measure a style, and return the most bytes that were taken beside what was there before."""
    before = cupy.peak = cupy.held
    terms = build_terms(network, replace(config, content_weight=0.0, tv_weight=0.0), noise(16, 16), [noise(*shape)])
    assert len(terms) == len(config.style_layers)
    return cupy.peak - before


def test_all_layers_at_once_would_take_more_than_painting(cupy, monkeypatch):
    """What was once wrong is seen."""
    network, config, shape = vgg19(), StyleConfig(), (768, 768)
    monkeypatch.setattr(targets, "features_of", lambda network, x, taps: network.forward(x, taps)[0].pop)
    assert measured(cupy, network, config, shape) > device_need(network, config, shape).evaluation


def test_a_painting_too_large_to_be_measured_is_refused_and_told_the_size(cupy):
    network, config = vgg19(), StyleConfig()
    network.engine.device.free_memory = lambda: 1 << 30
    make_room(config, network, [(256, 256)], [(512, 512)])
    told = r"a painting of 4000 x 3000 px needs .* --style-size \d+ would fit"
    with pytest.raises(OutOfMemoryError, match=told) as caught:
        make_room(config, network, [(256, 256)], [(512, 512), (3000, 4000)])
    named = int(str(caught.value).split("--style-size ")[1].split()[0])
    make_room(config, network, [(256, 256)], [(round(0.75 * named), named)])
    with pytest.raises(OutOfMemoryError):
        make_room(config, network, [(256, 256)], [(round(0.75 * (named + 16)), named + 16)])
