"""The exercises of chapter 10."""

import numpy as np
import pytest

from handstyle.network.vgg import ARCHITECTURES, build_network, random_weights, summary

pytestmark = [pytest.mark.exercise, pytest.mark.ch10]


@pytest.mark.parametrize(("architecture", "deepest"), [("vgg16", "conv5_3"), ("vgg19", "conv5_4")])
def test_receptive_fields_are_those_of_the_summary(mine, architecture, deepest):
    found = mine.receptive_fields(ARCHITECTURES[architecture])
    rows = summary(build_network(random_weights(architecture, deepest=deepest)), 64, 64)
    assert found == {row.name: (row.receptive_field, row.stride) for row in rows if row.name.startswith("relu")}


def test_receptive_fields_of_another_table(mine):
    assert mine.receptive_fields((1, 3)) == {
        "relu1_1": (3, 1),
        "relu2_1": (8, 2),
        "relu2_2": (12, 2),
        "relu2_3": (16, 2),
    }


def test_width_of_a_known_spread(mine):
    g = np.zeros((9, 4))
    g[2, 1], g[6, 3] = 1.0, -1.0  # two rows, four apart
    assert mine.width_of(g) == pytest.approx(2.0)


def test_width_of_does_not_depend_on_scale_or_place(mine, rng):
    g = np.zeros((20, 8))
    g[4:9] = rng.normal(size=(5, 8))
    assert mine.width_of(3 * np.roll(g, 7, axis=0)) == pytest.approx(mine.width_of(g))
