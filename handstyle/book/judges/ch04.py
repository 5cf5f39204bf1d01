"""Derivatives you can trust."""

import numpy as np

from handstyle.book.grading import exercise, mistake


@exercise(
    "ch04-fourth-order",
    "four points",
    ["fourth_order_slope"],
    mistake(
        "two points",
        "the central difference, whose error falls as the square",
        fourth_order_slope=lambda f, x, v, h: (f(x + h * v) - f(x - h * v)) / (2 * h),
    ),
    mistake(
        "signs exchanged",
        "the far difference is added where it must be taken away",
        fourth_order_slope=lambda f, x, v, h: (
            (8 * (f(x + h * v) - f(x - h * v)) + f(x + 2 * h * v) - f(x - 2 * h * v)) / (12 * h)
        ),
    ),
    mistake(
        "divided by six",
        "the step of the difference is 2h, so that 12h stands below the line",
        fourth_order_slope=lambda f, x, v, h: (
            (8 * (f(x + h * v) - f(x - h * v)) - f(x + 2 * h * v) + f(x - 2 * h * v)) / (6 * h)
        ),
    ),
)
def _four_points(mine, judge):
    a, v = judge.rng.normal(size=5), judge.rng.normal(size=5)
    slope = mine.fourth_order_slope(lambda x: float((x**4).sum()), a, v, 0.1)
    judge.equal("exact for a polynomial of degree four", slope, 4 * a**3 @ v, 1e-10)
    errors = [abs(mine.fourth_order_slope(np.exp, 1.0, 1.0, h) - np.e) for h in (0.1, 0.01)]
    order = np.log10(errors[0] / max(errors[1], 1e-300))
    judge.equal("the power with which the error falls", order, 4.0, 0.1)


@exercise(
    "ch04-deceive",
    "deceive the weak check",
    ["deceptive_gradient"],
    mistake("honest", "the gradient itself, which deceives nobody", deceptive_gradient=lambda g: g.copy()),
    mistake("scaled", "a factor changes the sum, and is noticed", deceptive_gradient=lambda g: 1.5 * g),
)
def _deceive(mine, judge):
    gradient = judge.rng.normal(size=(6, 7, 3))
    wrong = mine.deceptive_gradient(gradient.copy())
    judge.holds("it has the shape of a gradient", np.shape(wrong) == gradient.shape)
    judge.equal("its sum", np.sum(wrong), gradient.sum(), 1e-6)
    distance = np.linalg.norm(wrong - gradient) / np.linalg.norm(gradient)
    judge.equal("a tenth of the norm, by which it must at least be wrong", min(distance, 0.1), 0.1, 1e-9)


@exercise(
    "ch04-kinks",
    "count the kinks",
    ["kinks_between"],
    mistake(
        "looks one way",
        "compared with x itself, so that half of the interval is not seen",
        kinks_between=lambda x, v, h: int(((x > 0) != (x + h * v > 0)).sum()),
    ),
    mistake(
        "counts the awake",
        "how many rectifiers are on, not how many change",
        kinks_between=lambda x, v, h: int((x + h * v > 0).sum()),
    ),
)
def _kinks(mine, judge):
    x, v = np.array([0.05, -0.05, 1.0, -1.0, 0.05]), np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    judge.equal("a long step", mine.kinks_between(x, v, 0.1), 3, 0)
    judge.equal("a short one", mine.kinks_between(x, v, 0.01), 0, 0)
    x, v = judge.rng.normal(size=(2, 5000))
    expected = np.sum((x - 0.1 * v > 0) != (x + 0.1 * v > 0))
    judge.equal("five thousand rectifiers", mine.kinks_between(x, v, 0.1), expected, 0)
