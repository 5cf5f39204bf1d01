"""The CUDA engine on a GPU: against the reference on the CPU, its adjoint, its precision, its memory, its optimizer."""

import numpy as np
import pytest
from support.sample_objectives import painting

from handstyle.foundations.backend import choose_backend, to_numpy
from handstyle.foundations.gradcheck import check_adjoint
from handstyle.kernels.cuda import losses
from handstyle.kernels.cuda.convolution import METHODS
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.losses.total_variation import total_variation
from handstyle.network.vgg import WIDTHS, build_network, random_weights
from handstyle.optimize.lbfgs import minimize_lbfgs

pytestmark = pytest.mark.gpu

TAPS = ("relu1_1", "conv1_2", "relu1_2", "pool1", "relu2_1", "relu3_1", "relu3_2")


def both(dtype, engine, shape=(65, 50), **options):
    """Return relative errors of the features and of the gradient, against float64 on the CPU."""
    rng = np.random.default_rng(0)
    net = build_network(random_weights(widths=(32, 48, 64, 64, 64), seed=1, deepest="conv3_2"), **options)
    judge, net = net.astype("float64"), net.astype(dtype).to(choose_backend("cupy")).with_kernels(engine)
    x = rng.uniform(-120, 150, (*shape, 3))
    features, caches = judge.forward(x, TAPS)
    dfeatures = {tap: rng.standard_normal(f.shape) for tap, f in features.items()}
    expected = {**features, "dx": judge.backward(dfeatures, caches)}
    asarray = choose_backend("cupy").asarray
    features, caches = net.forward(asarray(x, dtype), TAPS)
    found = {**features, "dx": net.backward({k: asarray(v, dtype) for k, v in dfeatures.items()}, caches)}
    assert all(value.dtype == dtype for value in found.values())
    return {k: np.linalg.norm(to_numpy(found[k]) - v) / np.linalg.norm(v) for k, v in expected.items()}


@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_it_is_the_reference(padding, pooling, rounding):
    errors = both("float64", CudaEngine(), padding=padding, pooling=pooling, rounding=rounding)
    assert max(errors.values()) < 1e-12, errors


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_the_reference(method):
    for workspace in (1, 1 << 18, 1 << 28):
        errors = both("float64", CudaEngine(None, method, workspace))
        assert max(errors.values()) < 1e-12, (method, workspace, errors)


# A mask that flips near a tie costs more than rounding does: the gradient's bounds are wide for that.
@pytest.mark.parametrize(
    ("precision", "features", "gradient"),
    [("float32", 5e-6, 5e-3), ("tf32", 5e-3, 0.2)],
)
def test_precision(precision, features, gradient):
    errors = both("float32", CudaEngine(CupyDevice(precision)))
    dx = errors.pop("dx")
    assert max(errors.values()) < features, errors
    assert dx < gradient
    if precision == "tf32":
        assert max(errors.values()) > 1e-5, "TF32 was asked for, and the products are those of float32"


def test_without_the_private_binding_the_result_is_the_same():
    device = CupyDevice()
    device._cublas = None
    errors = both("float64", CudaEngine(device))
    assert max(errors.values()) < 1e-12, errors


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_sweep_is_linear_and_its_own_adjoint(dtype):
    # With the masks of one forward sweep the backward sweep is linear; central differences see the rest in float64.
    backend = choose_backend("cupy")
    net = build_network(random_weights(seed=2, deepest="conv2_1"), "average").astype(dtype).to(backend)
    layers = tuple(layer for layer in net.layers if not layer.name.startswith("relu"))  # what is left is linear
    engine = CudaEngine()
    x = backend.asarray(np.random.default_rng(0).standard_normal((20, 18, 3)), dtype=dtype)
    zero = engine.forward(layers, 0 * x, ["conv2_1"])[0]["conv2_1"]
    _, caches = engine.forward(layers, x, ["conv2_1"])
    report = check_adjoint(
        lambda u: engine.forward(layers, u, ["conv2_1"])[0]["conv2_1"] - zero,
        lambda v: engine.backward(layers, {"conv2_1": v}, caches),
        x,
    )
    assert report, str(report)


def test_a_painting_on_the_device_descends_as_on_the_host():
    def values(name, kernels):
        device = choose_backend(name)
        objective, v0 = painting(48, "float64", device, kernels=kernels)
        return [row.value for row in minimize_lbfgs(objective, device.asarray(v0), 15).trace]

    np.testing.assert_allclose(values("cupy", "cuda"), values("numpy", "reference"), rtol=1e-5)


def test_memory_follows_from_what_is_kept():
    backend = choose_backend("cupy")
    pool = backend.xp.get_default_memory_pool()
    net = build_network(random_weights(widths=WIDTHS, deepest="conv3_1")).to(backend)
    net = net.with_kernels(CudaEngine(workspace=1 << 24))
    x = backend.asarray(np.zeros((512, 512, 3), np.float32))
    backend.synchronize()
    before = pool.used_bytes()
    features, caches = net.forward(x, ["relu3_1"])
    kept = pool.used_bytes() - before
    values = [512 * 512 * 64, 512 * 512 * 64, 256 * 256 * 128, 256 * 256 * 128, 128 * 128 * 256]
    bits = values[0] / 8 + 3 * values[1] / 4 / 8 + values[2] / 8 + 3 * values[3] / 4 / 8 + values[4] / 8
    assert features["relu3_1"].nbytes + bits <= kept < 1.05 * (features["relu3_1"].nbytes + bits)
    assert caches


@pytest.mark.parametrize("shape", [(1, 1, 3), (130, 257, 3), (1000, 1, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_total_variation(shape, dtype, tolerance):
    backend = choose_backend("cupy")
    p = np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)
    value, dp = losses.total_variation(CupyDevice(), backend.asarray(p))
    expected, gradient = total_variation(p)
    assert float(value) == pytest.approx(float(expected), rel=tolerance)
    assert np.abs(to_numpy(dp) - gradient).max() <= tolerance * max(np.abs(gradient).max(), 1e-30)
