"""The exercises of chapter 2."""

import numpy as np
import pytest
from support.strict_arrays import XP, StrictArray

from handstyle.foundations.backend import to_numpy

pytestmark = [pytest.mark.exercise, pytest.mark.ch02]
SIZES = 10.0 ** np.arange(2, 9)


def test_latency_and_bandwidth_of_an_exact_law(mine):
    latency, bandwidth = mine.latency_and_bandwidth(SIZES, 1e-5 + SIZES / 2e10)
    assert latency == pytest.approx(1e-5, rel=1e-6)
    assert bandwidth == pytest.approx(2e10, rel=1e-6)


def test_latency_and_bandwidth_let_small_and_large_count_alike(mine, rng):
    seconds = (1e-5 + SIZES / 2e10) * (1 + 0.02 * rng.normal(size=len(SIZES)))
    latency, bandwidth = mine.latency_and_bandwidth(SIZES, seconds)
    assert latency == pytest.approx(1e-5, rel=0.1)  # plain least squares would lose it in the noise of the largest
    assert bandwidth == pytest.approx(2e10, rel=0.1)


def test_mean_square_on_the_host(mine, rng):
    x = rng.normal(size=(4, 5, 3))
    assert float(mine.mean_square(x)) == pytest.approx(float((x**2).mean()))


def test_mean_square_adds_up_in_float64(mine):
    x = np.full(2**25, 1 + 2**-12, np.float32)
    found = mine.mean_square(x)
    assert found.dtype == np.float64
    assert found.shape == ()
    assert float(found) == pytest.approx((1 + 2**-12) ** 2, rel=1e-7)


def test_mean_square_stays_on_the_machine_of_its_argument(mine, rng):
    x = rng.normal(size=(4, 5, 3))
    found = mine.mean_square(XP.asarray(x))
    assert isinstance(found, StrictArray)
    assert float(to_numpy(found)) == pytest.approx(float((x**2).mean()))
