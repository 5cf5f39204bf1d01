"""Derivatives you can trust: three questions to put to a gradient.

`check_adjoint` asks whether a backward map is the transpose of a linear forward map; it needs no step and works in
every dtype, on every device. `check_projection` compares a gradient with central differences along random directions,
in float64. `check_taylor` asks whether the error of the linear model falls as the square of the step. Both of these
look for kinks between the points they compare, and draw again where they cross one, because across a kink a right
gradient would look wrong. Directions are random, never all ones: a sum hides a reversed shift.

Every check returns a report that names the numbers; ``bool(report)`` is the verdict.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy

# Chosen for float64: the central difference errs by h² from curvature and by ε/h from rounding; the best h is near ε^⅓.
STEP = 1e-5
ADJOINT_TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
PROJECTION_TOLERANCE = 1e-6
TAYLOR_SLOPES = (1.9, 2.3)

Signature = Callable[[Array], Array]  # what must not change between x − hv and x + hv: rectifier bits, pooling choices


@dataclass(frozen=True)
class Report:
    """The result of a check.

    Parameters
    ----------
    check : str
        ``adjoint``, ``projection`` or ``taylor``.
    passed : bool
        The verdict.
    measured : float
        The number that was judged: a relative error (median of the draws), or a slope.
    bound : float or (float, float)
        The largest error that passes, or the range of slopes.
    values : list of (float, float)
        For each draw the two numbers compared, or (step, remainder).
    kinks : int
        Draws discarded because a kink lay between the points compared.

    Examples
    --------
    >>> report = Report("taylor", True, measured=2.0, bound=(1.9, 2.3))
    >>> bool(report), str(report)
    (True, 'taylor ok: 2.00e+00, expected in 1.9 to 2.3')
    """

    check: str
    passed: bool
    measured: float
    bound: float | tuple[float, float]
    values: list[tuple[float, float]] = field(default_factory=list)
    kinks: int = 0

    def __bool__(self) -> bool:
        """Return the verdict."""
        return self.passed

    def __str__(self) -> str:
        """Return one line with the numbers."""
        verdict = "ok" if self.passed else "FAILED"
        bound = (
            f"in {self.bound[0]} to {self.bound[1]}" if isinstance(self.bound, tuple) else f"at most {self.bound:.0e}"
        )
        kinks = f", {self.kinks} draws crossed a kink" if self.kinks else ""
        worst = f"; first pair {self.values[0][0]:.9g} against {self.values[0][1]:.9g}" if self.values else ""
        return f"{self.check} {verdict}: {self.measured:.2e}, expected {bound}{kinks}{worst}"


def check_adjoint(
    forward: Callable[[Array], Array],
    backward: Callable[[Array], Array],
    x: Array,
    draws: int = 4,
    seed: int = 0,
    tolerance: float | None = None,
) -> Report:
    """Check that ``<A u, v> = <u, A* v>`` for random `u`, `v`.

    Parameters
    ----------
    forward : callable
        The linear map ``A``. For an affine map pass its linear part, ``u -> f(u) - f(0)``.
    backward : callable
        The candidate for its adjoint.
    x : array
        An input; only its shape, dtype and device are used.
    draws : int
        Pairs of directions.
    seed : int
        Seed of the random directions.
    tolerance : float, optional
        By default 1e-12 in float64 and 1e-5 in float32.

    Returns
    -------
    Report
        The largest difference over the draws, relative to ``‖A u‖ ‖v‖``. (Relative to the product itself, two nearly
        orthogonal directions would fail by rounding alone.)

    See Also
    --------
    check_projection : Check the gradient of a function that is not linear.
    check_taylor : The same without a tolerance to choose.

    Examples
    --------
    >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> bool(check_adjoint(lambda u: A @ u, lambda v: A.T @ v, np.zeros(2)))
    True
    >>> bool(check_adjoint(lambda u: A @ u, lambda v: A @ v, np.zeros(2)))
    False
    """
    xp, rng = namespace(x), np.random.default_rng(seed)
    bound = tolerance if tolerance is not None else ADJOINT_TOLERANCE[x.dtype.name]
    values, errors = [], []
    for _ in range(draws):
        u = xp.asarray(rng.standard_normal(x.shape), dtype=x.dtype)
        Au = forward(u)
        v = xp.asarray(rng.standard_normal(Au.shape), dtype=Au.dtype)
        left, right = _dot(Au, v), _dot(u, backward(v))  # book: conv-adjoint
        size = np.sqrt(_dot(Au, Au) * _dot(v, v))
        values.append((left, right))
        errors.append(abs(left - right) / size if size else abs(left - right))
    measured = float(np.max(errors))
    return Report("adjoint", measured <= bound, measured, bound, values)


def check_projection(
    f: Callable[[Array], float],
    gradient: Array | Callable[[Array], Array],
    x: Array,
    draws: int = 8,
    step: float = STEP,
    seed: int = 0,
    tolerance: float | None = None,
    signature: Signature | None = None,
) -> Report:
    """Compare ``[f(x + h v) − f(x − h v)] / 2h`` with ``<g, v>`` along random directions `v`.

    Parameters
    ----------
    f : callable
        A function from an array like `x` to a float.
    gradient : array or callable
        The candidate for its gradient at `x`, or a function that returns it.
    x : array of float64
        The point. In float32 a difference has three correct digits at best, too few for a check.
    draws : int
        Number of directions, whose values are standard normal; the median of their relative errors is judged.
    step : float
        ``h``, as a fraction of the root mean square of `x` (of 1 if that is 0).
    seed : int
        Seed of the random directions.
    tolerance : float, optional
        The largest median relative error that passes, 1e-6 by default.
    signature : callable, optional
        A function of a point whose result is the same everywhere on one smooth piece, such as the masks of rectifiers.
        If it differs between ``x − h v``, ``x`` and ``x + h v``, the draw crosses a kink: it is counted in the report
        and drawn again.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If `x` is not float64.

    See Also
    --------
    check_taylor : Check how the remainder falls, without a tolerance to choose.
    check_adjoint : Check the adjoint of a linear map, in any precision.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> bool(check_projection(lambda x: float(x @ x), 2 * x, x))
    True
    >>> bool(check_projection(lambda x: float(x @ x), 2.01 * x, x))
    False
    """
    directions = _Directions(x, step, seed, signature)  # book: gradcheck-error
    gradient = gradient(x) if callable(gradient) else gradient
    bound = PROJECTION_TOLERANCE if tolerance is None else tolerance
    values, errors = [], []
    for _ in range(draws):
        v, h = directions.draw()
        numeric = float(f(x + h * v) - f(x - h * v)) / (2 * h)  # book: gradcheck-central
        analytic = _dot(gradient, v)
        values.append((numeric, analytic))
        size = max(abs(numeric), abs(analytic))
        errors.append(abs(numeric - analytic) / size if size else 0.0)
    measured = float(np.median(errors))
    return Report("projection", measured <= bound, measured, bound, values, directions.kinks)


def check_taylor(
    f: Callable[[Array], float],
    gradient: Array | Callable[[Array], Array],
    x: Array,
    steps: tuple[float, ...] = (1e-3, 3e-4, 1e-4, 3e-5),
    seed: int = 0,
    signature: Signature | None = None,
) -> Report:
    """Check that the remainder ``|f(x + h v) − f(x) − h <g, v>|`` falls as ``h²``.

    Parameters
    ----------
    f, gradient, x
        As in `check_projection`.
    steps : tuple of float
        The steps ``h``, as fractions of the root mean square of `x`; small enough to meet no kink, far above rounding.
    seed, signature
        As in `check_projection`. A kink anywhere on the way spoils the slope, so the direction is drawn again.

    Returns
    -------
    Report
        The slope of the remainder's logarithm over that of the step, fitted by least squares; the remainders are in
        ``values``. If every remainder is below rounding the function is linear and the slope is reported as 2.

    See Also
    --------
    check_projection : Check differences along random directions, with the error in numbers.
    check_adjoint : Check the adjoint of a linear map, in any precision.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> report = check_taylor(lambda x: float((x**3).sum()), 3 * x**2, x)
    >>> report.passed, round(report.measured, 1)
    (True, 2.0)
    """
    directions = _Directions(x, max(steps), seed, signature)
    gradient = gradient(x) if callable(gradient) else gradient
    v, h_max = directions.draw()
    scale = h_max / max(steps)
    base, slope_at_0 = float(f(x)), _dot(gradient, v)
    ahead = [(h * scale, float(f(x + h * scale * v))) for h in steps]
    remainders = [abs(value - base - h * slope_at_0) for h, value in ahead]  # book: gradcheck-taylor
    floor = 1e-14 * max(abs(base), 1e-300)
    linear = all(r <= floor for r in remainders)
    slope = 2.0 if linear else float(np.polyfit(np.log(steps), np.log(np.maximum(remainders, 1e-300)), 1)[0])
    values = list(zip(steps, remainders, strict=True))
    low, high = TAYLOR_SLOPES
    return Report("taylor", low <= slope <= high, slope, TAYLOR_SLOPES, values, directions.kinks)


class _Directions:
    """Random directions along which no kink lies within the step."""

    def __init__(self, x: Array, step: float, seed: int, signature: Signature | None) -> None:
        if x.dtype != np.float64:
            raise TypeError(
                f"x is {x.dtype}, and differences need float64: pass x.astype('float64'), and a network of "
                "dtype='float64'; check_adjoint works in every dtype"
            )
        self.x, self.signature, self.kinks = x, signature, 0
        self.rng = np.random.default_rng(seed)
        size = float(np.sqrt(_dot(x, x) / max(x.size, 1)))
        self.h = step * (size or 1.0)

    def draw(self) -> tuple[Array, float]:  # -> (…), h
        """Return a direction, and a step along which it crosses no kink."""
        xp = namespace(self.x)
        if self.signature is None:
            return xp.asarray(self.rng.standard_normal(self.x.shape)), self.h
        here = self.signature(self.x)
        # A network of many rectifiers has a kink near every point: after eight directions in a row that cross one, the
        # step shrinks tenfold, at most three times, which still leaves six digits above rounding.
        for attempt in range(32):
            h = self.h / 10 ** (attempt // 8)
            v = xp.asarray(self.rng.standard_normal(self.x.shape))  # book: gradcheck-random
            ends = (self.signature(self.x + h * v), self.signature(self.x - h * v))
            if all(bool((end == here).all()) for end in ends):
                return v, h
            self.kinks += 1
        raise RuntimeError(f"32 directions in a row crossed a kink, the last at step {h:.1e}: take a smaller picture")


def _dot(a: Array, b: Array) -> float:
    if a.shape != b.shape:  # the product below is flat, and equal numbers in another shape would pass
        raise ValueError(f"a gradient of another shape than its variable: {a.shape} and {b.shape}")
    return float(np.vdot(to_numpy(a).astype(np.float64), to_numpy(b).astype(np.float64)))
