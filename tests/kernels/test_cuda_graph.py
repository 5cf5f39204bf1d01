"""A sweep recorded and launched again: with a CuPy that only pretends, and on a GPU."""

import weakref
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from support import fake_cupy
from support.sample_objectives import painting

from handstyle.foundations.backend import choose_backend, namespace, to_numpy
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.graph import Recording
from handstyle.losses.terms import WHOLE
from handstyle.optimize.objective import NonFiniteError, Objective


class Stream(fake_cupy.Stream):
    """A stream that keeps what is done while it captures, as operations on the arrays that were there."""

    def wait_event(self, event):
        self.machine.log.append("wait")

    def begin_capture(self):
        assert self.machine.streams[-1] is self
        self.machine.captured = []

    def end_capture(self):
        done, self.machine.captured = self.machine.captured, None
        if self.machine.refuse:
            raise RuntimeError(self.machine.refuse)
        return SimpleNamespace(launch=lambda stream: [operation() for operation in done])


class Machine:
    """What of CuPy a recording needs; arrays are NumPy's."""

    def __init__(self):
        self.log, self.captured, self.refuse = [], None, ""
        self.null = Stream(self)
        self.streams, self.pools = [self.null], []

        @contextmanager
        def using_allocator(allocator):
            self.pools.append(allocator)
            try:
                yield
            finally:
                self.pools.pop()

        self.cuda = SimpleNamespace(
            MemoryPool=lambda: SimpleNamespace(malloc="its own", free_all_blocks=lambda: self.log.append("free")),
            Stream=lambda non_blocking: Stream(self),
            get_current_stream=lambda: self.streams[-1],
            using_allocator=using_allocator,
        )

    def empty_like(self, p):
        return np.empty_like(p)

    def do(self, operation):
        if self.captured is None:
            operation()
        else:
            self.captured.append(operation)


@pytest.fixture
def machine():
    return Machine()


def doubling(machine, swept):
    def sweep(p):
        swept.append(machine.pools[-1:])
        gradient, values = np.empty_like(p), np.empty(1)
        machine.do(lambda: np.multiply(p, 2, out=gradient))
        machine.do(lambda: values.__setitem__(0, p.sum()))
        return values, gradient

    return sweep


def test_the_third_sweep_is_not_swept(machine):
    swept, notes = [], []
    recording = Recording(machine, nullcontext, notes.append)
    sweep, outputs = doubling(machine, swept), []
    for k in range(5):
        p = np.full((2, 3), float(k))
        values, gradient = recording(sweep, p)
        np.testing.assert_array_equal(gradient, 2 * p)
        assert values[0] == p.sum()
        outputs.append((values, [p.sum()], gradient, 2 * p))
    assert swept == [["its own"], ["its own"]]  # once as it is and once to be captured, with memory of its own
    assert notes == ["launched one by one", *["launched as one graph"] * 4]
    for values, sums, gradient, expected in outputs:  # a later sweep writes over nothing that was handed out
        np.testing.assert_array_equal(values, sums)
        np.testing.assert_array_equal(gradient, expected)
    assert machine.streams == [machine.null]


def test_its_memory_goes_with_it(machine):
    recording, sweep = Recording(machine, nullcontext, print), doubling(machine, [])
    for _ in range(3):
        recording(sweep, np.ones((2, 3)))
    picture = weakref.ref(recording.picture)
    assert "free" not in machine.log
    del recording
    assert machine.log[-1] == "free"
    assert picture() is None


@pytest.mark.parametrize("when", ["in the sweep", "at the end"])
def test_what_cannot_be_captured_is_launched_as_before(machine, when):
    swept, notes = [], []
    recording, plain = Recording(machine, nullcontext, notes.append), doubling(machine, swept)

    def sweep(p):
        if machine.captured is not None and when == "in the sweep":
            raise RuntimeError("operation not permitted when stream is capturing")
        return plain(p)

    if when == "at the end":
        machine.refuse = "operation not permitted when stream is capturing"
    for k in range(4):
        _, gradient = recording(sweep, np.full((2, 3), float(k)))
        np.testing.assert_array_equal(gradient, 2.0 * k)
    assert notes[0] == "launched one by one"
    assert notes[-1] == "launched one by one: operation not permitted when stream is capturing"
    assert machine.captured is None


def test_a_picture_of_another_shape_is_swept_as_it_is(machine):
    recording, sweep = Recording(machine, nullcontext, print), doubling(machine, [])
    for _ in range(3):
        recording(sweep, np.ones((2, 3)))
    for p in (np.ones((3, 3)), np.ones((2, 3), np.float32)):
        _, gradient = recording(sweep, p)
        assert gradient.dtype == p.dtype
        np.testing.assert_array_equal(gradient, 2 * p)


def test_an_error_of_the_first_sweep_is_the_callers(machine):
    def sweep(p):
        raise NonFiniteError("it")

    with pytest.raises(NonFiniteError):
        Recording(machine, nullcontext, print)(sweep, np.ones((2, 3)))
    assert machine.streams == [machine.null]
    assert machine.pools == []


def on_a_gpu(dtype="float32", device=None):
    """Return an objective with CUDA kernels, and a start on its device."""
    backend = choose_backend("cupy")
    objective, v0 = painting(48, dtype, backend, kernels=CudaEngine(device))
    return objective, backend.asarray(v0, dtype)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_graph_gives_what_launches_give(dtype):
    objective, start = on_a_gpu(dtype)
    device = CupyDevice()
    device.recording = lambda requests: None
    plain, _ = on_a_gpu(dtype, device)
    rng = np.random.default_rng(0)
    for _ in range(5):
        v = start + choose_backend("cupy").asarray(rng.normal(0, 5, start.shape), dtype)
        (value, gradient, _), (expected, dp, _) = objective.on_device(v), plain.on_device(v)
        assert value == expected
        assert objective.terms == plain.terms
        np.testing.assert_array_equal(to_numpy(gradient), to_numpy(dp))
    assert "launched as one graph" in objective.network.engine.describe()


@pytest.mark.gpu
def test_a_graph_reports_what_is_not_finite():
    objective, v = on_a_gpu()
    for _ in range(3):
        objective.on_device(v)
    spoilt = v.copy()
    spoilt[0] = np.nan
    with pytest.raises(NonFiniteError):
        objective.on_device(spoilt)
    assert np.isfinite(objective.on_device(v)[0])


@dataclass(frozen=True)
class Impatient:
    """A term that waits for its value, which cannot be captured."""

    tap: str = "relu1_1"
    name: str = "impatient"
    weight: float = 2.0

    def measure(self, f, where=WHOLE):
        return (f * f).sum(dtype=np.float64)

    def loss(self, s):
        return namespace(s).asarray(float(s)), namespace(s).ones_like(s)

    def spread(self, ds, f, where=WHOLE):
        return 2 * ds.astype(f.dtype) * f


@pytest.mark.gpu
def test_a_term_that_waits_is_launched_as_before():
    backend = choose_backend("cupy")
    plain, v0 = painting(48, "float64", backend)
    engine, terms = CudaEngine(), [*plain.prepared.terms, Impatient()]
    objective = Objective(plain.network.with_kernels(engine), terms, plain.shape)
    judge = Objective(plain.network, terms, plain.shape)
    v = backend.asarray(v0, "float64")
    expected, dp, _ = judge.on_device(v)
    for _ in range(4):
        value, gradient, _ = objective.on_device(v)
        assert value == pytest.approx(expected, rel=1e-10)
        assert np.linalg.norm(to_numpy(gradient - dp)) <= 1e-9 * np.linalg.norm(to_numpy(dp))
    assert "launched one by one: " in engine.describe()


@pytest.mark.gpu
def test_a_graph_and_its_memory_go_with_the_objective():
    objective, v = on_a_gpu()
    for _ in range(3):
        value, gradient, _ = objective.on_device(v)
    recording = weakref.ref(objective.prepared.recording)
    pool = objective.prepared.recording.pool
    assert pool.used_bytes() > 0
    del objective
    assert recording() is None
    assert pool.total_bytes() == 0
    assert np.isfinite(value)
    assert np.isfinite(to_numpy(gradient)).all()  # handed out, and so not of that memory


def test_a_prepared_objective_is_recorded_and_its_memory_goes_with_it(monkeypatch):
    """The same on a CuPy that only pretends, whose pools keep account of each array."""
    fake_cupy.pretend(monkeypatch)
    objective, v = on_a_gpu()
    for told in ("launched one by one", "launched as one graph", "launched as one graph"):
        value, gradient, _ = objective.on_device(v)
        assert told in objective.network.engine.describe()
    away = to_numpy(v) - 100
    expected = (1 + np.arange(away.size) % 100 / 100) * away  # what the pretended kernels compute
    np.testing.assert_allclose(to_numpy(gradient), expected, rtol=1e-6)
    assert value == pytest.approx(0.5 * expected @ away, rel=1e-6)
    recording, pool = weakref.ref(objective.prepared.recording), objective.prepared.recording.pool
    assert pool.used_bytes() > objective.prepared.recording.context.args[0].size
    del objective
    assert recording() is None
    assert pool.total_bytes() == 0
