"""The exercises of chapter 12."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection
from handstyle.foundations.image import preprocess_forward
from handstyle.network.vgg import build_network, random_weights

pytestmark = [pytest.mark.exercise, pytest.mark.ch12]


def test_cosine_content_is_one_minus_the_cosine(mine):
    f, target = np.array([[[3.0, 0.0]]]), np.array([[[3.0, 4.0]]])
    assert mine.cosine_content(f, target)[0] == pytest.approx(1 - 9 / 15)
    assert mine.cosine_content(7 * target, target)[0] == pytest.approx(0, abs=1e-12)


def test_cosine_content_agrees_with_differences(mine, rng):
    f, target = rng.normal(size=(2, 4, 5, 3))
    report = check_projection(lambda f: mine.cosine_content(f, target)[0], mine.cosine_content(f, target)[1], f)
    assert report, str(report)


def test_blindness_counts_what_arrives(mine, rng):
    network = build_network(random_weights(widths=(4, 4, 4, 4, 4), deepest="conv2_1")).astype("float64")
    photo, delta = rng.uniform(0, 255, (12, 14, 3)), rng.normal(size=(12, 14, 3))
    first, x = network.layers[0], preprocess_forward(photo, network.convention)
    f = first.forward(x)[0]
    small = delta[..., ::-1] / 1000
    expected = ((first.forward(x + small)[0] - f) ** 2).sum() / (f**2).sum() * (x**2).sum() / (small**2).sum()
    assert mine.blindness(network, photo, delta, "conv1_1") == pytest.approx(expected, rel=1e-6)
    assert mine.blindness(network, photo, 5 * delta, "conv1_1") == pytest.approx(expected, rel=1e-6)
