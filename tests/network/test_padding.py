import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.padding import pad_backward, pad_forward

maps = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7),
    elements=st.integers(-99, 99),
)
NUMPYS = {"zero": "constant", "reflect": "reflect", "replicate": "edge"}


@given(maps)
@pytest.mark.parametrize("mode", NUMPYS)
def test_equals_numpys_pad(mode: str, x: Array) -> None:
    if mode == "reflect":  # a side of one pixel has nothing to mirror: its edge is repeated
        expected = np.pad(x, ((1, 1), (0, 0), (0, 0)), "reflect" if x.shape[0] > 1 else "edge")
        expected = np.pad(expected, ((0, 0), (1, 1), (0, 0)), "reflect" if x.shape[1] > 1 else "edge")
    else:
        expected = np.pad(x, ((1, 1), (1, 1), (0, 0)), NUMPYS[mode])
    xpad, cache = pad_forward(x, mode)
    assert cache == mode
    np.testing.assert_array_equal(xpad, expected)
    assert xpad.dtype == x.dtype


@given(maps)
@pytest.mark.parametrize("mode", NUMPYS)
def test_backward_adds_up_where_forward_copied(mode: str, x: Array) -> None:
    """By the definition: number the pixels, pad the numbers, and add each gradient to the pixel of its number."""
    H, W, C = x.shape
    numbers = pad_forward(np.arange(1.0, 1 + x.size).reshape(x.shape), mode)[0].astype(int)  # 0 is the border of zeros
    dxpad = np.arange(numbers.size, dtype=x.dtype).reshape(numbers.shape)
    expected = np.zeros(x.size + 1)
    np.add.at(expected, numbers.ravel(), dxpad.ravel())
    np.testing.assert_array_equal(pad_backward(dxpad, mode), expected[1:].reshape(H, W, C))


@pytest.mark.parametrize("function", [pad_forward, pad_backward])
def test_unknown_mode(function) -> None:
    with pytest.raises(HandstyleError, match="unknown padding 'mirror': use zero, reflect, replicate"):
        function(np.zeros((3, 3, 1)), "mirror")
