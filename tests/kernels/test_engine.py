"""The fused engines against the reference engine: every tap, every border, every pooling, ragged sides."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import LOWERED, Tile
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.threads import Team
from handstyle.network.vgg import Network, build_network, random_weights

KERNELS = ["im2col", "winograd", "auto"]
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu4_2", "relu5_1")


def slim(pooling: str = "max", padding: str = "zero", rounding: str = "down", widths: tuple[int, ...] = ()) -> Network:
    weights = random_weights("vgg19", widths or (8, 16, 8, 24, 8), seed=5)
    rng = np.random.default_rng(6)
    for _, b in weights.layers.values():
        b += rng.normal(0, 0.3, b.shape)
    return build_network(weights, pooling, padding, rounding).astype(np.float64)


def compare(network: Network, kernels: str | CpuEngine, x: Array, taps: tuple[str, ...], bound: float) -> None:
    rng = np.random.default_rng(1)
    features, caches = network.forward(x, taps)
    entering = {tap: rng.normal(size=f.shape).astype(f.dtype) for tap, f in features.items()}
    for d in entering.values():
        d.flags.writeable = False
    dx = network.backward(entering, caches)
    fast = network.with_kernels(kernels)
    found, caches = fast.forward(x, taps)
    assert set(found) == set(features)
    for tap, f in features.items():
        assert found[tap].shape == f.shape
        assert found[tap].dtype == f.dtype
        assert abs(found[tap] - f).max() <= bound * max(abs(f).max(), 1e-9), tap
    fdx = fast.backward(entering, caches)
    assert fdx.dtype == dx.dtype
    assert abs(fdx - dx).max() <= bound * max(abs(dx).max(), 1e-9)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize("padding", ["zero", "reflect", "replicate"])
@pytest.mark.parametrize("rounding", ["down", "up"])
def test_equals_the_reference_for_every_kind_of_network(
    kernels: str, pooling: str, padding: str, rounding: str
) -> None:
    x = np.random.default_rng(2).normal(0, 60, (33, 50, 3))
    compare(slim(pooling, padding, rounding), kernels, x, STYLE, 1e-12)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize(
    "taps",
    [
        STYLE,
        ("conv1_1", "relu1_2", "pool1", "conv3_2", "relu3_4", "pool3"),  # raw, above and below a pool
        ("conv1_2", "relu1_2", "pool1"),
        ("relu2_2", "pool2"),
        ("conv5_1",),
        ("pool4",),
        ("conv1_1",),
        ("relu1_1",),
    ],
)
def test_any_layer_may_be_tapped(kernels: str, taps: tuple[str, ...]) -> None:
    x = np.random.default_rng(3).normal(0, 60, (35, 64, 3))
    compare(slim(), kernels, x, taps, 1e-12)
    compare(slim("average", widths=(5, 6, 7, 9, 11)), kernels, x, taps, 1e-12)


@pytest.mark.parametrize("kernels", KERNELS)
@given(st.integers(16, 70), st.integers(16, 70), st.sampled_from(["down", "up"]))
def test_equals_the_reference_at_any_size(kernels: str, H: int, W: int, rounding: str) -> None:
    x = np.random.default_rng(H * 71 + W).normal(0, 60, (H, W, 3))
    compare(slim(rounding=rounding), kernels, x, ("relu1_2", "pool2", "relu4_2", "relu5_1"), 1e-12)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 3)])
def test_equals_the_reference_down_to_one_pixel(kernels: str, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(4).normal(0, 60, (*shape, 3))
    compare(slim(), kernels, x, ("relu1_1", "relu1_2"), 1e-12)
    compare(slim(rounding="up"), kernels, x, ("relu1_1", "pool1", "relu2_2", "pool2"), 1e-12)


@pytest.mark.parametrize("kernels", KERNELS)
def test_in_float32_it_errs_as_little_as_a_rounding(kernels: str) -> None:
    # With a smooth pool and no rectifier near its kink there would be nothing else; 1e-3 leaves room for a flipped bit.
    x = np.random.default_rng(5).normal(0, 60, (40, 56, 3)).astype(np.float32)
    compare(slim("average").astype(np.float32), kernels, x, STYLE, 1e-3)


class OnceEach(Mapping[str, Array]):
    """Gradients that may be taken once, deepest first."""

    def __init__(self, features: dict[str, Array]) -> None:
        self.features, self.taps, self.asked = features, tuple(features), []  # type: ignore[var-annotated]

    def __getitem__(self, tap: str) -> Array:
        self.asked.append(tap)
        return self.features.pop(tap) * 2

    def __contains__(self, tap: object) -> bool:
        return tap in self.taps

    def __iter__(self) -> Iterator[str]:
        return iter(self.taps)

    def __len__(self) -> int:
        return len(self.taps)


@pytest.mark.parametrize("kernels", KERNELS)
def test_each_gradient_is_asked_for_once_deepest_first(kernels: str) -> None:
    taps = ("relu1_1", "conv1_2", "pool1", "relu2_2", "relu3_1")
    network = slim().with_kernels(kernels)
    features, caches = network.forward(np.random.default_rng(7).normal(0, 60, (20, 20, 3)), taps)
    once = OnceEach(features)
    network.backward(once, caches)
    assert once.asked == [tap for tap in network.names[::-1] if tap in taps]


@pytest.mark.parametrize("kernels", KERNELS)
def test_one_evaluation_does_not_disturb_another(kernels: str) -> None:
    # The engine reuses its memory: what it handed out, and the caches that still wait, must not change.
    network, rng = slim().with_kernels(kernels), np.random.default_rng(8)
    x, other = rng.normal(0, 60, (2, 32, 48, 3))
    features, caches = network.forward(x, STYLE)
    kept = {tap: f.copy() for tap, f in features.items()}
    dx = network.backward(kept, caches)
    copy = dx.copy()
    _, others = network.forward(other, STYLE)
    network.backward({tap: np.ones_like(f) for tap, f in kept.items()}, others)
    network.forward(rng.normal(size=(20, 24, 3)), STYLE)
    for tap in STYLE:
        np.testing.assert_array_equal(features[tap], kept[tap])
    np.testing.assert_array_equal(dx, copy)
    np.testing.assert_array_equal(network.backward(kept, caches), copy)


def test_the_same_bits_come_out_of_every_run_and_any_number_of_threads() -> None:
    network, x = slim().astype(np.float32), np.random.default_rng(9).normal(0, 60, (40, 72, 3)).astype(np.float32)
    found = []
    for threads in (1, 2, 2, 3):
        engine = CpuEngine(
            "winograd", lambda H, W, C, K, adjoint: Tile(4, 4) if min(C, K) > 3 else LOWERED, Team(threads)
        )
        features, caches = network.with_kernels(engine).forward(x, STYLE)
        found.append((features, network.with_kernels(engine).backward(dict(features), caches)))
    for features, dx in found[1:]:
        np.testing.assert_array_equal(dx, found[0][1])
        for tap in STYLE:
            np.testing.assert_array_equal(features[tap], found[0][0][tap])


def test_what_it_cannot_do_is_said() -> None:
    network = slim().with_kernels("winograd")
    with pytest.raises(HandstyleError, match="float64, the picture is float32"):
        network.forward(np.zeros((8, 8, 3), np.float32), ("relu1_1",))
    with pytest.raises(HandstyleError, match="unknown layer relu9_9"):
        network.forward(np.zeros((8, 8, 3)), ("relu9_9",))
    features, caches = network.forward(np.zeros((8, 8, 3)), ("relu1_1",))
    with pytest.raises(HandstyleError, match="no cache for relu2_1"):
        network.backward({"relu1_1": features["relu1_1"], "relu2_1": features["relu1_1"]}, caches)
    with pytest.raises(HandstyleError, match="no gradient for relu1_1"):
        network.backward({}, caches)
    with pytest.raises(HandstyleError, match="float16"):
        slim().astype(np.float16).with_kernels("winograd").forward(np.zeros((8, 8, 3), np.float16), ("relu1_1",))
