"""Masks on their way through the network, and the statistics that they weigh."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handstyle.foundations.errors import HandstyleError
from handstyle.losses.gram import StyleTerm, gram_loss, moments_forward
from handstyle.losses.regions import carry_mask, check_carried, cysmith_mask, leak, share_overlaps, uncovered
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import Network, build_network, random_weights

TAPS = ("relu1_1", "relu2_1", "relu3_1", "pool3")


def small(padding: str = "zero", rounding: str = "down", pooling: str = "max") -> Network:
    return build_network(random_weights(widths=(3, 3, 3, 3, 3)), pooling, padding, rounding)


@given(
    st.integers(9, 21),
    st.integers(9, 21),
    st.sampled_from(["fraction", "inside"]),
    st.sampled_from(["zero", "reflect", "replicate"]),
    st.sampled_from(["down", "up"]),
)
def test_shape_is_the_features_and_ones_stay_ones(h: int, w: int, rule: str, padding: str, rounding: str) -> None:
    network = small(padding, rounding)
    features, _ = network.forward(np.zeros((h, w, 3), np.float32), TAPS)
    carried = carry_mask(network.layers, np.ones((h, w)), TAPS, rule)
    for tap in TAPS:
        assert carried[tap].shape == (*features[tap].shape[:2], 1)
        np.testing.assert_allclose(carried[tap], 1, rtol=1e-12)


def test_inside_is_what_the_network_cannot_see_beyond(rng: np.random.Generator) -> None:
    # Where the carried mask is 1, changing every pixel outside the region must not move the features; where it is 0
    # something outside is seen, and with random weights it shows.
    network = small().astype("float64")
    mask = np.zeros((40, 44))
    mask[:30, :33] = 1
    x = rng.standard_normal((40, 44, 3))
    y = x + rng.standard_normal((40, 44, 3)) * (1 - mask)[..., None]
    taps = ("conv1_1", "conv2_1", "conv3_1")
    a, b = network.forward(x, taps)[0], network.forward(y, taps)[0]
    for tap, m in carry_mask(network.layers, mask, taps, "inside").items():
        moved = abs(a[tap] - b[tap]).max(axis=2) > 0
        assert not moved[m[..., 0] == 1].any(), tap
        # A maximum may hide a pixel, so what is seen need not move everywhere.
        assert moved[m[..., 0] == 0].mean() > 0.95, tap


def test_fractions_are_those_of_a_network_of_equal_weights(rng: np.random.Generator) -> None:
    network = small(padding="replicate", pooling="average").astype("float64")
    equal = []
    for layer in network.layers:
        if isinstance(layer, Convolution):
            C, K = layer.w.shape[2:]
            equal.append(Convolution(layer.name, np.full((3, 3, C, K), 1 / (9 * C)), np.zeros(K), layer.padding))
        else:
            equal.append(layer)
    mask = rng.uniform(0, 1, (24, 20))
    features, _ = replace(network, layers=tuple(equal)).forward(np.repeat(mask[..., None], 3, axis=2), TAPS)
    for tap, m in carry_mask(network.layers, mask, TAPS).items():
        np.testing.assert_allclose(m[..., 0], features[tap][..., 0], rtol=1e-12)


def test_fractions_of_a_partition_add_up(rng: np.random.Generator) -> None:
    network, mask = small(), rng.uniform(0, 1, (24, 21))
    a, b = carry_mask(network.layers, mask, TAPS), carry_mask(network.layers, 1 - mask, TAPS)
    for tap in TAPS:
        np.testing.assert_allclose(a[tap] + b[tap], 1, rtol=1e-12)
    cut = carry_mask(network.layers, mask, TAPS, hard=True)
    assert set(np.unique(cut["relu1_1"])) <= {0.0, 1.0}


def test_statistics_are_normalized_by_area(rng: np.random.Generator) -> None:
    # A region that repeats its pixels twice has the style of one that has them once.
    f = rng.standard_normal((4, 5, 3))
    double = np.concatenate([f, f, rng.standard_normal(f.shape)], axis=1)
    mask = np.zeros((4, 15, 1))
    mask[:, :10] = 1
    assert gram_loss(moments_forward(double, mask), moments_forward(f))[0] < 1e-25


def test_cysmith_reading(rng: np.random.Generator) -> None:
    f, g = rng.standard_normal((2, 4, 6, 3))
    mask = cysmith_mask(np.repeat(np.repeat([[0.0, 0.5, 0.25]], 8, 0), 4, 1), (4, 6))
    np.testing.assert_allclose(mask[0, :, 0], [0, 0, 1, 1, 0.5, 0.5])
    F, G = (f * mask).reshape(-1, 3), (g * mask).reshape(-1, 3)
    expected = ((F.T @ F - G.T @ G) ** 2).sum() / (4 * 3**2 * 24**2)
    terms = [StyleTerm("relu1_1", moments_forward(x), mask=mask * mask, counts_all=True) for x in (f, g)]
    value, _ = gram_loss(*(term.measure(x) for term, x in zip(terms, (f, g), strict=True)), 1 / (4 * 3**2))
    assert value == pytest.approx(expected, rel=1e-12)


def test_area_resizing_of_a_ragged_size(rng: np.random.Generator) -> None:
    mask = rng.uniform(0, 1, (7, 5))
    small_mask = cysmith_mask(mask, (3, 2))[..., 0]
    assert small_mask.max() == 1
    # By area: every pixel's share is kept, so the mean is.
    fine = np.repeat(np.repeat(mask, 3, 0), 2, 1).reshape(3, 7, 2, 5).mean(axis=(1, 3))
    np.testing.assert_allclose(small_mask, fine / fine.max(), rtol=1e-12)


def test_overlaps_and_what_is_left() -> None:
    a, b = np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.5, 0.0]])
    shared = share_overlaps([a, b])
    np.testing.assert_allclose(shared, [[[1, 0.5, 0, 0]], [[0, 0.5, 0.5, 0]]])
    np.testing.assert_allclose(uncovered([a, b]), [[0, 0, 0.5, 1]])
    assert [float(mask.mean()) for mask in shared] == [0.375, 0.25]


def test_leak() -> None:
    gradient = np.zeros((2, 2, 3))
    gradient[0], gradient[1] = 1, 2
    mask = np.array([[0.0, 0.0], [1.0, 1.0]])
    assert leak(gradient, mask) == pytest.approx(1 / 5)
    assert leak(np.zeros((2, 2, 3)), mask) == 0


def test_refusals() -> None:
    layers = small().layers
    with pytest.raises(HandstyleError, match="rule"):
        carry_mask(layers, np.ones((9, 9)), TAPS, "around")
    with pytest.raises(HandstyleError, match="between 0 and 1"):
        carry_mask(layers, np.full((9, 9), 2.0), TAPS)
    with pytest.raises(HandstyleError, match="black everywhere"):
        carry_mask(layers, np.zeros((9, 9)), TAPS)
    with pytest.raises(HandstyleError, match="plane"):
        carry_mask(layers, np.ones((9, 9, 3)), TAPS)
    mask = np.zeros((32, 32))
    mask[12:18, 12:18] = 1
    with pytest.raises(HandstyleError, match=r"sky is too small for relu2_1.*fraction"):
        check_carried(carry_mask(layers, mask, TAPS, "inside"), "sky", "inside")
