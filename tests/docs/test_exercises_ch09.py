"""The exercises of chapter 9."""

import numpy as np
import pytest

from handstyle.network.sequence import sequence_backward, sequence_forward
from handstyle.network.vgg import build_network, random_weights

pytestmark = [pytest.mark.exercise, pytest.mark.ch09]
TAPS = ("relu1_1", "pool1", "relu2_1")


@pytest.fixture
def layers():
    weights = random_weights(widths=(4, 5, 5, 5, 5), seed=3, deepest="conv2_1")
    return build_network(weights, pooling="average").astype("float64").layers


def test_one_sweep_a_tap_is_one_sweep(mine, layers, rng):
    features, caches = sequence_forward(layers, rng.normal(size=(7, 9, 3)), TAPS)
    dfeatures = {tap: rng.normal(size=f.shape) for tap, f in features.items()}
    one = sequence_backward(layers, dfeatures, caches)
    assert np.allclose(mine.one_sweep_a_tap(layers, dfeatures, caches), one, atol=1e-12 * np.abs(one).max())


def test_one_sweep_a_tap_sweeps_once_for_each(mine, layers, rng):
    crossed = []

    class Counted:
        def __init__(self, layer):
            self.layer, self.name = layer, layer.name

        def backward(self, dy, cache):
            crossed.append(self.name)
            return self.layer.backward(dy, cache)

    features, caches = sequence_forward(layers, rng.normal(size=(7, 9, 3)), TAPS)
    dfeatures = {tap: rng.normal(size=f.shape) for tap, f in features.items()}
    mine.one_sweep_a_tap(tuple(map(Counted, layers)), dfeatures, caches)
    names = [layer.name for layer in layers]
    assert len(crossed) == sum(names.index(tap) + 1 for tap in TAPS)
    assert crossed.count("conv1_1") == len(TAPS)


@pytest.mark.parametrize("tap", TAPS)
def test_tangent_is_the_transpose_of_the_sweep_back(mine, layers, rng, tap):
    x, u = rng.normal(size=(2, 7, 9, 3))
    features, caches = sequence_forward(layers, x, [tap])
    v = rng.normal(size=features[tap].shape)
    forward, backward = mine.tangent(layers, x, u, tap), sequence_backward(layers, {tap: v}, caches)
    assert (forward * v).sum() == pytest.approx((u * backward).sum(), rel=1e-10)


def test_cache_bytes_counts_masks_and_no_weights(mine, layers, rng):
    _, caches = sequence_forward(layers, rng.normal(size=(8, 8, 3)), ["relu2_1"])
    found = mine.cache_bytes(layers, caches)
    assert found["conv1_1"] == found["conv2_1"] == 0
    assert found["relu1_1"] == 8 * 8 * 4  # a boolean a value
    assert found["relu2_1"] == 4 * 4 * 5
    assert found["pool1"] == 4 * 4 * 8  # a float64 a block


def test_cache_bytes_looks_into_the_tuple_of_a_maximum_pool(mine, rng):
    layers = build_network(random_weights(widths=(4, 5, 5, 5, 5), deepest="conv2_1")).astype("float64").layers
    _, caches = sequence_forward(layers, rng.normal(size=(8, 8, 3)), ["relu2_1"])
    assert mine.cache_bytes(layers, caches)["pool1"] == 4 * 4 * 4  # a byte a choice
