import gc

import numpy as np
import pytest
from support.emulated_device import WHY_NOT, EmulatedDevice

from handstyle.foundations.backend import choose_backend
from handstyle.kernels.cuda.convolution import SCRATCH
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.dry_device import DryDevice
from handstyle.kernels.cuda.engine import LESS_SCRATCH, CudaEngine
from handstyle.kernels.cuda.forecast import PICTURES, evaluation_bytes
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm, moments_forward
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.objective import Objective

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


@pytest.fixture(scope="module")
def vgg19():
    return build_network(random_weights(widths=WIDTHS)).astype("float32")


def planned_terms():
    """Terms at the usual taps, their targets without memory."""
    content = np.broadcast_to(np.float32(0), (0, 0, 512))
    styles = [StyleTerm(tap, Moments(1.0, np.zeros(1), np.zeros((1, 1))), 1.0, 1.0) for tap in TAPS if tap != "relu4_2"]
    return [*styles, ContentTerm("relu4_2", content, 1.0, 1.0)]


def forecast_bytes(network, side, workspace=SCRATCH, free=1 << 62, precision="float32"):
    """Return what an evaluation is said to take on a device that is not here, and what the engine did for it."""
    engine = CudaEngine(DryDevice(precision, free), workspace=workspace)
    return engine.forecast(network, planned_terms(), (side, side, 3))


def test_a_dry_device_counts_what_is_held():
    device = DryDevice()
    a = device.empty((100, 100), "float32")
    part = a[10:20].reshape(-1)
    assert device.live == device.peak == 40448  # in steps of 512
    del a
    assert device.live == 40448  # a view holds all of it
    del part
    gc.collect()
    assert device.live == 0
    assert device.peak == 40448
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
    assert device.live == 512
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
    found = forecast_bytes(vgg19, side)
    assert found.bytes == pytest.approx(held, rel=0.01)
    assert found.weights == vgg19.weight_bytes


def test_the_scratch_is_bounded(vgg19):
    small, large = (forecast_bytes(vgg19, 512, 1 << bits).bytes for bits in (22, 30))
    assert small < large
    assert large - small < 1 << 30


def test_less_scratch_is_taken_where_memory_is_short(vgg19):
    shape, terms = (1024, 1024, 3), planned_terms()
    usual, least = (forecast_bytes(vgg19, 1024, scratch).bytes for scratch in (SCRATCH, LESS_SCRATCH))
    assert least < usual
    for free, expected in ((usual, usual), (usual - 1, least), (1000, least)):
        assert forecast_bytes(vgg19, 1024, free=free).bytes == expected
        engine = CudaEngine(DryDevice(free=free))
        engine.prepare(vgg19, terms, shape)
        assert ("16 MiB of scratch" in engine.describe()) == (expected == least)


def test_a_content_target_counts_and_measuring_takes_less_than_painting(vgg19):
    engine, shape = CudaEngine(DryDevice()), (512, 512, 3)
    without, terms = planned_terms(), planned_terms()
    terms[-1] = ContentTerm("relu4_2", np.zeros((64, 64, 512), np.float32))
    counted, less = (engine.forecast(vgg19, each, shape).bytes for each in (terms, without))
    assert counted - less == 64 * 64 * 512 * 4
    assert engine.forecast(vgg19, terms, shape, gradient=False).bytes < less


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_a_dry_run_allocates_what_a_run_does():
    class Noted(EmulatedDevice):
        def empty(self, shape, dtype):
            allocated.append((tuple(shape), np.dtype(dtype)))
            return super().empty(shape, dtype)

    class NotedDry(DryDevice):
        def empty(self, shape, dtype):
            allocated.append((tuple(shape), np.dtype(dtype)))
            return super().empty(shape, dtype)

    layers = build_network(random_weights(deepest="conv3_1")).layers
    lists = []
    for device in (Noted(), NotedDry()):
        allocated = []
        engine = CudaEngine(device, workspace=1 << 16)
        features, caches = engine.forward(layers, np.zeros((37, 30, 3), np.float32), ("relu1_1", "relu3_1"))
        engine.backward(layers, features, caches)
        lists.append(allocated)
    assert lists[0] == lists[1]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_an_objective_takes_what_was_forecast(precision):
    backend = choose_backend("cupy")
    engine = CudaEngine(CupyDevice(precision))
    network = build_network(random_weights(widths=WIDTHS)).astype("float32").to(backend).with_kernels(engine)

    def objective(side):
        x = backend.asarray(np.random.default_rng(0).uniform(0, 255, (side, side, 3)), "float32")
        features = network.forward(x, TAPS)[0]
        terms = [StyleTerm(tap, moments_forward(features[tap])) for tap in TAPS if tap != "relu4_2"]
        terms.append(ContentTerm("relu4_2", features["relu4_2"]))
        return Objective(network, terms, x.shape), x.ravel()

    painted, x = objective(1024)
    for _ in range(3):
        painted.on_device(x)
    taken = painted.prepared.recording.pool.total_bytes()  # all but the picture itself and the gradient's copy
    expected = evaluation_bytes(engine, network, painted.prepared.terms, painted.shape)
    assert 0.9 * expected < taken < expected
