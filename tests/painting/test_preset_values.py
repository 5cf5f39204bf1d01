"""What a preset computes stays what it computed: value, gradient norm and projections of the first edition's code.

`preset_values.json` was written by the code before the presets became a file of settings, in float64 on the reference
engine: for each preset, without regions and with two. To add a preset's, once its numbers have been compared with the
program's own: ``python tests/painting/test_preset_values.py NAME``.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from handstyle.network.vgg import random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting.feature_scale import match_features
from handstyle.painting.load import load_network
from handstyle.painting.presets import PRESETS, rebuild, set_input_convention
from handstyle.painting.targets import Painting, build_terms

FILE = Path(__file__).parent / "preset_values.json"
BEFORE = json.loads(FILE.read_text())
VARIANTS = ("plain", "regions")

# The Wasserstein distance takes the square root of a covariance. The pictures here have fewer pixels at the deep
# layers than channels, so most eigenvalues are rounding around the 1e-4 that the system adds, and their roots, with
# them the gradient, keep 8 digits of 16: another order of the same sums gives other digits.
TOLERANCE = {"crowson": 1e-6, "wasserstein": 1e-6}


def draw_pictures():
    rng = np.random.default_rng(20261128)

    def smooth():
        p = rng.uniform(0, 255, (50, 43, 3))
        return (p + np.roll(p, 1, 0) + np.roll(p, 1, 1)) / 3

    photograph, painting, other, point = (smooth() for _ in range(4))
    mask = np.zeros((50, 43))
    mask[:, :20], mask[:, 20] = 1, 0.5
    return photograph, painting, other, point, mask


def values_of(name, variant):
    """Return the values of a preset's terms, the norm of the gradient, and four projections of it."""
    photograph, painting, other, point, mask = draw_pictures()
    chosen = PRESETS[name]
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
    rng = np.random.default_rng(7)
    projections = [float(rng.standard_normal(gradient.size) @ gradient) for _ in range(4)]
    return {"terms": objective.terms, "norm": float(np.linalg.norm(gradient)), "projections": projections}


def test_every_preset_has_its_values():
    assert set(BEFORE) == {f"{name} {variant}" for name in PRESETS for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", PRESETS)
def test_value_and_gradient_are_what_they_were(name, variant):
    now, before, tolerance = values_of(name, variant), BEFORE[f"{name} {variant}"], TOLERANCE.get(name, 1e-12)
    assert now["terms"] == pytest.approx(before["terms"], rel=tolerance, abs=0)
    np.testing.assert_allclose(now["projections"], before["projections"], rtol=0, atol=tolerance * before["norm"])
    assert now["norm"] == pytest.approx(before["norm"], rel=tolerance)
    assert before["norm"] > 0


if __name__ == "__main__":
    for preset in sys.argv[1:]:
        for variant in VARIANTS:
            if f"{preset} {variant}" in BEFORE:
                sys.exit(f"{preset} has its values, which stay")
            BEFORE[f"{preset} {variant}"] = values_of(preset, variant)
    FILE.write_text(json.dumps(BEFORE, indent=1) + "\n")
