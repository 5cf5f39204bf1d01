"""CuPy's device without CuPy: arguments passed as CuPy passes them, products by what cuBLAS' reference says."""

import ctypes
import importlib.util
import re
from types import SimpleNamespace

import numpy as np
import pytest
from emulated import WHY_NOT, EmulatedDevice, build, fake_cublas

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels import cuda
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.kernels.cuda_source import files, signature, source
from handstyle.network.vgg import build_network, random_weights

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


class DeviceArray(np.ndarray):
    """A NumPy array that gives its address as CuPy's do."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.ctypes.data)


def passed(argument):
    """Return the bytes of a kernel's argument by CuPy 14's rules (cupy/cuda/function.pyx, `_pointer`)."""
    if isinstance(argument, DeviceArray):
        return np.array(argument.data.ptr, np.uint64)
    if isinstance(argument, np.ndarray):
        assert argument.size == 1, "CuPy passes a NumPy array by value, and only one of a single element"
        return argument
    if isinstance(argument, np.generic):
        return np.array(argument)
    assert isinstance(argument, int), f"CuPy refuses {type(argument)}"
    return np.array(argument, np.int64)


def compiled(kernel, dtype, tile):
    run = getattr(build(source(files()[kernel], dtype, tile), "-O1"), f"run_{kernel}")
    run.restype = ctypes.c_char_p

    def launch(grid, block, arguments):
        held = [passed(argument) for argument in arguments]
        for kind, value in zip(signature(kernel), held, strict=True):
            expected = {"int": 4, "size_t": 8, "Source": 48, "Finish": 104}.get(kind, 8)
            assert kind == "REAL" or value.nbytes == expected, (kernel, kind, value.dtype)
        addresses = (ctypes.c_void_p * len(held))(*[value.ctypes.data for value in held])
        assert run((ctypes.c_int * 6)(*(*grid, 1, 1)[:3], *(*block, 1, 1)[:3]), addresses, 0) is None

    return launch


@pytest.fixture
def device(monkeypatch):
    def pretended(precision):
        made = object.__new__(cuda.CupyDevice)
        made.xp = SimpleNamespace(
            ndarray=DeviceArray,
            empty=lambda shape, dtype: np.empty(shape, dtype).view(DeviceArray),
            zeros=lambda shape, dtype: np.zeros(shape, dtype).view(DeviceArray),
            ascontiguousarray=lambda a: np.ascontiguousarray(a).view(DeviceArray),
            matmul=np.matmul,
        )
        made.precision = precision
        expected = {"float32": cuda.COMPUTE_32F, "tf32": cuda.COMPUTE_32F_FAST_TF32, "float64": cuda.COMPUTE_64F}
        made._cublas = fake_cublas(expected[precision]), lambda: 0
        return made

    monkeypatch.setattr(cuda, "_compiled", compiled)
    return pretended


@pytest.mark.parametrize("method", [None, "mec", "im2col", "residue"])
@pytest.mark.parametrize(("precision", "dtype"), [("float32", "float32"), ("tf32", "float32"), ("float64", "float64")])
def test_the_engine_on_cupys_device_is_the_engine(device, precision, dtype, method):
    net = build_network(random_weights(widths=(4, 34, 6, 6, 6), deepest="conv2_2"), padding="reflect").astype(dtype)
    x = np.random.default_rng(0).uniform(-100, 100, (13, 18, 3)).astype(dtype)
    taps = ("conv1_2", "relu1_2", "relu2_2")
    here = net.with_kernels(CudaEngine(EmulatedDevice(precision), method, 1 << 14))
    engine = CudaEngine(device(precision), method, 1 << 14)
    convert = lambda a: a.view(DeviceArray)  # noqa: E731
    there = net._convert(convert).with_kernels(engine)
    (features, caches), (found, device_caches) = here.forward(x, taps), there.forward(convert(x), taps)
    for tap in taps:
        assert isinstance(found[tap], DeviceArray)
        np.testing.assert_allclose(found[tap], features[tap], rtol=1e-5, atol=1e-3)
    expected, dx = here.backward(features, caches), there.backward(found, device_caches)
    assert np.linalg.norm(dx - expected) < 1e-5 * np.linalg.norm(expected)


def test_without_the_private_binding_products_are_cupys_own(device):
    made = device("float64")
    made._cublas = None
    rng = np.random.default_rng(0)
    a, b, out = rng.standard_normal((2, 4, 3)), rng.standard_normal((3, 5)), rng.standard_normal((2, 4, 5))
    expected = a @ b + 0.5 * out
    made.gemm(a, b, out, beta=0.5)
    np.testing.assert_allclose(out, expected)


def test_an_unknown_precision_is_refused():
    with pytest.raises(HandstyleError, match="unknown precision 'float16'"):
        cuda.CupyDevice("float16")


class Lazy:
    """CuPy 14's ``cupy_backends.cuda.libs``: a library is found when its attribute is asked for, and not before."""

    def __getattr__(self, name):
        if name == "cublas":
            return SimpleNamespace(gemmStridedBatchedEx=None)
        raise AttributeError(name)


@pytest.mark.parametrize(
    ("libraries", "direct", "found"),
    [
        (Lazy(), None, True),
        (SimpleNamespace(), SimpleNamespace(gemmStridedBatchedEx=None), True),  # CuPy 13
        (SimpleNamespace(), SimpleNamespace(), False),
        (None, None, False),
    ],
)
def test_the_private_binding_is_found_where_it_is(libraries, direct, found, monkeypatch):
    def import_module(name):
        modules = {
            "cupy_backends.cuda.libs": libraries,
            "cupy_backends.cuda.libs.cublas": direct,
            "cupy.cuda.device": SimpleNamespace(get_cublas_handle=lambda: 0),
        }
        if modules[name] is None:
            raise ImportError(f"{name}: cannot open shared object file")
        return modules[name]

    monkeypatch.setattr(cuda, "import_module", import_module)
    assert (cuda._cublas() is not None) is found


def test_tf32_is_refused_where_it_would_be_float32(monkeypatch):
    pretended = SimpleNamespace(xp=SimpleNamespace(__version__="15.0"))
    monkeypatch.setattr(cuda, "choose_backend", lambda name: pretended)
    monkeypatch.setattr(cuda, "_cublas", lambda: None)
    with pytest.raises(HandstyleError, match="not to be had from CuPy 15"):
        cuda.CupyDevice("tf32")
    assert "CuPy's matmul" in cuda.CupyDevice("float32").products


@pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="CuPy is not installed: its interface is not tried"
)
def test_cupy_has_what_is_asked_of_it():
    # Needs CuPy and no GPU. Nothing here is called: without a driver most of it would fail.
    import cupy

    cublas, handle = cuda._cublas()
    asked = "handle transa transb m n k alpha A Atype lda strideA B Btype ldb strideB beta C Ctype ldc strideC"
    declared = re.findall(r"(\w+)[,)]", cublas.gemmStridedBatchedEx.__doc__.splitlines()[0])
    assert declared == [*asked.split(), "batchCount", "computeType", "algo"]
    assert callable(handle)
    assert "blocking" in cupy.ndarray.get.__doc__
    assert "non_blocking" in cupy.cuda.Stream.__init__.__doc__
    for name in ("alloc_pinned_memory", "Event", "get_elapsed_time", "get_current_stream"):
        assert hasattr(cupy.cuda, name)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert hasattr(cupy.lib.stride_tricks, "as_strided")
