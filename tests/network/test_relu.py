import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handstyle.foundations.backend import Array, Backend
from handstyle.network.relu import relu_backward, relu_forward

anything = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=7),
    elements=st.sampled_from([-2.0, -1e-30, -0.0, 0.0, 1e-30, 1.0, 7.5, np.inf, -np.inf]),
)


@given(anything)
def test_by_the_definition(x: Array) -> None:
    y, mask = relu_forward(x)
    dy = np.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)
    np.testing.assert_array_equal(y, [v if v > 0 else 0.0 for v in x.ravel()] if x.ndim == 1 else np.where(x > 0, x, 0))
    np.testing.assert_array_equal(relu_backward(dy, mask), np.where(x > 0, dy, 0))


def test_the_derivative_at_zero_is_zero() -> None:
    _, mask = relu_forward(np.array([0.0, -0.0]))
    np.testing.assert_array_equal(relu_backward(np.ones(2), mask), [0, 0])


def test_the_cache_is_a_mask_and_not_the_input() -> None:
    _, mask = relu_forward(np.ones(7, np.float32))
    assert mask.dtype == bool
    assert mask.shape == (7,)


def test_nan_is_passed_on(backend: Backend) -> None:
    y, _ = relu_forward(backend.asarray([np.nan, 1.0]))
    assert np.isnan(backend.to_numpy(y)[0])
