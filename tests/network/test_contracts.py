"""What holds for every pair: the dtype that comes in goes out, and no argument is written to."""

import numpy as np
import pytest
from support.differentiable_pairs import PAIRS, Pair

from handstyle.foundations.backend import Array


def frozen(x: Array) -> Array:
    x.flags.writeable = False
    return x


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_dtype_and_no_mutation(pair: Pair, dtype: type, rng: np.random.Generator) -> None:
    x = frozen(rng.standard_normal(pair.shape).astype(dtype))
    y, cache = pair.forward(x)
    dy = frozen(rng.standard_normal(y.shape).astype(y.dtype))
    dx = pair.backward(dy, cache)
    assert y.dtype == (np.float64 if pair.name.startswith("moments") else dtype)  # statistics are float64 by design
    assert dx.dtype == dtype
    assert dx.shape == x.shape
    again = pair.backward(dy, cache)
    np.testing.assert_array_equal(again, dx)  # a cache may be used twice
    assert not np.shares_memory(dx, dy)


def test_a_frozen_array_does_refuse(rng: np.random.Generator) -> None:
    """The test above would fail: writing to such an array raises."""
    x = frozen(rng.standard_normal(3))
    with pytest.raises(ValueError, match="read-only"):
        np.maximum(x, 0, out=x)
