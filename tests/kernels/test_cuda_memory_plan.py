"""Memory plans: no two arrays share a place, little is wasted, and a sweep in a plan is the sweep."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.emulated_device import WHY_NOT, EmulatedDevice
from support.fake_cupy import At
from support.sample_objectives import painting

from handstyle.kernels.cuda.dry_device import DryDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.forecast import evaluation_requests
from handstyle.kernels.cuda.memory_plan import GRANULE, LOOKAHEAD, MemoryPlan, Request, Slot, granules, place_requests
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.painting.config import StyleConfig
from handstyle.painting.planned_terms import planned_terms


def overlap(requests, offsets):
    for i, a in enumerate(requests):
        for j, b in enumerate(requests[:i]):
            together = a.begins < b.ends and b.begins < a.ends
            if together and offsets[i] < offsets[j] + b.size and offsets[j] < offsets[i] + a.size:
                return i, j
    return None


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), max_size=30))
def test_no_two_that_live_together_overlap(drawn):
    requests = [Request(GRANULE * size, k, k + length) for k, (size, length) in enumerate(drawn)]
    offsets, size = place_requests(requests)
    assert overlap(requests, offsets) is None
    most = max((sum(r.size for r in requests if r.begins <= k < r.ends) for k in range(len(requests))), default=0)
    assert most <= size <= sum(r.size for r in requests)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("shape", [(256, 256), (1024, 1024), (700, 1234), (4096, 4096)])
def test_hardly_more_is_taken_than_lives_at_once(shape, precision):
    network = build_network(random_weights(widths=WIDTHS))
    terms = planned_terms(StyleConfig(), network, shape)
    requests = evaluation_requests(CudaEngine(DryDevice(precision)), network, terms, (*shape, 3))
    offsets, size = place_requests(requests)
    assert overlap(requests, offsets) is None
    # The request that begins last at some moment sees all that live then.
    most = max(sum(r.size for r in requests if r.begins <= k < r.ends) for k in range(len(requests)))
    assert most <= size <= 1.1 * most
    assert most > 4 * 64 * shape[0] * shape[1]  # the largest map at least


def test_a_request_is_known_by_its_size_and_its_turn():
    requests = [Request(granules(n), k, end) for k, (n, end) in enumerate([(1000, 2), (5000, 3), (1000, 4)])]
    plan = MemoryPlan(requests)
    plan.begin()
    first = plan.take(1000)
    assert (first.start, first.size) == (plan.offsets[0], 1024)
    assert plan.take(77777) is None  # the dry run did not make it, and puts nothing out of step
    second = plan.take(5000)
    assert second.start == plan.offsets[1]
    del first
    third = plan.take(999)
    assert third.start == plan.offsets[2]
    assert plan.take(1000) is None  # there is no fourth


def test_a_place_that_is_still_taken_is_not_given_again():
    requests = [Request(1024, 0, 1), Request(1024, 1, 2)]
    plan = MemoryPlan(requests)
    assert plan.offsets == [0, 0]
    first = plan.take(1024)
    assert isinstance(first, Slot)
    assert plan.take(1024) is None  # in the dry run the first one was gone by now
    plan.begin()
    assert plan.take(1024) is None
    del first
    plan.begin()
    assert plan.take(1024).start == 0


def test_a_sweep_may_leave_out_a_few_requests():
    sizes = [GRANULE * (k + 1) for k in range(LOOKAHEAD + 2)]
    plan = MemoryPlan([Request(size, k, k + 1) for k, size in enumerate(sizes)])
    assert plan.take(sizes[LOOKAHEAD - 1]).start == 0
    plan.begin()
    assert plan.take(sizes[LOOKAHEAD]) is None


class PlannedDevice(EmulatedDevice):
    """An emulated device whose sweeps run in a memory plan, spoilt with 0xA5 before each array is handed out."""

    def __init__(self):
        super().__init__()
        self.plan, self.elsewhere, self.given = None, [], 0

    def recording(self, requests):
        self.plan = MemoryPlan(requests())
        self.base = np.empty(self.plan.size + 64, np.uint8)

        def run(sweep, p):
            gc.collect()
            self.plan.begin()
            return sweep(p)

        return run

    def empty(self, shape, dtype):
        size = math.prod(shape) * np.dtype(dtype).itemsize
        slot = None if self.plan is None else self.plan.take(size)
        if slot is None:
            self.elsewhere.append((shape, dtype))
            return super().empty(shape, dtype)
        self.given += 1
        self.base[slot.start : slot.start + slot.size] = 0xA5
        return np.asarray(At(self.base.ctypes.data + slot.start, slot, tuple(shape), dtype))


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("method", [None, "mec", "im2col"])
def test_an_objective_in_a_plan_is_the_objective(method):
    objective, v0 = painting(48, "float64", kernels=CudaEngine(EmulatedDevice(), method, 1 << 16))
    expected = [objective(v) for v in (v0, v0 + 3)]
    device = PlannedDevice()
    objective, _ = painting(48, "float64", kernels=CudaEngine(device, method, 1 << 16))
    for v, (value, gradient) in zip((v0, v0 + 3), expected, strict=True):
        found, dp = objective(v)
        assert found == value
        np.testing.assert_array_equal(dp, gradient)
    assert device.elsewhere == []  # all found the places that were planned
    assert device.given == 2 * len(device.plan.sizes)
