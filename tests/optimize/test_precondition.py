"""The change of variables: its map, the objective in it, runs in it, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from support.sample_objectives import painting

import handstyle
from handstyle.foundations.backend import Backend, to_numpy
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_projection, check_taylor
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.precondition import (
    Preconditioned,
    Spectrum,
    dct_matrix,
    frequency_scale,
    minimize_preconditioned,
)
from handstyle.painting.config import StyleConfig

SHAPE = (9, 14, 3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [0.25, 0.5, 1.0])
def test_the_inverse_undoes_the_map(backend: Backend, dtype: str, exponent: float, rng: np.random.Generator) -> None:
    p = backend.asarray(rng.uniform(0, 255, SHAPE), dtype=dtype)
    spectrum = Spectrum.of(SHAPE, exponent, p)
    back = spectrum.forward(spectrum.inverse(p))
    assert back.dtype == p.dtype
    assert abs(to_numpy(back) - to_numpy(p)).max() < 255 * (1e-6 if dtype == "float32" else 1e-14)


def test_the_matrices_are_the_fast_transform(rng: np.random.Generator) -> None:
    x = rng.standard_normal(SHAPE)
    fast = Spectrum(frequency_scale(9, 14, 0.5))
    slow = replace(fast, matrices=(dct_matrix(9, x), dct_matrix(14, x)))
    for name in ("forward", "backward", "inverse"):
        np.testing.assert_allclose(getattr(slow, name)(x), getattr(fast, name)(x), atol=1e-13)


def test_a_coefficient_is_a_cosine_of_its_frequency() -> None:
    z = np.zeros((8, 16, 3))
    z[0, 5, 1] = 1
    p = Spectrum(np.ones((8, 16, 1))).forward(z)
    wave = np.cos(2 * np.pi * (5 / 32) * (np.arange(16) + 0.5))  # 5 / 2W cycles a pixel
    np.testing.assert_allclose(p[..., 1], np.tile(wave / np.linalg.norm(wave) / np.sqrt(8), (8, 1)), atol=1e-15)
    assert not p[..., [0, 2]].any()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_scale_has_unit_mean_square_and_falls_with_frequency(exponent: float) -> None:
    s = frequency_scale(32, 48, exponent)
    assert (s * s).mean() == pytest.approx(1)
    f = np.hypot(np.arange(32)[:, None] / 64, np.arange(48) / 96)
    np.testing.assert_allclose(s[..., 0] / s[0, 0], (0.05 / (0.05 + f)) ** exponent)


def test_the_transformed_objective_has_the_gradient_of_its_value(rng: np.random.Generator) -> None:
    objective, v0 = painting(side=24, dtype="float64")
    spectrum = Spectrum.of(objective.shape, 0.5, v0)
    transformed = Preconditioned(objective, spectrum)
    z = spectrum.inverse(v0.reshape(objective.shape)).ravel()
    value, gradient = transformed(z)
    assert value == pytest.approx(objective(v0)[0], rel=1e-12)
    assert transformed.terms == pytest.approx(objective.terms)
    for check in (check_projection, check_taylor):
        report = check(lambda z: transformed(z)[0], gradient, z)
        assert report, str(report)


def test_the_device_is_told_the_gradient_that_the_host_is(backend: Backend) -> None:
    objective, v0 = painting(side=24, dtype="float64", device=backend)
    z = backend.asarray(v0)
    transformed = Preconditioned(objective, Spectrum.of(objective.shape, 0.5, z))
    value, gradient, answer = transformed.on_device(z, lambda g: (g * g).sum().reshape(1))
    alone, again, nothing = transformed.on_device(z)
    reference, v0 = painting(side=24, dtype="float64")
    expected = Preconditioned(reference, Spectrum.of(reference.shape, 0.5, v0))(v0)
    assert nothing.size == 0
    assert value == alone == pytest.approx(expected[0], rel=1e-10)
    for found in (gradient, again):
        np.testing.assert_allclose(to_numpy(found), expected[1], rtol=1e-8, atol=1e-12 * abs(expected[1]).max())
    assert answer is not None
    assert answer[0] == pytest.approx((expected[1] ** 2).sum(), rel=1e-8)


@pytest.mark.parametrize("minimize", [minimize_lbfgsb, minimize_lbfgs, minimize_adam])
def test_exponent_zero_paints_what_pixels_paint(minimize) -> None:
    """The cosine transform alone is a rotation, which L-BFGS does not see; Adam, which divides each unknown, does."""
    objective, v0 = painting(side=24, dtype="float64")
    plain = minimize(objective, v0, 12)
    turned = minimize_preconditioned(minimize, objective, v0, 12, exponent=0.0)
    near = np.allclose(turned.v, plain.v, atol=1e-3) and turned.value == pytest.approx(plain.value, rel=1e-6)
    assert near == (minimize is not minimize_adam)


@pytest.mark.parametrize("minimize", [minimize_lbfgsb, minimize_lbfgs])
def test_callback_and_outcome_have_the_picture(minimize) -> None:
    objective, v0 = painting(side=24, dtype="float64")
    seen = []
    outcome = minimize_preconditioned(
        minimize, objective, v0, 6, exponent=0.5, callback=lambda row: seen.append((row.value, row.v))
    )
    for value, v in seen:
        assert objective(v)[0] == pytest.approx(value, rel=1e-10)
    assert objective(outcome.v)[0] == pytest.approx(outcome.value, rel=1e-10)
    assert outcome.value < objective(v0)[0]


def test_a_run_resumes_to_the_bit_and_not_in_other_variables(tmp_path) -> None:
    objective, v0 = painting(side=24)
    start, path = v0.astype(np.float32), tmp_path / "run.npz"

    def put_down(row) -> None:
        if row.iteration == 4:
            row.save(path)
            raise StopIteration

    def run(exponent=0.5, **options):
        return minimize_preconditioned(minimize_lbfgs, objective, start, 9, exponent=exponent, **options)

    whole = run()
    run(callback=put_down)
    np.testing.assert_array_equal(run(resume=path).v, whole.v)
    with pytest.raises(HandstyleError, match=r"run with L-BFGS in waves \(0.5\); this run uses L-BFGS"):
        minimize_lbfgs(objective, start, 9, resume=path)
    with pytest.raises(HandstyleError, match=r"waves \(0.5\); this run uses .* waves \(1\)"):
        run(1.0, resume=path)


def test_scipys_run_goes_on_from_its_picture_in_the_same_variables(tmp_path) -> None:
    objective, v0 = painting(side=24, dtype="float64")
    path, seen = tmp_path / "run.npz", []

    def put_down(row) -> None:
        if row.iteration == 4:
            seen.append(row.value)
            row.save(path)
            raise StopIteration

    minimize_preconditioned(minimize_lbfgsb, objective, v0, 9, exponent=0.5, callback=put_down)
    rest = minimize_preconditioned(minimize_lbfgsb, objective, v0, 9, exponent=0.5, resume=path)
    assert [row.iteration for row in rest.trace] == list(range(1, 10))
    assert rest.trace[3].value == seen[0]
    assert max(row.value for row in rest.trace[4:]) < seen[0]
    assert objective(rest.v)[0] == pytest.approx(rest.value, rel=1e-10)
    with pytest.raises(HandstyleError, match=r"in waves \(0.5\); this run uses SciPy's"):
        minimize_lbfgsb(objective, v0, 9, resume=path)


@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs"])
def test_pixels_outside_all_masks_are_held(optimizer, tmp_path) -> None:
    """The term that holds them is of pixels, whatever the variables are."""
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8)
    mask = np.zeros((32, 32), np.uint8)
    mask[:, :16] = 255
    handstyle.write_picture(tmp_path / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(float))
    network = build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1))
    for exponent in (0.0, 0.5):
        config = StyleConfig(
            size=32,
            iterations=40,
            pyramid_min_size=0,
            style_layers=("relu1_1", "relu2_1"),
            mask=(str(tmp_path / "mask.png"),),
            unmasked_weight=1.0,
            optimizer=optimizer,
            precondition=exponent,
        )
        seen: list[handstyle.Progress] = []  # the pictures before the photograph is laid over them
        handstyle.stylize(pictures[0], pictures[1], network=network, config=config, callback=seen.append)
        change = np.sqrt(((seen[-1].array - pictures[0]) ** 2).mean(axis=(0, 2)))
        assert change[18:].mean() < 0.01 * change[:14].mean()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precondition": -0.5}, "precondition=-0.5: must lie between 0"),
        ({"precondition": 3.0}, "must lie between 0 and 2"),
        ({"optimizer": "lbfgs", "clamp": True}, "clamp=True needs an optimizer of pixels"),
        (
            {"restarts": 2, "evaluations": 20, "pyramid_min_size": 0},
            "restarts=2 needs an optimizer of pixels",
        ),
    ],
    ids=str,
)
def test_what_does_not_go_with_it_is_refused(options, words) -> None:
    with pytest.raises(HandstyleError, match=words):
        StyleConfig(**{"precondition": 0.5, **options})
    StyleConfig(**{**options, "precondition": 0.0})


def test_other_optimizers_do_not_use_it() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 255, (2, 24, 24, 3)).astype(np.uint8)
    network = build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1))
    base = StyleConfig(size=24, iterations=3, pyramid_min_size=0, style_layers="relu1_1", clamp=True, optimizer="adam")
    results = [
        handstyle.stylize(*pictures, network=network, config=replace(base, precondition=exponent)).array
        for exponent in (0.0, 0.5)
    ]
    np.testing.assert_array_equal(*results)
