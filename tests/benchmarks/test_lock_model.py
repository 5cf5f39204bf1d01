"""The model of many threads: what it says where the answer is known, and that it records what an evaluation does."""

import importlib
import sys
from pathlib import Path

import pytest

from handstyle.kernels.cpu.threads import default_team

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lock(monkeypatch):
    if not (ROOT / "benchmarks" / "lock.py").exists():
        pytest.skip("the benchmarks are not in this tree")
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    return importlib.import_module("benchmarks.lock")


def region(lock, pieces):
    return lock.Region("", [list(piece) for piece in pieces])


def test_one_thread_takes_the_sum(lock):
    assert lock.simulate(region(lock, [[(1e-3, 2e-3)]] * 4), 1) == (pytest.approx(12e-3), 0.0)


def test_calls_without_the_lock_run_side_by_side(lock):
    seconds, waited = lock.simulate(region(lock, [[(0.0, 1.0)]] * 8), 4)
    assert seconds == pytest.approx(2.0, rel=1e-3)
    assert waited == 0.0


def test_time_with_the_lock_does_not(lock):
    seconds, waited = lock.simulate(region(lock, [[(1.0, 1e-5)]] * 4), 4, waking=0.0)
    assert seconds == pytest.approx(4.0, rel=1e-3)
    assert waited == pytest.approx(1 + 2 + 3, rel=1e-3)


def test_a_sleeping_thread_is_woken_late(lock):
    pieces = [[(1e-3, 1e-2)]] * 2
    on_time, late = (lock.simulate(region(lock, pieces), 2, waking=waking)[0] for waking in (0.0, 5e-3))
    assert late - on_time == pytest.approx(5e-3, rel=1e-2)


def test_short_calls_count_as_time_with_the_lock(lock):
    joined = lock.merged([(1e-6, 1e-6), (1e-6, 1e-3), (2e-6, 0.0)])
    assert joined == [(pytest.approx(3e-6), 1e-3), (2e-6, 0.0)]


def test_an_evaluation_is_recorded_whole(lock):
    record, seconds = lock.record(64, rounds=1)
    modeled = lock.model(record, 1)
    assert modeled["seconds"] == pytest.approx(seconds, rel=0.25)  # the rest is the recorder's own time
    labels = {region.label for region in record.regions}
    assert {"conv1_2 forward", "conv1_2 adjoint", "conv5_1 forward"} <= labels
    assert lock.model(record, 4)["seconds"] < modeled["seconds"]


def test_work_is_cut_for_so_many_threads_while_it_is_recorded(lock):
    before = default_team().threads
    with lock.recording(16) as recorder:
        assert default_team().threads == 16
        done = []
        default_team().run(lambda worker, pieces: done.extend((worker, i) for i in pieces), 3)
    assert done == [(0, 0), (0, 1), (0, 2)]  # in one thread nevertheless
    assert [len(region.pieces) for region in recorder.record.regions] == [3]
    assert default_team().threads == before
