"""The three questions put to every pair of the package."""

import numpy as np
import pytest
from support.differentiable_pairs import PAIRS, Pair, half_square, linear, signature_of

from handstyle.foundations.backend import Backend
from handstyle.foundations.gradcheck import check_adjoint, check_projection, check_taylor

every_pair = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)


@every_pair
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_is_the_adjoint(pair: Pair, dtype: str, backend: Backend, rng: np.random.Generator) -> None:
    x = backend.asarray(rng.standard_normal(pair.shape), dtype=dtype)
    report = check_adjoint(*linear(pair, x), x)
    assert report, str(report)


@every_pair
def test_projection(pair: Pair, backend: Backend, rng: np.random.Generator) -> None:
    x = backend.asarray(rng.standard_normal(pair.shape))
    target = backend.asarray(rng.standard_normal(pair.forward(x)[0].shape))
    f, gradient = half_square(pair, target)
    report = check_projection(f, gradient(x), x, signature=signature_of(pair))
    assert report, str(report)


@every_pair
def test_taylor(pair: Pair, backend: Backend, rng: np.random.Generator) -> None:
    x = backend.asarray(rng.standard_normal(pair.shape))
    target = backend.asarray(rng.standard_normal(pair.forward(x)[0].shape))
    f, gradient = half_square(pair, target)
    report = check_taylor(f, gradient(x), x, signature=signature_of(pair))
    assert report, str(report)
