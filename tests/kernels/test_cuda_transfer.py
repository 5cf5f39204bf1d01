"""Vectors there and back, whenever the copies are made; and that a forgotten wait would be seen."""

from types import SimpleNamespace

import numpy as np
import pytest
from support.delayed_link import DelayedLink, LinkError, StrictDevice, empty_poisoned
from support.emulated_device import WHY_NOT, EmulatedDevice
from support.sample_objectives import painting
from support.strict_arrays import TRAFFIC, XP, Traffic, strict_backend

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.transfer import Transfer
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import Weights, build_network
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.objective import Objective, nothing

POISONED = SimpleNamespace(empty=empty_poisoned)
MOMENTS = ["early", "late", 1, 2, 3]


def transfer(link, size, dtype="float32", piece=7, slots=3, xp=POISONED):
    return Transfer(link, xp, size, dtype, piece, slots)


def drawn(size, seed=0):
    return np.random.default_rng(seed).uniform(-300, 300, size)


@pytest.mark.parametrize("when", MOMENTS)
@pytest.mark.parametrize("size", [1, 6, 7, 8, 20, 21, 22, 100])
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_there_and_back(when, size, slots):
    link = DelayedLink(when)
    way = transfer(link, size, slots=slots)
    for seed in range(4):  # the buffers are used again
        v = drawn(size, seed)
        device_array = way.upload(v)
        np.testing.assert_array_equal(device_array._host, v.astype("float32"))
        download = way.download(device_array * 2)
        back = download()
        assert back.dtype == np.float64
        assert back.flags.owndata
        np.testing.assert_array_equal(back, 2 * v.astype("float32").astype("float64"))
    assert link.queued == link.made
    assert link.pinned_bytes <= 2 * slots * 7 * 4  # whatever the size


def test_most_of_the_way_is_made_while_the_host_works():
    link = DelayedLink("late")
    way = transfer(link, 70)
    device_array = way.upload(drawn(70))
    download = way.download(device_array)
    assert link.queued == 10 + 3  # the first pieces are under way before anybody asks for them
    download()
    assert link.waits == 7 + 10  # up: for a slot to be empty; down: for each piece


def test_a_vector_that_came_stays_as_it_is():
    way = transfer(DelayedLink("late"), 30)
    first = way.download(way.upload(drawn(30, 1)))()
    kept = first.copy()
    way.download(way.upload(drawn(30, 2)))()
    np.testing.assert_array_equal(first, kept)


def test_one_that_was_not_fetched_does_no_harm():
    way = transfer(DelayedLink("late"), 30)
    way.download(way.upload(drawn(30, 1)))
    back = way.download(way.upload(drawn(30, 2)))()
    np.testing.assert_array_equal(back, drawn(30, 2).astype("float32"))


def test_what_does_not_fit_is_refused():
    way = transfer(DelayedLink(), 30)
    for wrong in (XP.zeros(29, "float32"), XP.zeros(30, "float64")):
        with pytest.raises(ValueError, match="transfer"):
            way.download(wrong)


class Hasty(DelayedLink):
    def wait(self, event):
        pass


class Loose(DelayedLink):
    def work_follows_copies(self):
        pass


class Deaf(DelayedLink):
    def copies_follow_work(self):
        pass


@pytest.mark.parametrize("broken", [Hasty, Loose])
def test_a_forgotten_wait_is_seen(broken):
    way, v = transfer(broken("late"), 30), drawn(30)
    device_array = way.upload(v)
    upload = np.array_equal(device_array._host, v.astype("float32"))
    download = np.array_equal(way.download(device_array * 2)(), 2 * v.astype("float32"))
    assert not (upload and download)


def test_a_copy_before_its_result_is_seen():
    link = Deaf("early")
    way = transfer(link, 30)
    device_array = way.upload(drawn(30))
    link.work()
    with pytest.raises(LinkError):
        way.download(device_array)


def problem(weights, backend, engine="reference"):
    """An objective of the picture alone and a network that is not looked at."""
    network = build_network(weights).astype("float32").to(backend).with_kernels(engine)
    return Objective(network, [VariationTerm(1e-3)], (13, 11, 3))


with_compiler = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@with_compiler
@pytest.mark.parametrize("when", MOMENTS)
def test_scipys_run_is_the_same_by_this_way(when, tiny_weights: Weights):
    v0 = drawn(13 * 11 * 3)
    link = DelayedLink(when)
    objective = problem(tiny_weights, strict_backend(), CudaEngine(StrictDevice(link)))
    TRAFFIC.reset()
    found = minimize_lbfgsb(objective, v0, 5)
    assert Traffic(down=found.evaluations) == TRAFFIC  # nothing goes the slow way but the values
    assert link.queued == 2 * found.evaluations
    same = problem(tiny_weights, choose_backend("numpy"), CudaEngine(EmulatedDevice()))
    expected = minimize_lbfgsb(same, v0, 5)
    np.testing.assert_array_equal(found.v, expected.v)
    assert [row.value for row in found.trace] == [row.value for row in expected.trace]
    judged = minimize_lbfgsb(problem(tiny_weights, choose_backend("numpy")), v0, 5)
    np.testing.assert_allclose(found.v, judged.v, rtol=1e-5, atol=1e-2)


@with_compiler
@pytest.mark.parametrize("when", MOMENTS)
def test_an_evaluation_of_the_host_waits_once(when):
    """The values come home at once, while the gradient is under way, and the host asks for nothing else."""
    link = DelayedLink(when)
    device = StrictDevice(link)
    objective, v = painting(24, device=strict_backend(), kernels=CudaEngine(device, "winograd4"))
    expected, dp = painting(24, kernels=CudaEngine(EmulatedDevice(), "winograd4"))[0](v)
    for evaluation in range(3):
        TRAFFIC.reset()
        link.waits = 0
        value, gradient = objective(v)
        assert Traffic(up=0, down=1, values=0) == TRAFFIC
        assert link.waits == 1 + (evaluation > 0)  # for the gradient, and for the buffer that the last picture left by
        assert value == pytest.approx(expected, rel=1e-5)
        assert np.linalg.norm(gradient - dp) <= 1e-5 * np.linalg.norm(dp)


@with_compiler
def test_an_evaluation_on_the_device_waits_once():
    backend = strict_backend()
    objective, v0 = painting(24, device=backend, kernels=CudaEngine(StrictDevice(), "winograd4"))
    v = backend.asarray(v0, "float32")
    for extra in (nothing, nothing, lambda g: (g * g).sum(dtype="float64").reshape(1, 1)):
        TRAFFIC.reset()
        value, gradient, answer = objective.on_device(v, extra)
        assert Traffic(up=0, down=1, values=0) == TRAFFIC
        assert isinstance(value, float)
    np.testing.assert_allclose(answer, [[(to_numpy(gradient).astype("float64") ** 2).sum()]], rtol=1e-6)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [1, 1000, 3 * 1500 * 1001])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_there_and_back_on_a_gpu(size, dtype):
    backend = choose_backend("cupy")
    way = Transfer(CupyDevice().link(), backend.xp, size, dtype, piece=1 << 18)
    for seed in range(3):
        v = drawn(size, seed)
        device_array = way.upload(v)
        worked = backend.xp.sqrt(device_array * device_array + 1)  # queued at once, on the other stream
        np.testing.assert_array_equal(to_numpy(device_array), v.astype(dtype))
        back = way.download(worked)()
        np.testing.assert_array_equal(back, to_numpy(worked))


@pytest.mark.gpu
def test_an_evaluation_by_this_way_is_the_plain_one():
    backend = choose_backend("cupy")
    objective, v = painting(48, device=backend, kernels="cuda")
    for _ in range(3):
        value, gradient = objective(v)
        plain, dp, _ = objective.on_device(backend.asarray(v, "float32"))
        assert value == plain
        np.testing.assert_array_equal(gradient, to_numpy(dp))
