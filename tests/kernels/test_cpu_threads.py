"""A team does every piece once, raises what goes wrong, and leaves BLAS as it was."""

import time
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from handstyle.kernels.cpu.threads import Team


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_a_team_does_each_piece_once(threads: int) -> None:
    done = np.zeros(50, int)

    def work(worker: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            done[i] += 1

    team = Team(threads)
    for _ in range(20):
        team.run(work, 50)
    assert (done == 20).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_any_thread_is_raised(threads: int) -> None:
    def work(worker: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            if i == 7:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Team(threads).run(work, 20)


def test_products_stay_in_their_thread_and_blas_gets_its_own_back() -> None:
    before, team, seen = blas_threads(), Team(2), []
    with team.single_threaded_blas():
        seen.append(blas_threads())
        team.run(lambda worker, pieces: seen.extend(blas_threads() for _ in pieces), 1)
        seen.append(blas_threads())
    assert all(threads == [1] * len(before) for threads in seen)
    assert len(seen) == 3
    assert blas_threads() == before


def test_the_pieces_run_in_the_context_of_whoever_asks_for_them() -> None:
    # Whether an overflow is an error is said where a run begins, and holds in every thread.
    large = np.full(4, 1e38, np.float32)

    def work(_: int, pieces: Iterator[int]) -> None:
        for _ in pieces:
            time.sleep(0.001)  # so that each thread has its share
            np.multiply(large, large)

    with np.errstate(over="ignore"):
        Team(3).run(work, 12)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        Team(3).run(work, 12)
