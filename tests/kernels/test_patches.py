"""Patches measured some at a time have the partners that the reference finds."""

import numpy as np
import pytest

from handstyle.kernels import patches
from handstyle.losses.patches import PatchTerm, nearest


@pytest.mark.parametrize("guided", [False, True])
def test_patches_measured_some_at_a_time_are_those_of_the_reference(guided: bool, rng, monkeypatch) -> None:
    f, painting = rng.uniform(0, 1, (6, 7, 4)), rng.uniform(0, 1, (5, 8, 4))
    guides = (rng.uniform(0, 3, (6, 7, 2)), rng.uniform(0, 3, (5, 8, 2))) if guided else None
    term, calls = PatchTerm("relu3_1", painting, guides=guides), []
    expected = term.measure(f)
    monkeypatch.setattr(patches, "PRODUCTS_AT_ONCE", 50)  # of 20 times 18
    monkeypatch.setattr(patches, "nearest", lambda *given: calls.append(len(given[0])) or nearest(*given))
    found = patches.measure_map(term, f)
    assert calls == [2] * 10
    np.testing.assert_array_equal(found.partner, expected.partner)
    assert float(found.distance) == float(expected.distance)
