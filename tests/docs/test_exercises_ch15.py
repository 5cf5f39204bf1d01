"""The exercises of chapter 15."""

import numpy as np
import pytest

from handstyle.foundations.image import preprocess_forward
from handstyle.losses.gram import moments_forward
from handstyle.losses.regions import carry_mask
from handstyle.network.vgg import build_network, random_weights

pytestmark = [pytest.mark.exercise, pytest.mark.ch15]
NETWORK = build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv3_1")).astype("float64")


def test_carried_by_hand(mine):
    mask = np.tile([1.0, 1, 1, 0, 0, 0], (4, 1))
    assert mine.carried(mask, ["conv"])[1] == pytest.approx([1, 1, 2 / 3, 1 / 3, 0, 0])
    assert mine.carried(mask, ["conv", "pool"])[1] == pytest.approx([1, 0.5, 0])


def test_carried_is_the_packages(mine, rng):
    mask = rng.uniform(0, 1, (21, 30))  # odd: a row is dropped by the pooling
    steps = ["conv", "conv", "pool", "conv", "conv", "pool", "conv"]
    expected = carry_mask(NETWORK.layers, mask, ["conv3_1"])["conv3_1"][..., 0]
    assert np.allclose(mine.carried(mask, steps), expected)


def test_region_terms_have_target_mask_and_weight(mine, rng):
    painting, mask = rng.uniform(0, 255, (16, 20, 3)), rng.uniform(0, 1, (16, 20))
    terms = mine.region_terms(NETWORK, painting, mask, 7.0, ("relu1_1", "relu2_1"), "garden")
    features, _ = NETWORK.forward(preprocess_forward(painting, NETWORK.convention), ["relu2_1"])
    carried = carry_mask(NETWORK.layers, mask, ["relu2_1"])["relu2_1"]
    assert [term.name for term in terms] == ["garden relu1_1", "garden relu2_1"]
    assert terms[1].weight == pytest.approx(7 * mask.mean())
    assert np.allclose(terms[1].target.outer, moments_forward(features["relu2_1"]).outer)
    assert np.allclose(terms[1].mask, carried)
