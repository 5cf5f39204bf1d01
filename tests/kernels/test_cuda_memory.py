import gc

import numpy as np
import pytest
from emulated import WHY_NOT, EmulatedDevice

from handstyle.foundations.backend import choose_backend
from handstyle.kernels.cuda import CupyDevice
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.kernels.cuda_memory import DryDevice, evaluation_memory, largest_side
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.entering import Entering

TAPS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


@pytest.fixture(scope="module")
def vgg19():
    return build_network(random_weights(widths=WIDTHS)).layers


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


def test_an_evaluation_is_forecast_without_touching_memory(vgg19):
    side = 4096
    # Most is held while the gradient at relu1_1 is made: 64 channels, written over what enters there, which was written
    # over relu1_1; the gradient at pool1, a quarter as much; the picture twice; the convolution's scratch. Beside that,
    # bits: a value rectified, or three a value pooled.
    values = 64 + 64 / 4 + 3 + 3
    rectified = 64 + 128 / 4 + 3 * 256 / 16 + 3 * 512 / 64 + 512 / 256
    pooled = 64 / 4 + 128 / 16 + 256 / 64 + 512 / 256
    held = side * side * (4 * values + rectified / 8 + 3 * pooled / 8) + (1 << 28)
    assert evaluation_memory(vgg19, (side, side), TAPS) == pytest.approx(held, rel=0.01)


def test_the_scratch_is_bounded(vgg19):
    small, large = (evaluation_memory(vgg19, (512, 512), TAPS, workspace=1 << bits) for bits in (22, 30))
    assert small < large
    assert large - small < 1 << 30


def test_the_largest_picture_is_the_largest(vgg19):
    available = 1 << 30
    side = largest_side(vgg19, TAPS, available)
    assert evaluation_memory(vgg19, (side, side), TAPS) <= available
    assert evaluation_memory(vgg19, (side + 16, side + 16), TAPS) > available
    assert largest_side(vgg19, TAPS, 1000) == 0


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


@pytest.mark.gpu
def test_the_pool_takes_what_was_forecast(vgg19):
    backend = choose_backend("cupy")
    pool = backend.xp.get_default_memory_pool()
    network = build_network(random_weights(widths=WIDTHS)).to(backend).with_kernels(CudaEngine(CupyDevice()))
    features, caches = network.forward(backend.asarray(np.zeros((64, 64, 3), np.float32)), TAPS)
    network.backward(features, caches)  # compiled, and cuBLAS has its workspace
    del features, caches
    pool.free_all_blocks()
    before = pool.total_bytes()
    x = backend.asarray(np.zeros((1024, 1024, 3), np.float32))
    features, caches = network.forward(x, TAPS)
    network.backward(Entering(features, features.pop), caches)  # a style's gradient is written over its features
    taken = pool.total_bytes() - before
    assert taken < 1.15 * evaluation_memory(vgg19, (1024, 1024), TAPS)
