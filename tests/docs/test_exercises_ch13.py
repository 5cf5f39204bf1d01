"""The exercises of chapter 13."""

import numpy as np
import pytest

from handstyle.foundations.gradcheck import check_projection
from handstyle.losses.gram import gram_loss, moments_forward

pytestmark = [pytest.mark.exercise, pytest.mark.ch13]


def test_covariance_is_the_covariance(mine, rng):
    f = rng.normal(size=(4, 5, 3)) + 2
    assert np.allclose(mine.covariance_forward(f)[0], np.cov(f.reshape(-1, 3).T, bias=True))


def test_covariance_backward_agrees_with_differences(mine, rng):
    f, B = rng.normal(size=(4, 5, 3)) + 2, rng.normal(size=(3, 3))
    df = mine.covariance_backward(B, mine.covariance_forward(f)[1])
    report = check_projection(lambda f: float((mine.covariance_forward(f)[0] * B).sum()), df, f)
    assert report, str(report)


def test_gram_distance_by_pairs(mine, rng):
    F, P = rng.normal(size=(12, 5)), rng.normal(size=(20, 5))
    expected = ((F.T @ F / 12 - P.T @ P / 20) ** 2).sum()
    assert mine.gram_distance_by_pairs(F, P) == pytest.approx(expected)


def test_keras_scale_makes_our_loss_the_scripts(mine, rng):
    f, a = rng.normal(size=(2, 8, 8, 5))  # a layer of 8 x 8 pixels under a picture of 32 x 32
    S, A = (g.reshape(-1, 5).T @ g.reshape(-1, 5) for g in (f, a))
    script = ((S - A) ** 2).sum() / (4 * 3**2 * (32 * 32) ** 2)
    value, _ = gram_loss(moments_forward(f), moments_forward(a), mine.keras_scale(64, 32, 32))
    assert value == pytest.approx(script)
