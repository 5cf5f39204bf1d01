"""An arena never hands out memory that somebody still holds, and does hand out what nobody does."""

import gc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from handstyle.kernels.cpu.arena import Arena


@given(st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.integers(0, 10)), max_size=60))
def test_arrays_in_use_never_share_memory(steps: list[tuple[int, bool, int]]) -> None:
    arena = Arena()
    held: list[tuple[np.ndarray, int]] = []
    for mark, (size, keep, victim) in enumerate(steps):
        array = arena.take((size,), np.float32)
        array[:] = mark
        if keep:
            held.append((array[1:] if size else array, mark))  # a view keeps the whole
        elif held:
            held.pop(victim % len(held))
        del array
        for kept, value in held:
            assert (kept == value).all()


def test_memory_comes_back_when_the_last_view_goes() -> None:
    arena = Arena()
    first = arena.take((1000, 1000), np.float64)
    address = first.ctypes.data
    assert arena._segments
    view = first[::2].reshape(-1)[3:] if first.flags.c_contiguous else first
    del first
    other = arena.take((1000, 1000), np.float64)
    assert other.ctypes.data != address or not np.shares_memory(other, view)
    del view, other
    gc.collect()
    arena.trim()
    assert not arena._segments


def test_an_array_outlives_its_arena() -> None:
    array = Arena().take((3, 4), np.float32)
    array[:] = 7
    gc.collect()
    assert array.sum() == 84


def test_arrays_are_aligned_and_of_the_shape_asked_for() -> None:
    arena = Arena()
    for shape in ((), (0, 3), (5,), (2, 3, 4)):
        array = arena.take(shape, np.float32)
        assert array.shape == shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.ctypes.data % 64 == 0
