"""Copies to the device and back are right whenever they are made, and a forgotten wait is seen."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.delayed_link import DelayedLink, LinkedDevice, LinkError, empty_poisoned
from support.strict_arrays import TRAFFIC, XP, strict_backend

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.transfer import CupyLink, Transfer
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Weights, build_network
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective

POISONED = SimpleNamespace(empty=empty_poisoned)
MOMENTS = ["early", "late", 1, 2, 3]


def new_transfer(link, size, dtype="float32", piece=7, slots=3, xp=POISONED):
    return Transfer(link, xp, size, dtype, piece, slots)


def drawn(size, seed=0):
    return np.random.default_rng(seed).uniform(-300, 300, size)


@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize("size", [1, 6, 7, 8, 20, 21, 22, 100])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_copies_there_and_back(when, size, slots):
    link = DelayedLink(when)
    transfer = new_transfer(link, size, slots=slots)
    for seed in range(4):  # the buffers are used again
        v = drawn(size, seed)
        there = transfer.up(v)
        np.testing.assert_array_equal(there._host, v.astype("float32"))
        download = transfer.down(there * 2)
        back = download.result()
        assert back.dtype == np.float64
        assert back.flags.owndata
        np.testing.assert_array_equal(back, 2 * v.astype("float32").astype("float64"))
    assert link.queued == link.made
    assert link.pinned_bytes <= 2 * slots * 7 * 4  # whatever the size


def test_copies_are_made_while_the_host_works():
    link = DelayedLink("late")
    transfer = new_transfer(link, 70)
    there = transfer.up(drawn(70))
    download = transfer.down(there)
    assert link.queued == 10 + 3  # the first pieces are copied before `result` is called
    download.result()
    assert link.waits == 7 + 10  # up: for a slot to be empty; down: for each piece


def test_a_result_is_not_written_over():
    transfer = new_transfer(DelayedLink("late"), 30)
    first = transfer.down(transfer.up(drawn(30, 1))).result()
    kept = first.copy()
    transfer.down(transfer.up(drawn(30, 2))).result()
    np.testing.assert_array_equal(first, kept)


def test_a_download_without_result_does_no_harm():
    transfer = new_transfer(DelayedLink("late"), 30)
    transfer.down(transfer.up(drawn(30, 1)))
    back = transfer.down(transfer.up(drawn(30, 2))).result()
    np.testing.assert_array_equal(back, drawn(30, 2).astype("float32"))


def test_what_does_not_fit_is_refused():
    transfer = new_transfer(DelayedLink(), 30)
    for wrong in (XP.zeros(29, "float32"), XP.zeros(30, "float64")):
        with pytest.raises(ValueError, match="transfer"):
            transfer.down(wrong)


class Hasty(DelayedLink):
    def wait(self, mark):
        pass


class Loose(DelayedLink):
    def work_follows_copies(self):
        pass


class Deaf(DelayedLink):
    def copies_follow_work(self):
        pass


@pytest.mark.parametrize("broken", [Hasty, Loose])
def test_a_forgotten_wait_is_seen(broken):
    transfer, v = new_transfer(broken("late"), 30), drawn(30)
    there = transfer.up(v)
    up = np.array_equal(there._host, v.astype("float32"))
    down = np.array_equal(transfer.down(there * 2).result(), 2 * v.astype("float32"))
    assert not (up and down)


def test_a_copy_before_its_result_is_seen():
    link = Deaf("early")
    transfer = new_transfer(link, 30)
    there = transfer.up(drawn(30))
    link.work()
    with pytest.raises(LinkError):
        transfer.down(there)


class PlainVariation(VariationTerm):
    """A kind of term that has no kernels."""


def problem(weights, backend, engine):
    """An objective of the picture alone and a network that is not looked at."""
    network = build_network(weights).astype("float32").to(backend).with_kernels(engine)
    return Objective(network, [PlainVariation(1e-3)], (13, 11, 3))


@pytest.mark.parametrize("when", MOMENTS)
def test_scipys_run_is_the_same_through_the_link(when, tiny_weights: Weights):
    v0 = drawn(13 * 11 * 3)
    device = LinkedDevice(when)
    objective = problem(tiny_weights, strict_backend(), CudaEngine(device))
    TRAFFIC.reset()
    found = minimize_lbfgsb(objective, v0, 5)
    assert (TRAFFIC.up, TRAFFIC.down) == (0, found.evaluations)  # one wait an evaluation: for the values
    assert device.through.queued == 2 * found.evaluations
    expected = minimize_lbfgsb(problem(tiny_weights, choose_backend("numpy"), "reference"), v0, 5)
    np.testing.assert_array_equal(found.v, expected.v)
    assert [row.value for row in found.trace] == [row.value for row in expected.trace]


@pytest.mark.gpu
@pytest.mark.parametrize("size", [1, 1000, 3 * 1500 * 1001])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies_there_and_back_on_a_gpu(size, dtype):
    backend = choose_backend("cupy")
    transfer = Transfer(CupyLink(backend.xp), backend.xp, size, dtype, piece=1 << 18)
    for seed in range(3):
        v = drawn(size, seed)
        there = transfer.up(v)
        worked = backend.xp.sqrt(there * there + 1)  # queued at once, on the other stream
        np.testing.assert_array_equal(to_numpy(there), v.astype(dtype))
        back = transfer.down(worked).result()
        np.testing.assert_array_equal(back, to_numpy(worked))


@pytest.mark.gpu
def test_vectors_through_pinned_memory_give_what_arrays_on_the_device_give(tiny_weights: Weights):
    backend = choose_backend("cupy")
    objective, v = problem(tiny_weights, backend, CudaEngine()), drawn(13 * 11 * 3)
    value, gradient = objective(v)
    plain, dp, _ = objective.on_device(backend.asarray(v, dtype="float32"))
    assert value == plain
    np.testing.assert_array_equal(gradient, to_numpy(dp))
