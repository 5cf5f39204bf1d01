"""An arena never hands out memory that somebody still holds, and does hand out what nobody does."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.kernels.workspace import Arena, Team


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
    address, reserved = first.ctypes.data, arena.reserved
    view = first[::2].reshape(-1)[3:] if first.flags.c_contiguous else first
    del first
    other = arena.take((1000, 1000), np.float64)
    assert other.ctypes.data != address or not np.shares_memory(other, view)
    del view, other
    gc.collect()
    arena.trim()
    assert arena.reserved == 0 < reserved


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


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_team_does_each_piece_once(threads: int) -> None:
    done = np.zeros(50, int)

    def work(worker: int, pieces: object) -> None:
        for i in pieces:  # type: ignore[attr-defined]
            done[i] += 1

    team = Team(threads)
    for _ in range(20):
        team.run(work, 50)
    assert (done == 20).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_any_thread_is_raised(threads: int) -> None:
    def work(worker: int, pieces: object) -> None:
        for i in pieces:  # type: ignore[attr-defined]
            if i == 7:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Team(threads).run(work, 20)
