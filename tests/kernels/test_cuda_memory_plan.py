"""Places given beforehand: nobody is given what another has, little is wasted, and a sweep in a room is the sweep."""

import gc
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.emulated_device import WHY_NOT, EmulatedDevice
from support.fake_cupy import At
from support.sample_objectives import painting

from handstyle.kernels.cuda.dry_device import DryDevice, rehearse
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.memory_plan import AHEAD, GRANULE, Place, Request, Room, granules, places
from handstyle.network.vgg import WIDTHS, build_network, random_weights

LOSSES = {f"relu{block}_1": ["style"] for block in range(1, 6)} | {"relu4_2": ["content"]}


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
    device = DryDevice(precision)
    layers = build_network(random_weights(widths=WIDTHS)).layers
    rehearse(CudaEngine(device), layers, shape, LOSSES, np.float32)
    requests = device.requests
    offsets, size = places(requests)
    assert overlap(requests, offsets) is None
    assert size <= 1.1 * device.peak


def test_a_request_is_known_by_its_size_and_its_turn():
    requests = [Request(granules(n), k, end) for k, (n, end) in enumerate([(1000, 2), (5000, 3), (1000, 4)])]
    room = Room(requests)
    room.begin()
    first = room.take(1000)
    assert (first.start, first.size) == (room.offsets[0], 1024)
    assert room.take(77777) is None  # was not rehearsed, and puts nothing out of step
    second = room.take(5000)
    assert second.start == room.offsets[1]
    del first
    third = room.take(999)
    assert third.start == room.offsets[2]
    assert room.take(1000) is None  # there is no fourth


def test_a_place_that_is_still_taken_is_not_given_again():
    requests = [Request(1024, 0, 1), Request(1024, 1, 2)]
    room = Room(requests)
    assert room.offsets == [0, 0]
    first = room.take(1024)
    assert isinstance(first, Place)
    assert room.take(1024) is None  # the rehearsal had the first one gone by now
    room.begin()
    assert room.take(1024) is None
    del first
    room.begin()
    assert room.take(1024).start == 0


def test_a_sweep_may_leave_out_a_few_requests():
    sizes = [GRANULE * (k + 1) for k in range(AHEAD + 2)]
    room = Room([Request(size, k, k + 1) for k, size in enumerate(sizes)])
    assert room.take(sizes[AHEAD - 1]).start == 0
    room.begin()
    assert room.take(sizes[AHEAD]) is None


class RoomyDevice(EmulatedDevice):
    """An emulated device whose arrays lie in a room, spoilt with 0xA5 before each is handed out."""

    def __init__(self, room):
        super().__init__()
        self.room, self.elsewhere = room, []
        self.base = np.empty(room.size + 64, np.uint8)

    def empty(self, shape, dtype):
        size = math.prod(shape) * np.dtype(dtype).itemsize
        place = self.room.take(size)
        if place is None:
            self.elsewhere.append((shape, dtype))
            return super().empty(shape, dtype)
        self.base[place.start : place.start + place.size] = 0xA5
        return np.asarray(At(self.base.ctypes.data + place.start, place, tuple(shape), dtype))


class Noted(CudaEngine):
    """An engine that notes what it would have to rehearse."""

    def __init__(self):
        super().__init__(EmulatedDevice())

    def recording(self, *asked):
        self.asked = asked


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("method", [None, "mec", "im2col"])
def test_an_objective_in_a_room_is_the_objective(method):
    objective, v0 = painting(48, "float64")
    network, p = objective.network, v0.reshape(objective.shape)
    objective.network = network.with_kernels(CudaEngine(EmulatedDevice(), method, 1 << 16))
    expected = [objective.evaluate(q) for q in (p, p + 3)]
    dry = DryDevice()
    objective.network = network.with_kernels(Noted())
    objective.evaluate(p)
    layers, size, losses, dtype = objective.network.engine.asked
    rehearse(CudaEngine(dry, method, 1 << 16), layers, size, losses, dtype)
    device = RoomyDevice(Room(dry.requests))
    objective.network = network.with_kernels(CudaEngine(device, method, 1 << 16))
    for q, (value, gradient) in zip((p, p + 3), expected, strict=True):
        gc.collect()
        device.room.begin()
        found, dp = objective.evaluate(q)
        assert found == value
        np.testing.assert_array_equal(dp, gradient)
    assert device.elsewhere == []  # all found the places that were rehearsed
