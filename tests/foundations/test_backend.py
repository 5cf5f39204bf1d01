import builtins
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.strict_arrays import XP, StrictArray, strict_backend

from handstyle.foundations import backend as module
from handstyle.foundations import free_memory
from handstyle.foundations.backend import RESERVED, Backend, choose_backend, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError


class CupyArray:
    """What a CuPy array has that this file needs."""

    def __init__(self, host) -> None:
        self.host = np.asarray(host)

    def get(self):
        return self.host

    def sum(self):
        return self

    def item(self):
        return self.host.sum()


def fake_cupy(works: bool = True) -> types.ModuleType:
    """Return a stand-in for the module: one that finds a GPU, or one that imports and then fails to allocate."""
    cupy = types.ModuleType("cupy")
    cupy.__version__ = "14.2.0"
    cupy.ndarray = CupyArray
    cupy.asarray = lambda x, dtype=None: x if isinstance(x, CupyArray) else CupyArray(np.asarray(x, dtype))

    def zeros(n):
        if not works:
            raise RuntimeError("cudaErrorInsufficientDriver: CUDA driver version\n is insufficient")
        return CupyArray(np.zeros(n))

    cupy.zeros = zeros
    cupy.synchronized = []
    runtime = SimpleNamespace(
        getDeviceProperties=lambda device: {"name": b"Some GPU"}, memGetInfo=lambda: (3 * 2**30, 8 * 2**30)
    )
    stream = SimpleNamespace(synchronize=lambda: cupy.synchronized.append(1))
    cupy.cuda = SimpleNamespace(
        runtime=runtime, Device=lambda: SimpleNamespace(id=0), get_current_stream=lambda: stream
    )
    cupy.get_default_memory_pool = lambda: SimpleNamespace(free_bytes=lambda: 2**30)
    return cupy


@pytest.fixture
def without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "cupy":
            raise ImportError("No module named 'cupy'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_namespace_of_numpy() -> None:
    assert namespace(np.ones(2)) is np
    assert namespace(np.ones(2), np.zeros((3, 4), np.float32)) is np
    assert namespace(np.float32(3)) is np


def test_namespace_of_other_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert namespace(XP.ones(2), XP.zeros(3)) is XP
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert namespace(CupyArray([1])) is cupy


def test_mixed_arrays_are_an_error() -> None:
    with pytest.raises(TypeError, match=r"different libraries.*numpy.ndarray, .*StrictArray.*Backend.asarray"):
        namespace(np.ones(2), XP.ones(2))


@pytest.mark.parametrize("x", [[1, 2], 3.0, None, "array"])
def test_what_is_no_array_is_an_error(x: object) -> None:
    with pytest.raises(TypeError, match="not an array of numpy or cupy"):
        namespace(x)


def test_numpy_is_never_more_than_numpy() -> None:
    backend = choose_backend("numpy")
    assert (backend.name, backend.xp) == ("numpy", np)
    assert "core" in backend.device
    backend.synchronize()


def test_unknown_backend() -> None:
    with pytest.raises(HandstyleError, match="unknown backend 'cuda': use auto, numpy, cupy"):
        choose_backend("cuda")


def test_cupy_is_asked_for_and_not_installed(without_cupy: None) -> None:
    with pytest.raises(HandstyleError, match=r"backend cupy: CuPy is not installed .*cupy-cuda12x.*numpy"):
        choose_backend("cupy")


def test_auto_without_cupy_says_why(without_cupy: None) -> None:
    backend = choose_backend("auto")
    assert backend.name == "numpy"
    assert backend.why == "auto: CuPy is not installed"


def test_cupy_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy imports without a driver and fails at the first allocation: that is where it must be tried."""
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(works=False))
    with pytest.raises(
        HandstyleError, match=r"CuPy 14.2.0 finds no usable GPU \(cudaErrorInsufficientDriver"
    ) as refusal:
        choose_backend("cupy")
    assert "\n" not in str(refusal.value)
    backend = choose_backend("auto")
    assert backend.name == "numpy"
    assert "finds no usable GPU (cudaErrorInsufficientDriver" in backend.why


def test_cupy_with_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    asked, found = choose_backend("cupy"), choose_backend("auto")
    assert (asked.name, asked.device, asked.why) == ("cupy", "Some GPU", "asked for")
    assert found.why == "auto: a GPU was found"
    asked.synchronize()
    assert cupy.synchronized == [1]
    assert asked.free_memory() == 4 * 2**30 - RESERVED
    there = asked.asarray(np.ones(3))
    assert isinstance(there, CupyArray)
    assert asked.asarray(there) is there
    assert isinstance(asked.to_numpy(there), np.ndarray)


def test_there_and_back(backend: Backend, rng: np.random.Generator) -> None:
    x = rng.standard_normal((3, 4))
    there = backend.asarray(x, dtype=np.float32)
    assert there.dtype == np.float32
    home = backend.to_numpy(there)
    assert type(home) is np.ndarray
    np.testing.assert_array_equal(home, x.astype(np.float32))


def test_numpy_brings_device_arrays_home() -> None:
    there = strict_backend().asarray(np.arange(3.0))
    assert isinstance(there, StrictArray)
    home = choose_backend("numpy").asarray(there, dtype=np.float32)
    assert type(home) is np.ndarray
    np.testing.assert_array_equal(to_numpy(there), home)


def test_asarray_copies_only_where_it_must(rng: np.random.Generator) -> None:
    x = rng.standard_normal(3)
    assert choose_backend("numpy").asarray(x) is x
    assert not np.shares_memory(choose_backend("numpy").asarray(x, dtype=np.float32), x)


def test_memory_and_processor() -> None:
    backend = choose_backend("numpy")
    assert 2**26 < backend.free_memory() < 2**50
    assert module.cpu_count() >= 1
    assert f"{module.cpu_count()} cores" in module.cpu_name()


def test_a_containers_limit_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Free memory of the machine is not ours where a control group holds us to less."""
    files = {
        "/proc/meminfo": "MemTotal: 99 kB\nMemFree: 50 kB\nMemAvailable: 1048576 kB\n",
        "/sys/fs/cgroup/memory.max": "6000\n",
        "/sys/fs/cgroup/memory.current": "2000\n",
    }

    def moved(name: object) -> Path:
        place = tmp_path / Path(str(name)).name
        if str(name) in files:
            place.write_text(files[str(name)])
        return place

    monkeypatch.setattr(free_memory, "Path", moved)
    monkeypatch.setattr(free_memory, "open", lambda name, **options: moved(name).open(**options), raising=False)
    assert free_memory.available_memory() == 4000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert free_memory.available_memory() == 2**30


def test_what_is_made_aside_is_given_back() -> None:
    log: list[str] = []

    class Pool:
        def __init__(self, name: str) -> None:
            self.name, self.malloc = name, f"malloc of {name}"

        def free_all_blocks(self) -> None:
            log.append(f"free {self.name}")

    @contextmanager
    def using_allocator(allocator: str) -> Iterator[None]:
        log.append(allocator)
        yield
        log.append("back")

    cuda = SimpleNamespace(MemoryPool=lambda: Pool("aside"), using_allocator=using_allocator)
    common = Pool("common")

    class Library:  # which must be hashable, as a module is
        get_default_memory_pool = staticmethod(lambda: common)

    Library.cuda = cuda
    backend = Backend("cupy", Library, "pretended")
    with backend.separate_pool():
        made = np.ones(3)
    assert backend.in_common_pool(made) is not made
    backend.free_unused()
    assert log == ["malloc of aside", "back", "free aside", "free aside", "free common"]
    here = choose_backend("numpy")
    with here.separate_pool():
        assert here.in_common_pool(made) is made
    here.free_unused()


@pytest.mark.gpu
def test_the_memory_made_aside_leaves_no_hole() -> None:
    backend = choose_backend("cupy")
    pool = backend.xp.get_default_memory_pool()
    backend.free_unused()
    before = pool.total_bytes()
    with backend.separate_pool():
        large = backend.xp.zeros(1 << 24, "uint8")
        del large
        small = backend.xp.ones(1 << 10, "uint8")  # lies where the large one lay
    kept = backend.in_common_pool(small)
    del small
    backend.free_unused()
    assert pool.total_bytes() - before < 1 << 16
    assert int(kept.sum()) == 1 << 10


@pytest.mark.gpu
def test_the_gpu_that_is_here() -> None:
    backend = choose_backend("cupy")
    assert backend.device
    assert backend.free_memory() > 2**28
    x = backend.asarray(np.arange(5.0))
    backend.synchronize()
    assert float(x.sum()) == 10
