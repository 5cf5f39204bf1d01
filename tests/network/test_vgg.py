from dataclasses import replace

import numpy as np
import pytest

from handstyle.foundations.errors import HandstyleError
from handstyle.network.sequence import Convolution, Pool
from handstyle.network.vgg import (
    ARCHITECTURES,
    WIDTHS,
    Weights,
    build_network,
    check_layers,
    convolution_names,
    random_weights,
    summary,
)


def full(architecture: str, width: int = 2) -> Weights:
    last = convolution_names(architecture)[-1]
    return random_weights(architecture, (width,) * 5, deepest=last)


@pytest.mark.parametrize(
    ("architecture", "fields"),
    [
        ("vgg19", {"conv1_1": 3, "conv2_1": 10, "conv3_1": 24, "conv4_1": 68, "conv4_2": 84, "conv5_1": 156}),
        ("vgg16", {"conv1_1": 3, "conv2_1": 10, "conv3_1": 24, "conv4_1": 60, "conv5_1": 132}),
    ],
)
def test_receptive_fields(architecture: str, fields: dict[str, int]) -> None:
    rows = {row.name: row for row in summary(build_network(full(architecture)), 224, 224)}
    assert {name: rows[name].receptive_field for name in fields} == fields


def test_a_receptive_field_is_what_a_value_sees() -> None:
    """The summary's arithmetic against the network: which pixels have a gradient of one value deep inside."""
    weights = random_weights(widths=(2,) * 5, deepest="conv3_1")
    layers = {name: (np.ones_like(w), b) for name, (w, b) in weights.layers.items()}
    network = build_network(replace(weights, layers=layers), pooling="average")
    row = next(row for row in summary(network, 64, 64) if row.name == "conv3_1")
    features, caches = network.forward(np.ones((64, 64, 3), np.float32), ["conv3_1"])
    one = np.zeros_like(features["conv3_1"])
    one[8, 8, 0] = 1
    seen = np.abs(network.backward({"conv3_1": one}, caches)).sum(axis=2) > 0
    assert seen.any(axis=1).sum() == row.receptive_field == 24
    assert seen.any(axis=0).sum() == row.receptive_field
    one = np.roll(one, 1, axis=0)
    next_seen = np.abs(network.backward({"conv3_1": one}, caches)).sum(axis=2) > 0
    assert next_seen.any(axis=1).argmax() - seen.any(axis=1).argmax() == row.stride == 4


@pytest.mark.parametrize("rounding", ["down", "up"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 47), (17, 16)])
def test_summary_names_the_shapes_that_come_out(height: int, width: int, rounding: str) -> None:
    network = build_network(full("vgg19"), rounding=rounding)
    features, _ = network.forward(np.zeros((height, width, 3), np.float32), network.names)
    for row in summary(network, height, width):
        assert features[row.name].shape == row.shape
        assert row.values == features[row.name].size


def test_parameters_of_the_published_network() -> None:
    weights = random_weights("vgg19", WIDTHS, deepest="conv5_4")
    rows = summary(build_network(weights), 224, 224)
    assert rows[0].parameters == 3 * 3 * 3 * 64 + 64
    # 20,024,384 of the 143,667,240 of configuration E are convolutions; the rest is in three dense layers.
    dense = (25088 + 1) * 4096 + (4096 + 1) * 4096 + (4096 + 1) * 1000
    assert sum(row.parameters for row in rows) == 20_024_384 == 143_667_240 - dense


@pytest.mark.parametrize(("architecture", "count"), [("vgg16", 13), ("vgg19", 16)])
def test_names_and_order(architecture: str, count: int) -> None:
    network = build_network(full(architecture))
    assert sum(isinstance(layer, Convolution) for layer in network.layers) == count
    assert sum(isinstance(layer, Pool) for layer in network.layers) == 5
    assert network.names[:5] == ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1")
    assert network.names[-1] == "pool5"
    assert sum(ARCHITECTURES[architecture]) == count


def test_options_reach_the_layers() -> None:
    network = build_network(full("vgg16"), "average", "reflect", "up")
    assert {layer.padding for layer in network.layers if isinstance(layer, Convolution)} == {"reflect"}
    assert {(layer.kind, layer.rounding) for layer in network.layers if isinstance(layer, Pool)} == {("average", "up")}


def test_weights_that_end_early() -> None:
    network = build_network(random_weights(widths=(2,) * 5, deepest="conv4_1"))
    assert network.names[-1] == "relu4_1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "median"}, "unknown pooling 'median': use max, average, l2"),
        ({"padding": "wrap"}, "unknown padding 'wrap'"),
        ({"rounding": "ceil"}, "unknown rounding 'ceil'"),
    ],
)
def test_unknown_options(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(HandstyleError, match=message):
        build_network(full("vgg16"), **arguments)


def test_unknown_names() -> None:
    with pytest.raises(HandstyleError, match="unknown architecture 'vgg11': use vgg16, vgg19"):
        convolution_names("vgg11")
    with pytest.raises(HandstyleError, match="unknown layer 'conv9_1'"):
        random_weights(deepest="conv9_1")
    with pytest.raises(HandstyleError, match="kernels='quick': use reference"):
        build_network(full("vgg16")).with_kernels("quick")


def spoilt(name: str, w=None, b=None) -> Weights:
    weights = full("vgg19")
    old_w, old_b = weights.layers[name]
    return replace(weights, layers={**weights.layers, name: (old_w if w is None else w, old_b if b is None else b)})


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            spoilt("conv2_1", w=np.zeros((5, 5, 2, 2))),
            r"layer conv2_1 has kernels of shape \(5, 5, 2, 2\), expected \(3, 3, 2, K\)",
        ),
        (
            spoilt("conv2_1", w=np.zeros((3, 3, 7, 2))),
            r"layer conv2_1 has kernels of shape \(3, 3, 7, 2\), expected \(3, 3, 2, K\)",
        ),
        (spoilt("conv1_1", w=np.zeros((2, 3, 3, 3))), r"conv1_1 .* \(2, 3, 3, 3\), expected \(3, 3, 3, K\)"),
        (spoilt("conv3_2", b=np.zeros(3)), r"layer conv3_2 has a bias of shape \(3,\), expected \(2,\)"),
        (spoilt("conv3_2", w=np.full((3, 3, 2, 2), np.nan)), "layer conv3_2 holds values that are not finite"),
        (spoilt("conv5_4", w=np.zeros((3, 3, 2, 0)), b=np.zeros(0)), r"layer conv5_4 has kernels of shape"),
        (replace(full("vgg19"), convention="keras"), "unknown convention 'keras': use caffe, torchvision"),
        (replace(full("vgg19"), architecture="vgg16"), "layer conv3_4 found, but vgg16 has no such layer"),
        (replace(full("vgg19"), layers={}), "layer conv1_1 is missing; no layer of vgg19 found"),
    ],
)
def test_misfits_name_the_layer_found_and_expected(weights: Weights, message: str) -> None:
    with pytest.raises(HandstyleError, match=message):
        check_layers(weights)


def test_a_gap_names_the_missing_layer() -> None:
    weights = full("vgg19")
    layers = {name: pair for name, pair in weights.layers.items() if name != "conv3_2"}
    with pytest.raises(HandstyleError, match="layer conv3_2 is missing; 15 layers of vgg19 found"):
        check_layers(replace(weights, layers=layers))


def test_random_weights_keep_the_scale_of_the_features() -> None:
    weights = random_weights(seed=1)
    network = build_network(weights)
    x = np.random.default_rng(0).normal(0, 60, (48, 48, 3)).astype(np.float32)
    features, _ = network.forward(x, ["relu1_1", "relu3_1", "relu5_1"])
    sizes = [float(np.sqrt((f * f).mean())) for f in features.values()]
    assert max(sizes) < 4 * min(sizes)
    w, _ = weights.layers["conv1_1"]
    np.testing.assert_allclose(w.mean(axis=(0, 1, 2)), 0, atol=1e-7)
    assert network.dtype == np.float32


def test_random_weights_are_the_same_for_the_same_seed() -> None:
    one, same, other = (random_weights(widths=(2,) * 5, seed=seed) for seed in (0, 0, 1))
    for name, (w, _) in one.layers.items():
        np.testing.assert_array_equal(same.layers[name][0], w)
        assert not np.array_equal(other.layers[name][0], w)


@pytest.mark.parametrize("widths", [(4, 4, 4), (4, 4, 4, 4, 0)])
def test_widths_that_are_not_five_are_refused(widths):
    with pytest.raises(HandstyleError, match="give five, one a block"):
        random_weights(widths=widths)
