"""The whole CUDA engine, executed on the processor, against the reference: both sweeps, every method and border."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.emulated_device import WHY_NOT, EmulatedDevice
from support.sample_objectives import painting
from support.strict_arrays import strict_backend

import handstyle
from handstyle.foundations.backend import Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_projection
from handstyle.foundations.image import CONVENTIONS, preprocess_backward, preprocess_forward
from handstyle.kernels.cuda import engine as engines
from handstyle.kernels.cuda import losses
from handstyle.kernels.cuda.convolution import METHODS
from handstyle.kernels.cuda.device import CupyDevice
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.gradients import GivenGradients
from handstyle.losses.content import ContentTerm
from handstyle.losses.distribution import DistributionTerm, covariance_loss, mean_loss, std_loss
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.normalized import NormalizedTerm
from handstyle.losses.temporal import temporal_term
from handstyle.losses.terms import WHOLE
from handstyle.losses.total_variation import VariationTerm, absolute_variation, total_variation
from handstyle.network.sequence import Convolution, Pool, ReLU, make_engine, sequence_backward, sequence_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import evaluate, forward_to
from handstyle.painting.load import load_network

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))

PATHS = {"PYTHONPATH": f"{Path(handstyle.__file__).parents[1]}{os.pathsep}{Path(__file__).parents[1]}"}
STYLE_AND_CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu3_2")
EVERYWHERE = ("relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "pool2", "relu3_2")


def network(dtype="float64", pooling="max", padding="zero", rounding="down", seed=1):
    weights = random_weights(widths=(4, 36, 7, 6, 6), seed=seed, deepest="conv3_2")  # 36: more than a warp's channels
    draw = np.random.default_rng(seed)
    layers = {name: (w, draw.normal(0, 1, b.shape).astype(b.dtype)) for name, (w, b) in weights.layers.items()}
    return build_network(type(weights)("vgg19", "caffe", layers), pooling, padding, rounding).astype(dtype)


def winograd(device=None, workspace=1 << 28):
    """Return the engine with the kernels that have most to get wrong; small maps would be given others."""
    return CudaEngine(device or EmulatedDevice(), "winograd4", workspace)


def compare(net, engine, x, taps, tolerance):
    """Run both engines forward and backward, and return the largest relative difference."""
    rng = np.random.default_rng(7)
    features, caches = net.forward(x, taps)
    dfeatures = {tap: rng.standard_normal(f.shape).astype(x.dtype) for tap, f in features.items()}
    expected = {**features, "dx": net.backward(dfeatures, caches)}
    before = x.copy()
    fast = net.with_kernels(engine)
    features, caches = fast.forward(x, taps)
    found = {**features, "dx": fast.backward(dfeatures, caches)}
    np.testing.assert_array_equal(x, before)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype
        error = np.linalg.norm(found[name] - value) / np.linalg.norm(value)
        assert error < tolerance, (name, error)


def picture(H, W, dtype="float64"):
    return np.random.default_rng(3).uniform(-120, 150, (H, W, 3)).astype(dtype)


@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize(
    ("pooling", "rounding"), [("max", "down"), ("max", "up"), ("average", "down"), ("average", "up")]
)
@pytest.mark.parametrize("taps", [STYLE_AND_CONTENT, EVERYWHERE], ids=["usual", "everywhere"])
def test_it_is_the_reference(padding, pooling, rounding, taps):
    net = network("float64", pooling, padding, rounding)
    compare(net, winograd(), picture(17, 23), taps, 1e-13)


def test_a_pool_without_a_kernel_is_refused_by_name():
    with pytest.raises(HandstyleError, match=r"pooling='l2': .* use kernels='reference'"):
        winograd().forward(network("float64", "l2").layers, picture(17, 23), ["relu2_1"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_every_method_is_the_reference(method, padding):
    for workspace, rounding in ((1, "down"), (1, "up"), (1 << 13, "up"), (1 << 15, "down"), (1 << 28, "up")):
        engine = CudaEngine(EmulatedDevice(), method, workspace)  # one row at a time, a few strips, one strip
        compare(network(padding=padding, rounding=rounding), engine, picture(13, 10), STYLE_AND_CONTENT, 1e-13)


# The tolerance is that of Winograd F(4x4) in float32. "tf32" multiplies by NumPy here, so only its way is tested.
@pytest.mark.parametrize(
    ("precision", "method", "tolerance"),
    [("float32", "winograd4", 1e-5), ("float32", None, 2e-6), ("tf32", None, 2e-6)],
)
def test_float32(precision, method, tolerance):
    device = EmulatedDevice(precision)
    compare(network("float32"), CudaEngine(device, method), picture(24, 21, "float32"), STYLE_AND_CONTENT, tolerance)
    assert ("winograd_input" in device.launches) is (method == "winograd4")


def test_every_shape_is_given_a_method_and_it_is_told():
    engine = CudaEngine(EmulatedDevice())
    net = network().with_kernels(engine)
    features, caches = net.forward(picture(16, 16), STYLE_AND_CONTENT)
    net.backward(features, caches)
    names = [f"conv{i} {way}" for i in ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2") for way in ("forward", "adjoint")]
    assert sorted(engine.chosen) == sorted(names)
    assert engine.chosen["conv1_1 forward"] == "first"
    for method in {*engine.chosen.values()}:
        assert f"{method}: " in engine.describe()
    assert engine.describe().startswith("products by NumPy; first: conv1_1 forward, conv1_1 adjoint; ")


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 5), (4, 4), (5, 8), (9, 1), (16, 66)])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_ragged_shapes(shape, rounding):
    taps = ("relu1_1", "relu1_2") if min(shape) < 2 else ("relu1_1", "relu2_2")
    compare(network(rounding=rounding, padding="replicate"), winograd(), picture(*shape), taps, 1e-13)


def test_the_order_of_threads_does_not_matter():
    runs = []
    for reversed_order in (False, True):
        net = network(padding="reflect").with_kernels(winograd(EmulatedDevice(reversed_order=reversed_order)))
        features, caches = net.forward(picture(11, 14), EVERYWHERE)
        runs.append([*features.values(), net.backward(features, caches)])
    for forwards, backwards in zip(*runs, strict=True):
        np.testing.assert_array_equal(forwards, backwards)


def test_layers_in_any_order():
    rng = np.random.default_rng(0)
    w = [rng.standard_normal((3, 3, *c)) for c in ((5, 4), (4, 6), (6, 3), (3, 4))]
    layers = (
        ReLU("r0"),
        Pool("p0", "average"),
        Convolution("c1", w[0], rng.standard_normal(4)),
        Convolution("c2", w[1], rng.standard_normal(6), "reflect"),
        Pool("p2"),
        ReLU("r2"),
        Convolution("c3", w[2], rng.standard_normal(3)),
        ReLU("r3"),
        Convolution("c4", w[3], rng.standard_normal(4)),
        ReLU("r4"),
        ReLU("r5"),
    )
    x = rng.standard_normal((14, 12, 5))
    engine = winograd()
    for taps in (("r5",), ("c4", "r2"), ("p2", "c1"), tuple(layer.name for layer in layers)):
        features, caches = sequence_forward(layers, x, taps)
        dfeatures = {tap: rng.standard_normal(f.shape) for tap, f in features.items()}
        expected = sequence_backward(layers, dfeatures, caches)
        found, caches = engine.forward(layers, x, taps)
        for tap in taps:
            np.testing.assert_allclose(found[tap], features[tap], rtol=1e-11, atol=1e-11)
        dx = engine.backward(layers, dfeatures, caches)
        assert np.linalg.norm(dx - expected) < 1e-12 * np.linalg.norm(expected)


def test_the_gradient_of_the_whole_objective_is_that_of_central_differences():
    objective, v0 = painting(24, "float64", kernels=winograd())
    _, gradient = objective(v0)
    report = check_projection(lambda v: objective(v)[0], gradient, v0, draws=3)
    assert report, str(report)


@pytest.mark.parametrize("shape", [(24, 20, 3), (1, 7, 3), (9, 1, 3), (1, 1, 3), (33, 70, 4), (8, 32, 1)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_total_variation_goes_by_its_kernel(shape, dtype, tolerance):
    device = EmulatedDevice()
    p = np.random.default_rng(0).uniform(0, 255, shape).astype(dtype)
    before = p.copy()
    value, dp = losses.total_variation(device, p)
    assert device.launches == ["variation", "total"]
    expected, gradient = total_variation(p)
    assert value == pytest.approx(float(expected), rel=tolerance)
    assert dp.dtype == p.dtype
    assert np.abs(dp - gradient).max() <= tolerance * max(np.abs(gradient).max(), 1e-300)
    np.testing.assert_array_equal(p, before)
    if dtype == "float64" and value:
        assert check_projection(lambda q: float(losses.total_variation(EmulatedDevice(), q)[0]), dp, p, draws=3)
    with pytest.raises(ValueError, match="5 channels"):
        losses.total_variation(device, np.zeros((3, 3, 5)))


def test_the_objective_uses_the_kernel_where_the_engine_has_one():
    expected, gradient = painting(24, "float64")[0](painting(24, "float64")[1])
    device = EmulatedDevice()
    objective, v0 = painting(24, "float64", kernels=CudaEngine(device))
    value, found = objective(v0)
    assert device.launches.count("variation") == 1
    assert value == pytest.approx(expected, rel=1e-12)
    assert np.linalg.norm(found - gradient) < 1e-11 * np.linalg.norm(gradient)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("method", [None, *METHODS])
def test_an_objective_whose_gradients_are_written_over_its_features(method, padding):
    def padded(network):
        layers = tuple(
            replace(layer, padding=padding) if isinstance(layer, Convolution) else layer for layer in network.layers
        )
        return replace(network, layers=layers)

    reference, v0 = painting(24, "float64", change=padded)
    value, gradient = reference(v0)
    objective, _ = painting(24, "float64", kernels=CudaEngine(EmulatedDevice(), method, 1 << 16), change=padded)
    for _ in range(2):
        found, over = objective(v0)
        assert found == pytest.approx(value, rel=1e-11)
        assert np.linalg.norm(over - gradient) < 1e-10 * np.linalg.norm(gradient)


def test_the_largest_map_is_computed_again_and_not_held():
    device = EmulatedDevice(memory=1 << 30)
    engine = CudaEngine(device, "winograd4")
    x, largest = picture(32, 24), 32 * 24 * 4 * 8
    features, recompute = {}, {}
    stages = engine.run_forward(network().layers, x, ("relu1_1", "relu3_1"), features, recompute)
    without = device.held
    assert set(features) == {"relu3_1"}
    first = recompute["relu1_1"]()
    assert device.held == without + largest
    np.testing.assert_allclose(first, network().forward(x, ["relu1_1"])[0]["relu1_1"], atol=1e-11)
    kept = first.copy()
    engine.run_backward(stages, GivenGradients({"relu1_1": first, "relu3_1": features["relu3_1"]}))
    np.testing.assert_array_equal(first, kept)  # a gradient in a plain mapping is the caller's, and stays as it is


@dataclass(frozen=True)
class Contrast:
    """A term that no engine can have heard of: ``Σ f⁴``."""

    tap: str
    weight: float = 1e-9
    name: str = "contrast"

    def measure(self, f, where=WHOLE):
        return (f**4).sum(dtype=np.float64)

    def loss(self, s):
        return s, np.ones_like(s)

    def spread(self, ds, f, where=WHOLE):
        return (4 * ds).astype(f.dtype) * f**3


def every_kind(features, tap):
    """Return a term of every kind at one tap."""
    target, mask = moments_forward(features[tap]), np.random.default_rng(4).uniform(0, 1, (*features[tap].shape[:2], 1))
    means = ((0.5, partial(mean_loss, target=target)), (0.25, partial(std_loss, target=target)))
    return [
        StyleTerm(tap, target, 3.0),
        StyleTerm(tap, target, 3.0, mask=mask, name="masked"),
        StyleTerm(tap, target, 3.0, mask=mask, name="counts all", counts_all=True),
        DistributionTerm(tap, means, 2.0, name="means"),
        DistributionTerm(tap, ((1e-3, partial(covariance_loss, target=target)),), 2.0, mask, "covariance"),
        ContentTerm(tap, features[tap], 1.5),
        ContentTerm(tap, features[tap], 1.5, mask=mask, name="content, masked"),
        NormalizedTerm(ContentTerm(tap, features[tap], name="normalized"), 2.0),
        Contrast(tap),
    ]


@pytest.mark.parametrize("tap", ["relu1_1", "conv1_2", "relu1_2", "pool1", "relu3_1"])
def test_every_kind_of_term_is_the_reference(tap):
    net, shape = network(), (19, 22, 3)
    features = forward_to(net, EVERYWHERE + ("relu3_1",), np.random.default_rng(1).uniform(0, 255, shape))[0]
    p = np.random.default_rng(2).uniform(-20, 275, shape)
    kinds = every_kind(features, tap)
    of_picture = [VariationTerm(1e-3, "absolute", absolute_variation), VariationTerm(1e-3, in_value=False, stretch=2.0)]
    of_picture.append(temporal_term(p[::-1].copy(), (p[..., :1] > 100) * 1.0, 0.2))
    for terms in (
        *([kind] for kind in kinds),
        [*kinds, StyleTerm("pool1", moments_forward(features["pool1"])), *of_picture],
    ):
        expected, dp = evaluate(net, terms, p)
        prepared = CudaEngine(EmulatedDevice()).prepare(net, terms, shape)
        for _ in range(2):
            values, gradient = prepared(p)
            np.testing.assert_allclose(values, expected, rtol=1e-11)
            assert np.abs(gradient - dp).max() <= 1e-10 * np.abs(dp).max()
        assert np.abs(dp).max() > 0
        host_values, host = prepared.host(p.ravel())
        np.testing.assert_array_equal(host_values, values)
        np.testing.assert_array_equal(host, gradient.ravel())


@pytest.mark.parametrize("convention", CONVENTIONS.values(), ids=CONVENTIONS)
def test_the_way_into_the_network_is_the_readable_one(convention):
    p = picture(5, 7)
    np.testing.assert_array_equal(losses.preprocess(np, p, convention), preprocess_forward(p, convention))
    np.testing.assert_array_equal(losses.preprocess_adjoint(np, p, convention), preprocess_backward(p, convention))


def test_a_nan_is_not_hidden():
    x = picture(12, 12)
    x[6, 6, 1] = np.nan
    features, _ = network().with_kernels(winograd()).forward(x, ("relu1_1", "pool1"))
    assert np.isnan(features["relu1_1"]).any()
    assert np.isnan(features["pool1"]).any()


def test_what_is_remembered_is_bits():
    weights = random_weights(widths=(32, 32, 64, 64, 64), deepest="conv3_1")
    net = build_network(weights).with_kernels(winograd())
    _, stages = net.forward(picture(32, 32, "float32"), ("relu3_1",))
    values = 32 * 32 * 32, 16 * 16 * 32, 16 * 16 * 32, 8 * 8 * 32, 8 * 8 * 64
    rectified, pooled = values[0] + values[2] + values[4], values[1] + values[3]
    kept = sum(a.nbytes for stage in stages for a in (stage.bits, stage.pool_bits) if a is not None)
    assert kept == (rectified + 3 * pooled) // 8


def test_each_gradient_is_asked_for_once():
    class Once(dict):
        def __getitem__(self, key):
            return self.pop(key)

        def __contains__(self, key):
            return key in taps

        def __iter__(self):
            return iter(taps)

    taps = frozenset(EVERYWHERE)
    net = network().with_kernels(winograd())
    features, caches = net.forward(picture(16, 16), taps)
    asked = Once(features)
    net.backward(asked, caches)
    assert dict.__len__(asked) == 0


def test_what_cannot_run_says_so():
    engine = winograd()
    net, x = network(), picture(16, 16)
    with pytest.raises(HandstyleError, match="weights are float64, the picture is float32"):
        engine.forward(net.layers, x.astype("float32"), ["relu1_1"])
    with pytest.raises(HandstyleError, match="run on numpy arrays"):
        engine.forward(net.layers, strict_backend().asarray(x), ["relu1_1"])
    with pytest.raises(HandstyleError, match="unknown method"):
        CudaEngine(EmulatedDevice(), "fft")
    features, caches = engine.forward(net.layers, x, ["relu1_1", "relu2_1"])
    wrong = features["relu2_1"]
    for bad, message in (
        ({"relu1_1": wrong}, "no gradient for relu2_1"),
        ({"relu2_1": wrong, "relu3_1": wrong}, "no cache for relu3_1"),
        ({"relu2_1": wrong[1:]}, "expected"),
        ({"relu2_1": wrong.astype("float32")}, "float32"),
        ({"relu2_1": wrong, "relu1_2": np.zeros((16, 16, 4))}, "did not tap"),
    ):
        with pytest.raises(HandstyleError, match=message):
            engine.backward(net.layers, bad, caches)


@pytest.mark.parametrize("name", ["cuda", "cuda-tf32"])
def test_without_a_gpu_it_is_refused(name):
    try:
        choose_backend("cupy")
    except HandstyleError:
        with pytest.raises(HandstyleError, match="backend cupy"):
            make_engine(name)
    else:
        pytest.skip("there is a GPU")


def test_a_gpu_is_given_these_kernels(monkeypatch):
    engine = winograd()
    monkeypatch.setattr(engines, "CudaEngine", lambda: engine)
    pretended = Backend("cupy", np, "no GPU at all")
    assert load_network("random", backend=pretended).engine is engine
    assert load_network("random", backend=pretended, kernels="reference").engine.name == "reference"
    assert load_network("random", backend="numpy").engine is not engine


def test_a_full_gpu_says_what_to_do():
    class Full:
        def empty(self, shape, dtype):
            raise MemoryError("Out of memory allocating 4,194,304 bytes")

    device = object.__new__(CupyDevice)  # there is none to make properly
    device.xp = Full()
    with pytest.raises(HandstyleError, match="full, at 4 MiB more: paint at a smaller size"):
        device.empty((1024, 1024), "float32")


# Each is a mistake of the kind that is made: an index, a bound, a sign, a vote, a barrier, a scale.
MUTANTS = {
    "row and column exchanged": ("V[((size_t)(i * N + j)", "V[((size_t)(j * N + i)"),
    "a tile too far": ("% across * TILE - offset;", "% across * TILE;"),
    "the kernel not turned": ("(adjoint ? 8 - tap : tap)", "tap"),
    "a border off by one": ("return i < 0 ? step : n - 1 - step;", "return i < 0 ? step : n - 2 + step;"),
    "the last row written twice": ("if (top + i >= f.H ||", "if (top + i > f.H ||"),
    "bits of the neighbor": (">> (c % 32)", ">> (c % 31)"),
    "half the pool's codes": ("live && (code & 2)", "live && (code & 1)"),
    "a dead lane votes": ("live && a > 0);", "a > -1);"),
    "the mask after the tap": ("+ relu_gradient : 0) + conv_gradient;", "+ relu_gradient + conv_gradient : 0);"),
    "the average of four": ("* s.C + c] / count;", "* s.C + c] / 4;"),
    "a share of another tap": ("shift - tap / 3 - begin", "shift - tap % 3 - begin"),
    "no barrier": ("__syncthreads();", ";"),
    "a lane leaves before the vote": ("if (tile >= tiles) return;  // a whole warp", "if (k >= f.K) return;  //"),
    "a fold that forgets an edge": ("j = b == 0 ? w : b == 1 ? -1 : f.W;", "j = b == 0 ? w : b == 1 ? -1 : f.W + 1;"),
}


def run_mutant(mutant):
    """Return without an error if nobody notices the mistake."""
    old, new = MUTANTS[mutant]
    hits = []

    def mutate(text):
        hits.append(old in text)
        return text.replace(old, new)

    for reversed_order in (False, True):
        device = EmulatedDevice(reversed_order=reversed_order, mutate=mutate)
        for rounding, pooling in (("up", "average"), ("down", "max"), ("up", "max")):
            net = network(padding="reflect", pooling=pooling, rounding=rounding)
            compare(net, winograd(device, 1 << 16), picture(15, 18), EVERYWHERE, 1e-13)
    if not any(hits):
        raise SystemExit("the mistake was not made: the kernel's text has changed")


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_broken_kernel_is_found(mutant):
    # In a process of its own: some of these write wherever they like.
    done = subprocess.run([sys.executable, __file__, mutant], capture_output=True, text=True, env=os.environ | PATHS)
    crashed = done.returncode < 0
    found = done.returncode == 1 and ("AssertionError" in done.stderr or "KernelError" in done.stderr)
    assert crashed or found, done.stderr or "nobody noticed"


if __name__ == "__main__":
    run_mutant(sys.argv[1])
