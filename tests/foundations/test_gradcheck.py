"""The checker is checked: what it accepts, what it refuses, what it says, and what a weaker one lets through."""

from collections.abc import Callable

import numpy as np
import pytest
from mutants.catalogue import crop_off_by_one, shift_not_reversed

from handstyle.foundations.backend import Array
from handstyle.foundations.gradcheck import Report, check_adjoint, check_projection, check_taylor
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward


def smooth(x: Array) -> float:
    return float((np.sin(x) * np.arange(1, x.size + 1).reshape(x.shape)).sum())


def smooth_gradient(x: Array) -> Array:
    return np.cos(x) * np.arange(1, x.size + 1).reshape(x.shape)


def test_a_true_gradient_is_accepted(rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5))
    assert check_projection(smooth, smooth_gradient(x), x)
    assert check_taylor(smooth, smooth_gradient(x), x)


@pytest.mark.parametrize("relative", [1e-2, 1e-4, 1e-5])
def test_a_small_error_is_refused(relative: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal((4, 5))
    wrong = smooth_gradient(x) * (1 + relative)
    assert not check_projection(smooth, wrong, x)
    assert not check_taylor(smooth, wrong, x, steps=(1e-5, 1e-6, 1e-7))


def test_one_wrong_value_among_many_is_refused(rng: np.random.Generator) -> None:
    x = rng.standard_normal((30, 40))
    wrong = smooth_gradient(x)
    wrong[17, 23] *= -1
    assert not check_projection(smooth, wrong, x)
    assert not check_taylor(smooth, wrong, x)


def test_the_step_is_the_bottom_of_the_valley(rng: np.random.Generator) -> None:
    """Large steps err by curvature, h², small ones by rounding, 1/h; the default lies near the bottom."""
    x = rng.standard_normal((6, 7))
    steps = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10]
    error = {h: check_projection(smooth, smooth_gradient(x), x, step=h).measured for h in steps}
    assert error[1e-1] / error[1e-2] == pytest.approx(100, rel=0.3)
    assert error[1e-2] / error[1e-3] == pytest.approx(100, rel=0.3)
    assert error[1e-10] > 10 * error[1e-8] > 100 * error[1e-6]
    assert error[1e-5] < 100 * min(error.values())
    assert error[1e-5] < 1e-8


def test_differences_in_float32_cannot_judge(rng: np.random.Generator) -> None:
    """The best step in float32 leaves an error above the bound: the true gradient would be condemned."""
    x, v = rng.standard_normal((2, 30, 40))
    exact = float((smooth_gradient(x) * v).sum())
    x32, v32 = x.astype(np.float32), v.astype(np.float32)

    def smooth32(x: Array) -> np.float32:
        return (np.sin(x) * np.arange(1, x.size + 1, dtype=np.float32).reshape(x.shape)).sum()

    errors = []
    for h in 10.0 ** -np.arange(1, 8):
        h32 = np.float32(h)
        numeric = (smooth32(x32 + h32 * v32) - smooth32(x32 - h32 * v32)) / (2 * h32)
        errors.append(abs(float(numeric) / exact - 1))
    assert min(errors) > 1e-6
    assert max(errors[4:]) > 1e-2


@pytest.mark.parametrize("check", [check_projection, check_taylor])
def test_float32_is_refused(check: Callable[..., Report]) -> None:
    x = np.ones(3, np.float32)
    with pytest.raises(TypeError, match="float64"):
        check(smooth, smooth_gradient(x), x)


def absolute(x: Array) -> float:
    return float(np.abs(x).sum())


def test_kinks_are_counted_and_drawn_again(rng: np.random.Generator) -> None:
    x = rng.uniform(1, 2, 1000) * rng.choice([-1, 1], 1000)
    x[0] = 1e-5  # a step of 1.5e-5 crosses zero here in a good half of the directions
    report = check_projection(absolute, np.sign(x), x, signature=np.sign)
    assert report, str(report)
    assert report.kinks > 0
    assert len(report.values) == 8
    assert check_projection(absolute, np.sign(x), x, signature=np.sign, seed=1).kinks != 0


def test_without_a_signature_a_kink_condemns_the_innocent() -> None:
    x = np.full(50, 1e-7)
    x[0] = 1.0
    assert not check_projection(absolute, np.sign(x), x)


def test_a_point_on_a_kink_is_an_error() -> None:
    x = np.zeros(50)
    x[0] = 1.0
    with pytest.raises(RuntimeError, match="crossed a kink"):
        check_projection(absolute, np.sign(x), x, signature=np.sign)


def test_taylor_slopes() -> None:
    """Two for a true gradient, one for a wrong one, two by definition where nothing remains."""
    x = np.linspace(0.5, 1.5, 7)
    assert check_taylor(smooth, smooth_gradient(x), x).measured == pytest.approx(2, abs=0.05)
    assert check_taylor(smooth, 0.9 * smooth_gradient(x), x).measured == pytest.approx(1, abs=0.05)
    assert check_taylor(lambda x: 0.0, np.zeros(7), x).measured == 2


def test_adjoint_condemns_a_wrong_transpose_and_not_an_orthogonal_draw(rng: np.random.Generator) -> None:
    A = rng.standard_normal((40, 30))
    x = rng.standard_normal(30)
    assert check_adjoint(lambda u: A @ u, lambda v: A.T @ v, x)
    assert not check_adjoint(lambda u: A @ u, lambda v: A.T @ v * (1 + 1e-10), x)
    A32, x32 = A.astype(np.float32), x.astype(np.float32)
    assert check_adjoint(lambda u: A32 @ u, lambda v: A32.T @ v, x32)
    assert not check_adjoint(lambda u: A32 @ u, lambda v: A32.T @ v * np.float32(1 + 1e-3), x32)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(bad: float, rng: np.random.Generator) -> None:
    x = rng.standard_normal(5)
    gradient = smooth_gradient(x)
    gradient[2] = bad
    with np.errstate(invalid="ignore"):
        assert not check_projection(smooth, gradient, x)
        assert not check_taylor(smooth, gradient, x)
        assert not check_adjoint(lambda u: u, lambda v: v * bad, x)


def test_a_gradient_of_another_shape_is_refused(rng: np.random.Generator) -> None:
    """Equal numbers in another shape would pass a flat product."""
    x = rng.standard_normal((4, 5))
    with pytest.raises(ValueError, match="shape"):
        check_projection(smooth, smooth_gradient(x).reshape(5, 4), x)
    with pytest.raises(ValueError, match="shape"):
        check_taylor(smooth, smooth_gradient(x).ravel(), x)
    with pytest.raises(ValueError, match="shape"):
        check_adjoint(lambda u: u, lambda v: v.reshape(5, 4), x)


def test_a_report_names_its_numbers(rng: np.random.Generator) -> None:
    x = rng.standard_normal(5)
    report = check_projection(smooth, 2 * smooth_gradient(x), x)
    text = str(report)
    assert "projection FAILED" in text
    assert f"{report.measured:.2e}" in text
    assert "at most 1e-06" in text
    assert f"{report.values[0][0]:.9g} against {report.values[0][1]:.9g}" in text
    assert report.values[0][1] == pytest.approx(2 * report.values[0][0], rel=1e-6)
    taylor = str(check_taylor(smooth, smooth_gradient(x), x))
    assert "taylor ok" in taylor
    assert "in 1.9 to 2.3" in taylor
    assert "3 draws crossed a kink" in str(Report("projection", True, 1e-9, 1e-6, [(1.0, 1.0)], kinks=3))


# --- why the direction is random --------------------------------------------------------------------------------

CONVOLUTION_BUGS = [shift_not_reversed, crop_off_by_one]


def weak_check(backward: Callable[..., Array], rng: np.random.Generator) -> bool:
    """Judge as small frameworks do: the gradient of ``sum(y)``, at one index, to one per cent."""
    x, w = rng.standard_normal((12, 12, 3)), rng.standard_normal((3, 3, 3, 4))
    y, cache = conv3x3_forward(x, w, np.zeros(4))
    dx = backward(np.ones_like(y), cache)
    step = np.zeros_like(x)
    index = tuple(rng.integers(0, x.shape))
    step[index] = 1e-6
    numeric = (conv3x3_forward(x + step, w, np.zeros(4))[0] - conv3x3_forward(x - step, w, np.zeros(4))[0]).sum() / 2e-6
    return abs(numeric - dx[index]) <= 1e-2 * abs(numeric)


@pytest.mark.parametrize("bug", CONVOLUTION_BUGS, ids=lambda bug: bug.__name__)
def test_ones_and_one_index_let_convolution_bugs_through(bug: Callable[..., Array], rng: np.random.Generator) -> None:
    passed = sum(weak_check(bug, rng) for _ in range(200))
    assert passed > 100, f"{passed} of 200"
    assert sum(weak_check(conv3x3_backward, rng) for _ in range(200)) == 200


@pytest.mark.parametrize("bug", CONVOLUTION_BUGS, ids=lambda bug: bug.__name__)
def test_random_projections_let_none_through(bug: Callable[..., Array]) -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, w = rng.standard_normal((12, 12, 3)), rng.standard_normal((3, 3, 3, 4))
        _, cache = conv3x3_forward(x, w, np.zeros(4))
        report = check_adjoint(
            lambda u, w=w: conv3x3_forward(u, w, np.zeros(4))[0], lambda v, cache=cache: bug(v, cache), x, 1, seed
        )
        assert not report
        assert report.measured > 1e-5  # ten million times the bound


def test_a_gradient_may_be_a_function() -> None:
    x = np.array([1.0, 2.0, -3.0])
    for check in (check_projection, check_taylor):
        assert check(lambda x: float((x**3).sum()), lambda x: 3 * x**2, x)
        assert not check(lambda x: float((x**3).sum()), lambda x: 2 * x**2, x)
