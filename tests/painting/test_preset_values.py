"""What a preset computes stays what it computed: value, gradient norm and projections of the first edition's code.

`preset_values.json` was written by the code before the presets became a file of settings, in float64 on the reference
engine: for each preset, without regions and with two.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from handstyle.network.vgg import random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting.feature_scale import match_features
from handstyle.painting.load import load_network
from handstyle.painting.presets import PRESETS, rebuild, set_input_convention
from handstyle.painting.targets import Painting, build_terms

BEFORE = json.loads((Path(__file__).parent / "preset_values.json").read_text())

# The Wasserstein distance takes the square root of a covariance. The pictures here have fewer pixels at the deep
# layers than channels, so most eigenvalues are rounding around the 1e-4 that the system adds, and their roots, with
# them the gradient, keep 8 digits of 16: another order of the same sums gives other digits.
TOLERANCE = {"crowson": 1e-6, "wasserstein": 1e-6}


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(20261128)

    def smooth():
        p = rng.uniform(0, 255, (50, 43, 3))
        return (p + np.roll(p, 1, 0) + np.roll(p, 1, 1)) / 3

    photograph, painting, other, point = (smooth() for _ in range(4))
    mask = np.zeros((50, 43))
    mask[:, :20], mask[:, 20] = 1, 0.5
    return photograph, painting, other, point, mask


def test_every_preset_has_its_values():
    assert {key.split()[0] for key in BEFORE} == set(PRESETS)


@pytest.mark.parametrize("variant", ["plain", "regions"])
@pytest.mark.parametrize("name", PRESETS)
def test_value_and_gradient_are_what_they_were(name, variant, pictures):
    photograph, painting, other, point, mask = pictures
    chosen, tolerance = PRESETS[name], TOLERANCE.get(name, 1e-12)
    network = load_network(
        random_weights(deepest="conv5_4", seed=5), backend="numpy", dtype="float64", kernels="reference"
    )
    network, _ = match_features(rebuild(network, chosen.pooling, chosen.padding, chosen.rounding), chosen.features)
    paintings, masks = [painting], []
    if variant == "regions":
        paintings, masks = [Painting(painting, region=1), Painting(other, region=2, blend=2.0)], [mask, 1 - mask]
    network = set_input_convention(network, chosen)
    objective = Objective(network, build_terms(network, chosen.config, photograph, paintings, masks), point.shape)
    _, gradient = objective(point.ravel())
    before = BEFORE[f"{name} {variant}"]
    assert objective.terms == pytest.approx(before["terms"], rel=tolerance, abs=0)
    rng = np.random.default_rng(7)
    projections = [rng.standard_normal(gradient.size) @ gradient for _ in before["projections"]]
    np.testing.assert_allclose(projections, before["projections"], rtol=0, atol=tolerance * before["norm"])
    assert np.linalg.norm(gradient) == pytest.approx(before["norm"], rel=tolerance)
    assert before["norm"] > 0
