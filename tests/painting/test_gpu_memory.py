"""What painting takes of a GPU's memory, from the first target to the last iteration: by accounts, without a GPU."""

import gc
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.fake_cupy import FakeCupy, Pool, pretend

from handstyle.foundations import backend as backends
from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import OutOfMemoryError
from handstyle.foundations.image import preprocess_forward
from handstyle.kernels.cuda import forecast
from handstyle.kernels.cuda.cublas import WORKSPACE
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.memory_plan import MemoryPlan
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting import targets
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.planned_terms import planned_terms
from handstyle.painting.stylize import stylize
from handstyle.painting.targets import build_terms

MIB = 1 << 20
RESULTS = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*-gpu.json"))


@pytest.fixture
def cupy(monkeypatch):
    return pretend(monkeypatch)


@pytest.fixture
def misses(monkeypatch):
    """Requests that found no place in the plan."""
    found, take = [], MemoryPlan.take

    def noted(plan, size):
        place = take(plan, size)
        if place is None:
            found.append(size)
        return place

    monkeypatch.setattr(MemoryPlan, "take", noted)
    return found


def vgg19(precision="float32"):
    network = build_network(random_weights(widths=WIDTHS)).to(choose_backend("cupy"))
    return network.with_kernels(CudaEngine(CupyDevice(precision)))


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def needed(network, config, shape=(512, 512)):
    """Return the bytes of the device that painting takes beside the weights, as they are planned."""
    picture = replace(dummy_picture(512), pixels=np.broadcast_to(np.uint8(0), (*shape, 3)))
    painting = replace(picture, pixels=np.broadcast_to(np.uint8(0), (512, 384, 3)))
    need = RunMemory.now(config, network, picture, [painting]).need()
    assert need.size == shape
    return need.device - need.weights


def evaluation(network, config, shape):
    return network.engine.forecast(network, planned_terms(config, network, shape), (*shape, 3)).bytes


def measuring(network, config, shape):
    terms = planned_terms(replace(config, content_weight=0.0, tv_weight=0.0), network, shape)
    return network.engine.forecast(network, terms, (*shape, 3), gradient=False).bytes


def painted(cupy, network, config, shape=(512, 512)):
    """Paint, and return the most bytes that were taken beside what was there before."""
    before = cupy.peak = cupy.held
    result = stylize(noise(*shape), noise(512, 384), network=network, config=config, callback=lambda _: None)
    assert not result.failed
    return cupy.peak - before


def test_a_pool_cuts_joins_and_gives_back_as_cupys_does():
    cupy = FakeCupy()
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


OPTIMIZERS = pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "lbfgsb"},
        {"optimizer": "lbfgs"},
        {"optimizer": "lbfgs", "precondition": 0.5},
        {"optimizer": "lbfgsb", "precondition": 0.5},
        {"optimizer": "lbfgs", "clamp": True, "lbfgs_history": 3},
        {"optimizer": "lbfgs-fixed"},
        {"optimizer": "adam"},
        {"optimizer": "descent"},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)


@OPTIMIZERS
def test_a_run_takes_what_was_forecast(cupy, misses, changes):
    network = vgg19()
    config = replace(StyleConfig(size=512, iterations=13, tv_weight=1.0, pyramid_min_size=0), **changes)
    need = needed(network, config)
    taken = painted(cupy, network, config)
    assert 0.95 * need < taken <= need
    assert misses == []  # and all of a sweep in the plan that was made for it
    assert network.engine.describe().startswith("products by cuBLAS; launched as one graph")


@pytest.mark.gpu
@OPTIMIZERS
def test_cupys_own_pools_take_what_was_forecast(monkeypatch, changes):
    backend = choose_backend("cupy")
    make, pools = (
        backend.xp.cuda.MemoryPool,
        [backend.xp.get_default_memory_pool(), backends._separate_pool(backend.xp)],
    )
    monkeypatch.setattr(backend.xp.cuda, "MemoryPool", lambda: pools.append(make()) or pools[-1])
    network = vgg19()
    config = replace(StyleConfig(size=512, iterations=13, tv_weight=1.0, pyramid_min_size=0), **changes)
    need = needed(network, config)
    backend.free_unused()
    before, seen = sum(pool.total_bytes() for pool in pools), []
    stylize(
        noise(512, 512),
        noise(512, 384),
        network=network,
        config=config,
        callback=lambda _: seen.append(sum(pool.total_bytes() for pool in pools) - before),
    )
    assert 0.9 * need < max(seen) <= need


@pytest.mark.skipif(not RESULTS, reason="the benchmarks are not in this tree")
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_an_evaluation_takes_less_than_half_of_what_pytorch_takes(cupy, misses, precision):
    """As `benchmarks/gpu/run.py` counts: all but the kernels' code and the workspace of cuBLAS."""
    network = vgg19(precision)
    p = noise(1024, 1024)
    objective = Objective(network, build_terms(network, StyleConfig(), p, [p]), p.shape)
    start = choose_backend("cupy").asarray(p.ravel(), "float32")
    for _ in range(3):
        objective.on_device(start)
    assert misses == []
    peaks = json.loads(RESULTS[-1].read_text())["evaluation"]["1024"]["peak_bytes"]
    assert cupy.held - WORKSPACE < 0.4 * peaks[f"torch {precision}"]


def test_strips_are_those_in_which_a_style_is_measured():
    assert forecast.STRIP_VALUES == targets.STRIP_VALUES


def test_a_run_of_several_scales_takes_what_its_largest_needs(cupy):
    network = vgg19()
    config = StyleConfig(size=512, iterations=9, pyramid_min_size=128)
    need = needed(network, config)
    assert painted(cupy, network, config) <= need


def test_all_of_it_is_given_back(cupy):
    network = vgg19()
    free_unused = choose_backend("cupy").free_unused
    free_unused()
    before = cupy.held
    painted(cupy, network, StyleConfig(size=64, iterations=4, optimizer="lbfgs"), (64, 64))
    gc.collect()
    free_unused()
    assert cupy.held == before


def test_what_targets_are_measured_with_does_not_stay(cupy, monkeypatch):
    """What was once wrong is seen: targets cut out of the large blocks that they were measured with."""
    config = StyleConfig(size=512, iterations=3, pyramid_min_size=0)
    network = vgg19()
    need = needed(network, config)
    monkeypatch.setattr(Backend, "separate_pool", lambda self: nullcontext())
    assert painted(cupy, network, config) > need


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("shape", [(512, 512), (700, 1000)])
def test_measuring_a_painting_takes_what_was_forecast_and_less_than_painting(cupy, precision, shape):
    network, config = vgg19(precision), StyleConfig()
    expected = measuring(network, config, shape)
    taken = measured(cupy, network, config, shape)
    assert 0.9 * expected < taken < expected + MIB  # the last one is of what stays: the targets
    assert expected < evaluation(network, config, shape)
    assert backends._separate_pool(cupy).total_bytes() == 0


def measured(cupy, network, config, shape):
    """Measure a style, and return the most bytes that were taken beside what was there before."""
    before = cupy.peak = cupy.held
    terms = build_terms(network, replace(config, content_weight=0.0, tv_weight=0.0), noise(16, 16), [noise(*shape)])
    assert len(terms) == len(config.style_layers)
    return cupy.peak - before


def test_all_layers_at_once_would_take_more_than_painting(cupy, monkeypatch):
    """What was once wrong is seen."""
    network, config, shape = vgg19(), StyleConfig(), (768, 768)

    def at_once(network, p, taps):
        x = preprocess_forward(network.backend.asarray(p, dtype=network.dtype), network.convention)
        return network.forward(x, taps)[0].pop

    monkeypatch.setattr(targets, "_features_of", at_once)
    assert measured(cupy, network, config, shape) > evaluation(network, config, shape)


def test_a_painting_too_large_to_be_measured_is_refused_and_told_the_size(cupy):
    """A painting is measured at the size that `style_size` names, which may be larger than the picture."""
    network = vgg19()
    config = StyleConfig(size=256, style_size=512, pyramid_min_size=0)
    photograph, painting = (
        dummy_picture(256),
        replace(dummy_picture(8192), pixels=np.broadcast_to(np.uint8(0), (3000, 4000, 3))),
    )

    def run(style_size, paintings=(painting,)):
        return RunMemory(replace(config, style_size=style_size), network, photograph, paintings, True, 1 << 30)

    run(512).check()
    told = r"256 x 256 px need .* of the GPU's memory, 1.0 GiB are free; .*style_size=\d+ .*would fit"
    with pytest.raises(OutOfMemoryError, match=told) as caught:
        run(4000).check()
    named = int(str(caught.value).split("style_size=")[1].split()[0])
    run(named).check()
    with pytest.raises(OutOfMemoryError):
        run(named + 16).check()
    assert measuring(network, config, (round(0.75 * named), named)) > 0.9 * (1 << 30)
