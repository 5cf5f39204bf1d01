from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from handstyle.foundations.backend import Array, Backend, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.network.sequence import ENGINES, Pool, ReLU, check_taps, deepest, sequence_backward, sequence_forward
from handstyle.network.vgg import Network, Weights, build_network


@pytest.fixture
def network(tiny_weights: Weights) -> Network:
    return build_network(tiny_weights).astype("float64")


@pytest.fixture
def x(rng: np.random.Generator) -> Array:
    return rng.standard_normal((9, 11, 3))


def test_features_are_what_the_layers_give_one_by_one(network: Network, x: Array) -> None:
    features, caches = sequence_forward(network.layers, x, network.names)
    y = x
    for layer in network.layers:
        y, _ = layer.forward(y)
        np.testing.assert_array_equal(features[layer.name], y)
    assert len(caches) == len(network.layers)


def test_forward_stops_at_the_deepest_tap(network: Network, x: Array) -> None:
    features, caches = sequence_forward(network.layers, x, ["relu1_2", "conv1_1"])
    assert set(features) == {"relu1_2", "conv1_1"}
    assert len(caches) == 4
    assert deepest(network.layers, ["relu1_2", "conv1_1"]) == 4


def test_the_order_of_the_taps_does_not_matter(network: Network, x: Array) -> None:
    one, _ = sequence_forward(network.layers, x, ("conv2_1", "relu1_1"))
    other, _ = sequence_forward(network.layers, x, iter(["relu1_1", "conv2_1", "relu1_1"]))
    for tap in one:
        np.testing.assert_array_equal(one[tap], other[tap])


@dataclass
class Asked(Mapping[str, Array]):
    """Gradients that write down when they are asked for."""

    gradients: dict[str, Array]
    order: list[str]

    def __getitem__(self, tap: str) -> Array:
        self.order.append(tap)
        return self.gradients[tap]

    def __contains__(self, tap: object) -> bool:
        return tap in self.gradients

    def __iter__(self) -> Iterator[str]:
        return iter(self.gradients)

    def __len__(self) -> int:
        return len(self.gradients)


ON_A_GPU = [pytest.param(name, marks=pytest.mark.gpu) for name in ENGINES if name.startswith("cuda")]
ELSEWHERE = [name for name in ENGINES if not name.startswith("cuda")]


@pytest.mark.parametrize("engine", [*ELSEWHERE, *ON_A_GPU])
def test_each_gradient_is_asked_for_once_deepest_first(engine: str, tiny_weights: Weights) -> None:
    backend = choose_backend("cupy" if engine.startswith("cuda") else "numpy")
    network = build_network(tiny_weights).to(backend).with_kernels(engine)
    x = backend.asarray(np.random.default_rng(0).standard_normal((9, 11, 3)), dtype=np.float32)
    taps = ["relu1_1", "pool1", "relu2_2", "relu3_1"]
    features, caches = network.forward(x, taps)
    asked = Asked(features, [])
    network.backward(asked, caches)
    assert asked.order == ["relu3_1", "relu2_2", "pool1", "relu1_1"]


def test_entering_gradients_are_not_written_to(network: Network, x: Array) -> None:
    x.flags.writeable = False
    features, caches = sequence_forward(network.layers, x, ["relu1_1", "conv2_1"])
    for f in features.values():
        f.flags.writeable = False
    first = sequence_backward(network.layers, features, caches)
    np.testing.assert_array_equal(sequence_backward(network.layers, features, caches), first)


def test_unknown_taps_and_none(network: Network, x: Array) -> None:
    with pytest.raises(HandstyleError, match="unknown layer relu9_9: this network has conv1_1, relu1_1"):
        sequence_forward(network.layers, x, ["relu1_1", "relu9_9"])
    with pytest.raises(HandstyleError, match="no taps"):
        check_taps(network.layers, [])


def test_gradients_that_do_not_fit_the_forward_sweep(network: Network, x: Array) -> None:
    features, caches = sequence_forward(network.layers, x, ["relu1_1"])
    with pytest.raises(HandstyleError, match="no cache for relu1_2"):
        sequence_backward(network.layers, {**features, "relu1_2": x}, caches)
    _, caches = sequence_forward(network.layers, x, ["relu1_1", "relu2_1"])
    with pytest.raises(HandstyleError, match="no gradient for relu2_1"):
        sequence_backward(network.layers, features, caches)


def test_what_a_sweep_remembers(network: Network, x: Array) -> None:
    """A mask of the rectified values, one byte a pooled one; of the convolutions nothing that grows."""
    _, caches = sequence_forward(network.layers, x, ["relu3_1"])
    for layer, cache in zip(network.layers, caches, strict=False):
        if isinstance(layer, ReLU):
            assert cache.dtype == bool
        elif isinstance(layer, Pool):
            assert cache[0].dtype == np.uint8
        else:
            assert cache[0] is layer.w


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype(dtype: str, network: Network, x: Array, backend: Backend) -> None:
    there = network.astype(dtype).to(backend)
    features, caches = there.forward(backend.asarray(x, dtype=dtype), ["conv1_1", "pool2", "relu3_1"])
    dx = there.backward(features, caches)
    assert {f.dtype.name for f in features.values()} == {dtype}
    assert dx.dtype.name == dtype
    assert dx.shape == x.shape
