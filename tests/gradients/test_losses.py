"""Projection and Taylor for every loss, as a function of the features or of the picture."""

from collections.abc import Callable

import numpy as np
import pytest
from support.differentiable_pairs import loss_of

from handstyle.foundations.backend import Array, Backend
from handstyle.foundations.gradcheck import check_projection, check_taylor
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, StyleTerm, gram_loss, moments_forward
from handstyle.losses.temporal import temporal_term
from handstyle.losses.total_variation import total_variation

Loss = Callable[[Array], tuple[Array, Array]]
SHAPE = (6, 7, 4)


def content(backend: Backend, rng: np.random.Generator, scale: float | None, masked: bool) -> Loss:
    target = backend.asarray(rng.standard_normal(SHAPE))
    mask = backend.asarray(rng.uniform(0, 1, (6, 7, 1))) if masked else None
    return loss_of(ContentTerm("relu1_1", target, scale=scale, mask=mask))


def style(backend: Backend, rng: np.random.Generator, scale: float | None, masked: bool) -> Loss:
    # The painting has another size than the picture, so that a wrong count cannot hide.
    target = moments_forward(backend.asarray(rng.standard_normal((3, 5, 4))))
    mask = backend.asarray(rng.uniform(0, 1, (6, 7, 1))) if masked else None
    return loss_of(StyleTerm("relu1_1", target, scale=scale, mask=mask))


def temporal(backend: Backend, rng: np.random.Generator, scale: float | None, masked: bool) -> Loss:
    certain = rng.uniform(0, 1, (6, 7, 1)) > 0.3
    return loss_of(temporal_term(backend.asarray(rng.standard_normal(SHAPE)), backend.asarray(certain * 1.0)))


LOSSES = {
    f"{name}, {'relative' if scale is None else 'absolute'}{', masked' if masked else ''}": (make, scale, masked)
    for name, make in (("content", content), ("style", style))
    for scale in (None, 0.25)
    for masked in (False, True)
} | {"temporal": (temporal, None, True)}


@pytest.fixture(params=[*LOSSES, "total variation"])
def loss(request: pytest.FixtureRequest, backend: Backend, rng: np.random.Generator) -> Loss:
    if request.param == "total variation":
        return total_variation
    make, scale, masked = LOSSES[request.param]
    return make(backend, rng, scale, masked)


def test_projection(loss: Loss, backend: Backend, rng: np.random.Generator) -> None:
    f = backend.asarray(rng.standard_normal(SHAPE))
    report = check_projection(lambda x: float(loss(x)[0]), loss(f)[1], f)
    assert report, str(report)


def test_taylor(loss: Loss, backend: Backend, rng: np.random.Generator) -> None:
    f = backend.asarray(rng.standard_normal(SHAPE))
    report = check_taylor(lambda x: float(loss(x)[0]), loss(f)[1], f)
    assert report, str(report)


def test_style_loss_as_a_function_of_the_moments(backend: Backend, rng: np.random.Generator) -> None:
    target = moments_forward(backend.asarray(rng.standard_normal((3, 5, 4))))
    sums, outer = backend.asarray(rng.standard_normal(4)), backend.asarray(rng.standard_normal((4, 4)))

    def loss(G: Array) -> tuple[Array, Moments]:
        return gram_loss(Moments(42.0, sums, G), target)

    report = check_projection(lambda G: float(loss(G)[0]), loss(outer)[1].outer, outer)
    assert report, str(report)
    assert not np.any(backend.to_numpy(loss(outer)[1].sums))
