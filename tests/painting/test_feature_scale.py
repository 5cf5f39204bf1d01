"""Features given another size: the same network, saying it louder."""

import numpy as np
import pytest

from handstyle.foundations.image import preprocess_forward
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.painting.feature_scale import (
    FEATURE_RMS,
    feature_rms,
    is_published,
    match_features,
    noise,
    set_feature_rms,
)
from handstyle.painting.presets import PRESETS


@pytest.fixture(scope="module")
def network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1)).astype("float64")


def test_every_layer_has_the_wanted_size(network):
    for tap, size in feature_rms(set_feature_rms(network, FEATURE_RMS)).items():
        assert size == pytest.approx(FEATURE_RMS[tap], rel=1e-9)
    unit, note = match_features(network, "unit")
    assert feature_rms(unit, power=1) == pytest.approx(dict.fromkeys(feature_rms(network), 1.0), rel=1e-9)
    assert "mean activation of 1" in note


def test_the_function_is_the_same_but_for_a_factor(network, rng):
    x = preprocess_forward(rng.uniform(0, 255, (24, 20, 3)), network.convention)
    taps = ("relu1_2", "pool2", "conv4_1", "relu5_1")
    before, _ = network.forward(x, taps)
    after, _ = set_feature_rms(network, FEATURE_RMS).forward(x, taps)
    for tap in taps:
        factor = np.vdot(after[tap], before[tap]) / np.vdot(before[tap], before[tap])
        assert factor > 0
        np.testing.assert_allclose(after[tap], factor * before[tap], rtol=1e-9, atol=1e-12 * abs(after[tap]).max())


def test_published_networks_are_left_alone(network):
    published = build_network(random_weights(widths=WIDTHS, deepest="conv1_2"))
    assert is_published(published)
    assert not is_published(network)
    assert match_features(published, "vgg19") == (published, "")
    assert match_features(network, "any") == (network, "")


def test_noise_with_a_photographs_spectrum():
    p = noise()
    assert p.shape == (128, 128, 3)
    assert 0 <= p.min() < 60
    assert 180 < p.max() <= 255
    np.testing.assert_array_equal(p, noise())


def test_every_preset_says_what_its_weights_are_for():
    assert {chosen.features for chosen in PRESETS.values()} == {"vgg19", "unit", "any"}


@pytest.mark.weights
def test_the_table_is_of_the_real_network(vgg19_weights):
    assert feature_rms(build_network(vgg19_weights)) == pytest.approx(FEATURE_RMS, rel=2e-3)
