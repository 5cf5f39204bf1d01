"""Optimizers by hand."""

import math

import numpy as np

from handstyle.book.grading import exercise, mistake


def _cubic(a, fa, da, b, fb, db, maximum=False, three=3.0):
    d1 = da + db - three * (fa - fb) / (a - b)
    square = d1 * d1 - da * db
    if square < 0:
        return math.inf
    d2 = math.copysign(math.sqrt(square), b - a) * (-1 if maximum else 1)
    below = db - da + 2 * d2
    return b - (b - a) * (db + d2 - d1) / below if below else math.inf


@exercise(
    "ch18-cubic",
    "the cubic",
    ["cubic_minimum"],
    mistake(
        "the other root",
        "the cubic's maximum: the sign of d₂ depends on which of the steps is larger",
        cubic_minimum=lambda *six: _cubic(*six, maximum=True),
    ),
    mistake(
        "d₁ without its three",
        "the secant stands three times in d₁",
        cubic_minimum=lambda *six: _cubic(*six, three=1.0),
    ),
    mistake(
        "the parabola",
        "the minimum of the parabola through the two slopes; the values are not used",
        cubic_minimum=lambda a, fa, da, b, fb, db: b - db * (b - a) / (db - da) if db > da else math.inf,
    ),
)
def _cubics(mine, judge):
    def f(t):
        return t**3 - 3 * t + 1

    def df(t):
        return 3 * t**2 - 3

    for a, b in ((0.2, 3.0), (3.0, 0.2), (-0.5, 1.5)):
        found = mine.cubic_minimum(a, f(a), df(a), b, f(b), df(b))
        judge.equal(f"t³ − 3t + 1, which has its minimum at 1, from {a} and {b}", found, 1.0)
    found = mine.cubic_minimum(0.0, 0.0, -1.0, 1.0, -2.0, -3.5)
    judge.holds("a cubic that only falls has none: inf", found == math.inf)


def _projected(objective, v, d, t, low, high, clip=True, whole=False, sufficient=True):
    value, g = objective(v)
    for _ in range(30):
        there = np.clip(v + t * d, low, high) if clip else v + t * d
        below, _ = objective(there)
        made = t * d if whole else there - v
        if below <= value + (1e-4 * (g @ made) if sufficient else 0.0):
            return there, below
        t /= 2
    return v, value


@exercise(
    "ch18-arc",
    "a step along the arc",
    ["projected_step"],
    mistake(
        "not clipped",
        "the step leaves the box",
        projected_step=lambda *six: _projected(*six, clip=False),
    ),
    mistake(
        "the step that was planned",
        "what is asked of the value is reckoned with t d, not with the step that the box left",
        projected_step=lambda *six: _projected(*six, whole=True),
    ),
    mistake(
        "not one halving",
        "the first step is taken as it is",
        projected_step=lambda f, v, d, t, low, high: (
            np.clip(v + t * d, low, high),
            f(np.clip(v + t * d, low, high))[0],
        ),
    ),
)
def _arc(mine, judge):
    def square(v):
        return float((v**2).sum()), 2 * v

    def steep(v):  # a slope that overstates: the planned step asks for more than there is
        return float((v**2).sum()), 3e4 * v

    v = np.array([1.0, -2.0])
    for what, f, d, t, low, high, there, value in (
        ("halved until it is low enough", square, -2 * v, 8.0, -10.0, 10.0, [0.0, 0.0], 0.0),
        ("within the box", square, -2 * v, 0.5, 0.5, 10.0, [0.5, 0.5], 0.5),
        ("what the box left counts", steep, np.array([-2.0, -30.0]), 0.1, -2.1, 10.0, [0.8, -2.1], None),
        ("uphill, and no step", square, 2 * v, 1.0, -10.0, 10.0, v, 5.0),
    ):
        if value is None:
            there, value = _projected(f, v, d, t, low, high)
        found, below = mine.projected_step(f, v.copy(), d.copy(), t, low, high)
        judge.equal(f"{what}: where", found, there)
        judge.equal(f"{what}: the value", below, value)


def _inverse(objective, forward, adjoint):
    def transformed(z):
        value, dp = objective(forward(z))
        matrix = np.stack([forward(e) for e in np.eye(z.size)], axis=1)
        return value, np.linalg.lstsq(matrix, dp, rcond=None)[0]

    return transformed


@exercise(
    "ch18-variables",
    "any linear change of variables",
    ["in_other_variables"],
    mistake(
        "transformed like a picture",
        "the gradient goes by the adjoint of the map, not by its inverse",
        in_other_variables=_inverse,
    ),
    mistake(
        "transformed twice",
        "the gradient is mapped to the picture again: that is the step, not the gradient",
        in_other_variables=lambda objective, forward, adjoint: (
            lambda z: (objective(forward(z))[0], adjoint(forward(adjoint(objective(forward(z))[1]))))
        ),
    ),
)
def _variables(mine, judge):
    rng = np.random.default_rng(0)
    T, target, z = rng.normal(size=(6, 4)), rng.normal(size=6), rng.normal(size=4)

    def square(p):
        return 0.5 * float((p - target) @ (p - target)), p - target

    value, gradient = mine.in_other_variables(square, lambda z: T @ z, lambda dp: T.T @ dp)(z)
    judge.equal("the value at the picture", value, square(T @ z)[0])
    judge.equal("the gradient", gradient, T.T @ (T @ z - target))
