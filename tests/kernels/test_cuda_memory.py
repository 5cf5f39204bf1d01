"""What an evaluation takes of a GPU's memory: on a device that computes nothing, and against what is then taken."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from support import fake_cupy
from support.emulated_device import WHY_NOT, EmulatedDevice

from handstyle.foundations.backend import choose_backend
from handstyle.kernels.counting import target_bytes
from handstyle.kernels.cuda.convolution import SCRATCH
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.dry_device import DryDevice
from handstyle.kernels.cuda.engine import LESS_SCRATCH, CudaEngine
from handstyle.kernels.cuda.forecast import PICTURES, evaluation_bytes
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.planned_terms import planned_terms

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")
CONFIG = StyleConfig(tv_weight=0.0)  # style at all of them but relu4_2, where there is content


@pytest.fixture(scope="module")
def vgg19():
    return build_network(random_weights(widths=WIDTHS))


def dry(network, free=1 << 62, workspace=SCRATCH):
    return network.with_kernels(CudaEngine(DryDevice(free=free), workspace=workspace))


def forecast(network, side):
    return network.engine.forecast(network, planned_terms(CONFIG, network, (side, side)), (side, side, 3)).bytes


def test_a_dry_device_counts_what_is_held():
    device = DryDevice()
    a = device.empty((100, 100), "float32")
    part = a[10:20].reshape(-1)
    del a
    device.empty((1,), "float32")  # while a view holds all of the first
    del part
    gc.collect()
    device.empty((1,), "float32")
    assert [(request.size, request.ends) for request in device.requests] == [(40448, 2), (512, 2), (512, 3)]
    assert device.empty((0, 3), "float64").shape == (0, 3)


def test_a_value_stays_and_more_than_any_machine_has_is_handed_out():
    device = DryDevice()
    value = device.empty((), "float64")
    assert float(value) == 0.0
    del value
    large = device.empty((1 << 20, 1 << 20), "float64")  # 8 TiB
    large[-1, -1] = 1.0  # one page of it
    del large
    gc.collect()
    assert [request.ends for request in device.requests] == [2, 2]


def test_an_evaluation_is_forecast_without_touching_memory(vgg19):
    side = 4096
    # Most is held while the gradient at relu1_1 is made: 64 channels, written over what enters there, which was written
    # over relu1_1; the gradient at pool1, a quarter as much; eight pictures; the convolution's scratch. Beside that,
    # bits: a value rectified, or three a value pooled.
    values = 64 + 64 / 4 + 3 * PICTURES
    rectified = 64 + 128 / 4 + 3 * 256 / 16 + 3 * 512 / 64 + 512 / 256
    pooled = 64 / 4 + 128 / 16 + 256 / 64 + 512 / 256
    held = side * side * (4 * values + rectified / 8 + 3 * pooled / 8) + SCRATCH
    targets = 4 * side * side / 64 * 512 + sum(8 * C * (C + 1) for C in (64, 128, 256, 512, 512))
    assert forecast(dry(vgg19), side) == pytest.approx(held + targets, rel=0.01)
    assert target_bytes(planned_terms(CONFIG, vgg19, (side, side))) == targets


def test_the_scratch_is_bounded(vgg19):
    small, large = (forecast(dry(vgg19, workspace=1 << bits), 512) for bits in (22, 30))
    assert small < large
    assert large - small < 1 << 30


def test_the_largest_picture_is_the_largest(vgg19):
    available, picture = 1 << 30, dummy_picture(8192)
    config = replace(CONFIG, size=8192, pyramid_min_size=0)
    run = RunMemory(config, dry(vgg19, available), picture, [picture], True, available)
    side = run.largest_size(8192)
    assert forecast(dry(vgg19, available), side) <= available
    assert forecast(dry(vgg19, available), side + 16) > available
    assert replace(run, network=dry(vgg19, 1000), free=1000).largest_size(8192) == 0


def test_short_memory_is_answered_with_less_scratch_and_told(vgg19):
    terms, shape = planned_terms(CONFIG, vgg19, (1024, 1024)), (1024, 1024, 3)
    plenty = dry(vgg19)
    full, least = forecast(plenty, 1024), forecast(dry(vgg19, workspace=LESS_SCRATCH), 1024)
    assert least < full - (SCRATCH - LESS_SCRATCH) / 2
    assert "scratch" not in plenty.engine.describe()
    for free, expected in ((full, full), (full - 1, least), (least, least), (0, least)):
        network = dry(vgg19, free)
        assert forecast(network, 1024) == expected
        assert ("16 MiB of scratch" in network.engine.describe()) is (expected == least)
        network = dry(vgg19, free)
        prepared = network.engine.prepare(network, terms, shape)
        assert prepared.engine.workspace == (SCRATCH if expected == full else LESS_SCRATCH)
        assert evaluation_bytes(prepared.engine, network, terms, shape) == expected
        assert ("16 MiB of scratch" in network.engine.describe()) is (expected == least)
    assert network.engine.workspace == SCRATCH  # what was asked for is not forgotten
    network.engine.device.free = full
    assert forecast(network, 1024) == full
    assert "scratch" not in network.engine.describe()
    assert network.engine.prepare(network, terms, shape).engine.workspace == SCRATCH


@pytest.mark.parametrize("free", [1 << 62, 0])
def test_a_forecast_tells_the_methods_of_the_scratch_it_chose(vgg19, free):
    network = dry(vgg19, free, 1 << 30)
    forecast(network, 512)
    judge = dry(vgg19, workspace=LESS_SCRATCH if free == 0 else 1 << 30)
    forecast(judge, 512)
    assert network.engine.chosen == judge.engine.chosen
    assert network.engine.chosen["conv1_1 forward"] == "first"


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_the_engine_asks_a_real_device_for_the_same():
    class Noted(EmulatedDevice):
        def empty(self, shape, dtype):
            asked.append((tuple(shape), np.dtype(dtype)))
            return super().empty(shape, dtype)

    class NotedDry(DryDevice):
        def empty(self, shape, dtype):
            asked.append((tuple(shape), np.dtype(dtype)))
            return super().empty(shape, dtype)

    layers = build_network(random_weights(deepest="conv3_1")).layers
    lists = []
    for device in (Noted(), NotedDry()):
        asked = []
        engine = CudaEngine(device, workspace=1 << 16)
        features, caches = engine.forward(layers, np.zeros((37, 30, 3), np.float32), ("relu1_1", "relu3_1"))
        engine.backward(layers, features, caches)
        lists.append(asked)
    assert lists[0] == lists[1]


def an_evaluation_takes_what_was_forecast(precision):
    backend = choose_backend("cupy")
    network = build_network(random_weights(widths=WIDTHS)).to(backend).with_kernels(CudaEngine(CupyDevice(precision)))
    side = 1024
    v = backend.asarray(np.random.default_rng(0).uniform(0, 255, (side * side * 3)), "float32")
    features = network.forward(v.reshape(side, side, 3), TAPS)[0]
    terms = [StyleTerm(tap, moments_forward(features[tap])) for tap in TAPS if tap != "relu4_2"]
    terms.append(ContentTerm("relu4_2", features["relu4_2"]))
    expected = network.engine.forecast(network, terms, (side, side, 3)).bytes - target_bytes(terms)
    objective = Objective(network, terms, (side, side, 3))
    for _ in range(3):
        objective.on_device(v)
    taken = objective.prepared.recording.pool.total_bytes()  # all but the picture itself and the gradient's copy
    assert 0.9 * expected < taken < expected


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_an_objective_takes_what_was_forecast(precision):
    an_evaluation_takes_what_was_forecast(precision)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_an_objective_takes_what_was_forecast_by_account(precision, monkeypatch):
    fake_cupy.pretend(monkeypatch)
    an_evaluation_takes_what_was_forecast(precision)
