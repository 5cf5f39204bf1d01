"""CuPy's device without CuPy: arguments passed as CuPy passes them, products by what cuBLAS' reference says."""

import ctypes
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
