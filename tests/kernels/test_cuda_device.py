"""CuPy's device without CuPy: arguments passed as CuPy passes them, products by what cuBLAS' reference says."""

import ctypes
import importlib.util
import subprocess
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from support.emulated_device import COMPILER, WHY_NOT, EmulatedDevice, build, fake_cublas
from support.kernel_versions import signature

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda import convolution, epilogue
from handstyle.kernels.cuda import cublas as cuda_blas
from handstyle.kernels.cuda import device as cuda
from handstyle.kernels.cuda.cublas import (
    COMPUTE_32F,
    COMPUTE_32F_FAST_TF32,
    COMPUTE_64F,
    CuBlas,
    gemm_strided,
    load_cublas,
)
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.source import dynamic_shared_bytes, files, source
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

    def launch(grid, block, arguments, shared_mem):
        assert shared_mem == dynamic_shared_bytes(kernel)
        held = [passed(argument) for argument in arguments]
        for kind, value in zip(signature(kernel), held, strict=True):
            expected = {"int": 4, "size_t": 8, "Source": 48, "Epilogue": 104}.get(kind, 8)
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
            lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=partial(as_strided, subok=True))),
        )
        for module in (convolution, epilogue):
            monkeypatch.setattr(module, "namespace", lambda a: made.xp)
        made.precision = precision
        expected = {"float32": COMPUTE_32F, "tf32": COMPUTE_32F_FAST_TF32, "float64": COMPUTE_64F}
        made._cublas, made._launched = fake_cublas(expected[precision]), ""
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


def test_without_cublas_products_are_cupys_own(device):
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


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Return a library that is called as cuBLAS is, multiplies on the processor, and remembers what it was told."""
    text = """
    extern "C" {
    long long told[4];
    int cublasCreate_v2(void** handle) { *handle = (void*)0x1234567890; return 0; }
    int cublasSetStream_v2(void* handle, void* stream) {
        told[0]++; told[1] = (long long)stream; return handle != (void*)0x1234567890;
    }
    int cublasSetWorkspace_v2(void* handle, void* place, unsigned long size) {
        told[2] = (long long)place; told[3] = size; return handle != (void*)0x1234567890;
    }
    int cublasGemmStridedBatchedEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                                   const void* A, int kindA, int lda, long long sa,
                                   const void* B, int kindB, int ldb, long long sb, const void* beta,
                                   void* C, int kindC, int ldc, long long sc, int batch, int compute, int algorithm) {
        if (handle != (void*)0x1234567890 || kindA != 1 || kindB != 1 || kindC != 1 || compute != 70) return 7;
        if (algorithm != -1) return 8;
        for (int s = 0; s < batch; s++)
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++) {
                    const double *a = (const double*)A + s * sa, *b = (const double*)B + s * sb;
                    double *c = (double*)C + s * sc + i + (long long)j * ldc, sum = 0;
                    for (int l = 0; l < k; l++)
                        sum += (ta ? a[l + (long long)i * lda] : a[i + (long long)l * lda])
                             * (tb ? b[j + (long long)l * ldb] : b[l + (long long)j * ldb]);
                    *c = *(double*)alpha * sum + (*(double*)beta ? *(double*)beta * *c : 0);
                }
        return 0;
    }}"""
    path = tmp_path_factory.mktemp("blas") / "libcublas.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-x", "c++", "-", "-o", str(path)]
    subprocess.run(command, input=text, text=True, check=True)
    return ctypes.CDLL(str(path))


def test_cublas_is_called_as_its_interface_says(library):
    workspace = np.zeros(100, np.uint8).view(DeviceArray)
    stream = [1 << 40]  # an address, which must not be cut to an int
    blas = CuBlas(library, workspace, lambda: stream[0])
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).view(DeviceArray) for shape in ((3, 4, 5), (3, 6, 5)))
    out = rng.standard_normal((3, 4, 6)).view(DeviceArray)
    told = (ctypes.c_longlong * 4).in_dll(library, "told")
    begun = told[0]
    expected = a @ b.swapaxes(1, 2) + 0.5 * out
    gemm_strided(blas, a, b.swapaxes(1, 2), out, 0.5)
    np.testing.assert_allclose(out, expected)
    assert list(told) == [begun + 1, 1 << 40, workspace.ctypes.data, 100]
    gemm_strided(blas, a, b.swapaxes(1, 2), out)
    assert told[0] == begun + 1  # the stream is told when it changes
    stream[0] = 7
    gemm_strided(blas, a, b.swapaxes(1, 2), out)
    assert list(told)[:2] == [begun + 2, 7]
    with pytest.raises(HandstyleError, match="cublasGemmStridedBatchedEx returned 7"):
        blas.multiply(*[0] * 22)


def test_only_a_cublas_that_is_there_is_taken(library, monkeypatch):
    class Cupy:
        @staticmethod
        def ones(shape, dtype):
            return np.ones(shape, dtype)

        @staticmethod
        def empty(shape, dtype):
            return np.empty(shape, dtype).view(DeviceArray)

    assert load_cublas(Cupy) is None  # no CuPy has loaded one here
    monkeypatch.setattr(cuda_blas, "LIBRARY_NAMES", ("libnone.so", library._name))
    assert load_cublas(Cupy).workspace.nbytes == cuda_blas.WORKSPACE


def test_tf32_is_refused_where_it_cannot_be_had(monkeypatch):
    monkeypatch.setattr(cuda, "choose_backend", lambda name: SimpleNamespace(xp=SimpleNamespace(__version__="13.0")))
    monkeypatch.setattr(cuda, "load_cublas", lambda cupy: None)
    with pytest.raises(HandstyleError, match=r"precision tf32: CuPy 13.0 has loaded no cuBLAS"):
        cuda.CupyDevice("tf32")
    assert "one by one" in cuda.CupyDevice("float32").products
    assert cuda.CupyDevice("float32").recording([]) is None


@pytest.mark.skipif(
    importlib.util.find_spec("cupy") is None, reason="CuPy is not installed: its interface is not tried"
)
def test_cupy_has_what_is_asked_of_it():
    # Needs CuPy and no GPU. Nothing here is called: without a driver most of it would fail.
    import cupy

    assert "blocking" in cupy.ndarray.get.__doc__
    assert "non_blocking" in cupy.cuda.Stream.__init__.__doc__
    for name in ("alloc_pinned_memory", "Event", "get_elapsed_time", "get_current_stream", "using_allocator"):
        assert hasattr(cupy.cuda, name)
    for name in ("begin_capture", "end_capture", "wait_event", "record"):
        assert hasattr(cupy.cuda.Stream, name)
    assert hasattr(cupy.cuda.MemoryPool, "malloc")
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
    assert hasattr(cupy.lib.stride_tricks, "as_strided")
