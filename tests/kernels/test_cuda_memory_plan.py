"""A memory plan: arrays that live together do not overlap, little is wasted, and a planned sweep gives the same."""

import gc
import math
from itertools import accumulate

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
from handstyle.kernels.cuda.memory_plan import AHEAD, GRANULE, MemoryPlan, Request, Slot, granules, places
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm
from handstyle.network.vgg import WIDTHS, build_network, random_weights

TERMS = [StyleTerm(f"relu{block}_1", Moments(1.0, np.zeros(1), np.zeros((1, 1)))) for block in range(1, 6)]
TERMS.append(ContentTerm("relu4_2", np.zeros((1, 1, 1))))


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
    offsets, size = places(requests)
    assert overlap(requests, offsets) is None
    most = max((sum(r.size for r in requests if r.begins <= k < r.ends) for k in range(len(requests))), default=0)
    assert most <= size <= sum(r.size for r in requests)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("shape", [(256, 256), (1024, 1024), (700, 1234), (4096, 4096)])
def test_hardly_more_is_taken_than_lives_at_once(shape, precision):
    network = build_network(random_weights(widths=WIDTHS))
    requests = evaluation_requests(CudaEngine(DryDevice(precision)), network, TERMS, (*shape, 3))
    offsets, size = places(requests)
    assert overlap(requests, offsets) is None
    changes = sorted(change for r in requests for change in ((r.begins, r.size), (r.ends, -r.size)))
    assert size <= 1.1 * max(accumulate(size for _, size in changes))


def test_a_request_is_known_by_its_size_and_its_turn():
    requests = [Request(granules(n), k, end) for k, (n, end) in enumerate([(1000, 2), (5000, 3), (1000, 4)])]
    plan = MemoryPlan(requests)
    plan.begin()
    first = plan.take(1000)
    assert (first.start, first.size) == (plan.offsets[0], 1024)
    assert plan.take(77777) is None  # not in the dry run, and puts nothing out of step
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
    assert plan.take(1024) is None  # in the dry run the first one was freed by now
    plan.begin()
    assert plan.take(1024) is None
    del first
    plan.begin()
    assert plan.take(1024).start == 0


def test_a_sweep_may_leave_out_a_few_requests():
    sizes = [GRANULE * (k + 1) for k in range(AHEAD + 2)]
    plan = MemoryPlan([Request(size, k, k + 1) for k, size in enumerate(sizes)])
    assert plan.take(sizes[AHEAD - 1]).start == 0
    plan.begin()
    assert plan.take(sizes[AHEAD]) is None


class PlannedDevice(EmulatedDevice):
    """An emulated device whose arrays lie where a plan says, spoilt with 0xA5 before each is handed out."""

    def __init__(self, plan):
        super().__init__()
        self.plan, self.elsewhere = plan, []
        self.base = np.empty(plan.size + 64, np.uint8)

    def empty(self, shape, dtype):
        size = math.prod(shape) * np.dtype(dtype).itemsize
        place = self.plan.take(size)
        if place is None:
            self.elsewhere.append((shape, dtype))
            return super().empty(shape, dtype)
        self.base[place.start : place.start + place.size] = 0xA5
        return np.asarray(At(self.base.ctypes.data + place.start, place, tuple(shape), dtype))


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("method", [None, "mec", "im2col"])
def test_a_planned_sweep_gives_what_another_gives(method):
    objective, v0 = painting(48, "float64", kernels=CudaEngine(EmulatedDevice(), method, 1 << 16))
    plain, shape = objective.prepared, objective.shape
    p = v0.reshape(shape)
    expected = [plain(q) for q in (p, p + 3)]
    requests = evaluation_requests(plain.engine, objective.network, plain.terms, shape)
    device = PlannedDevice(MemoryPlan(requests))
    engine = CudaEngine(device, method, 1 << 16)
    planned = engine.prepare(objective.network.with_kernels(engine), plain.terms, shape)
    for q, (values, gradient) in zip((p, p + 3), expected, strict=True):
        gc.collect()
        device.plan.begin()
        found, dp = planned(q)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(dp, gradient)
        del found, dp
    assert device.elsewhere == []
