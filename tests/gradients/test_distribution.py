"""The losses on means, deviations and covariances: gradient at the features, and the values they must have."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_projection, check_taylor
from handstyle.losses.distribution import (
    DistributionTerm,
    covariance_loss,
    gaussian,
    mean_and_covariance,
    mean_loss,
    std_loss,
    wasserstein_loss,
)
from handstyle.losses.gram import Moments, moments_backward, moments_forward

Loss = Callable[[Moments], tuple[float, Moments]]


def losses(rng: np.random.Generator) -> dict[str, Loss]:
    target = moments_forward(rng.gamma(1.0, size=(8, 9, 5)) - 0.3)
    normal = gaussian(target, epsilon=1e-3)
    return {
        "mean": lambda m: mean_loss(m, target, 0.7),
        "std": lambda m: std_loss(m, target, 0.7),
        "covariance": lambda m: covariance_loss(m, target, 0.7),
        "wasserstein": lambda m: wasserstein_loss(m, normal, 0.7),
    }


@pytest.fixture(params=["mean", "std", "covariance", "wasserstein"])
def loss(request: pytest.FixtureRequest, rng: np.random.Generator) -> Loss:
    return losses(rng)[request.param]


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_at_the_features(loss: Loss, masked: bool, rng: np.random.Generator) -> None:
    f = rng.standard_normal((6, 7, 5))
    weight = rng.uniform(0, 1, (6, 7, 1)) if masked else None

    def value(x: Array) -> float:
        return loss(moments_forward(x, weight))[0]

    gradient = moments_backward(loss(moments_forward(f, weight))[1], f, weight)
    for report in (check_projection(value, gradient, f), check_taylor(value, gradient, f)):
        assert report, str(report)


def test_zero_at_the_target(rng: np.random.Generator) -> None:
    moments = moments_forward(rng.standard_normal((6, 7, 5)))
    for value, gradient in (
        mean_loss(moments, moments),
        std_loss(moments, moments),
        covariance_loss(moments, moments),
        wasserstein_loss(moments, gaussian(moments)),
    ):
        assert abs(value) < 1e-12
        assert abs(gradient.outer).max() < 1e-12
        assert abs(gradient.sums).max() < 1e-12


def test_wasserstein_is_the_distance_of_gaussians(rng: np.random.Generator) -> None:
    a, b = (moments_forward(rng.standard_normal((6, 7, 5)) @ rng.standard_normal((5, 5))) for _ in range(2))
    (m, s), (n, t) = mean_and_covariance(a), mean_and_covariance(b)
    s, t = s + 1e-4 * np.eye(5), t + 1e-4 * np.eye(5)
    root = scipy.linalg.sqrtm(t)
    expected = (m - n) @ (m - n) + np.trace(s + t - 2 * np.real(scipy.linalg.sqrtm(root @ s @ root)))
    assert wasserstein_loss(a, gaussian(b), 1.0)[0] == pytest.approx(expected, rel=1e-12)
    assert wasserstein_loss(b, gaussian(a), 1.0)[0] == pytest.approx(expected, rel=1e-10)  # a distance is symmetric


def test_one_dimension_by_hand() -> None:
    # W2² between N(1, 4) and N(4, 1) is 3² + (2 − 1)².
    a = Moments(1.0, np.array([1.0]), np.array([[5.0]]))
    b = Moments(1.0, np.array([4.0]), np.array([[17.0]]))
    assert wasserstein_loss(a, gaussian(b, 0.0), 1.0)[0] == pytest.approx(10)
    assert std_loss(a, b)[0] == pytest.approx(1)
    assert mean_loss(a, b)[0] == pytest.approx(9)
    assert covariance_loss(a, b)[0] == pytest.approx(9)


def test_dead_channels_give_finite_gradients(rng: np.random.Generator) -> None:
    f, g = np.maximum(rng.standard_normal((6, 7, 5)), 0), np.maximum(rng.standard_normal((6, 7, 5)), 0)
    f[..., 2] = g[..., 4] = 0
    moments, target = moments_forward(f), moments_forward(g)
    for value, gradient in (std_loss(moments, target), wasserstein_loss(moments, gaussian(target))):
        df = moments_backward(gradient, f)
        assert np.isfinite(value)
        assert np.isfinite(df).all()


def test_no_pixels_is_refused() -> None:
    with pytest.raises(HandstyleError, match="means relu1_1: no pixel counts"):
        DistributionTerm("relu1_1", (), mask=np.zeros((2, 2, 1)), name="means relu1_1")


def test_on_every_backend(backend: Backend, rng: np.random.Generator) -> None:
    f, g = rng.standard_normal((6, 7, 5)), rng.standard_normal((6, 7, 5))
    here = losses_of(moments_forward(f), moments_forward(g))
    there = losses_of(moments_forward(backend.asarray(f)), moments_forward(backend.asarray(g)))
    for (value, gradient), (expected, at_home) in zip(there, here, strict=True):
        assert value == pytest.approx(expected, rel=1e-10)
        np.testing.assert_allclose(backend.to_numpy(gradient.sums), at_home.sums, atol=1e-10)
        np.testing.assert_allclose(backend.to_numpy(gradient.outer), at_home.outer, atol=1e-10)


def losses_of(moments: Moments, target: Moments) -> list[tuple[float, Moments]]:
    return [
        mean_loss(moments, target),
        std_loss(moments, target),
        covariance_loss(moments, target),
        wasserstein_loss(moments, gaussian(target)),
    ]
