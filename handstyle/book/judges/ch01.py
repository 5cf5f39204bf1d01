"""A picture painted by an optimizer."""

import numpy as np

from handstyle.book.grading import exercise, mistake


def _row(p, photo, sign=1.0, two=2.0, count=None):
    f, wanted = np.diff(p), np.diff(photo)
    energy, n = wanted @ wanted, count or len(f)
    m = f @ f / n
    df = 2 * (f - wanted) / energy + two * (m - 100) / 100**2 * 2 * f / n
    gradient = np.zeros_like(p)
    gradient[1:] += df
    gradient[:-1] -= sign * df
    return (f - wanted) @ (f - wanted) / energy + (m - 100) ** 2 / 100**2, gradient


@exercise(
    "ch01-row",
    "a row of pixels",
    ["row_of_pixels"],
    mistake(
        "variation looks one way",
        "a difference is charged to one of its two pixels only",
        row_of_pixels=lambda p, photo: _row(p, photo, sign=0.0),
    ),
    mistake(
        "gradient without the two",
        "the derivative of the style's square lacks its factor",
        row_of_pixels=lambda p, photo: _row(p, photo, two=1.0),
    ),
    mistake(
        "sum for mean",
        "the squares are added up, and not divided by how many differences there are",
        row_of_pixels=lambda p, photo: _row(p, photo, count=1),
    ),
)
def _row_of_pixels(mine, judge):
    two = np.array([10.0, 30.0])
    value, gradient = mine.row_of_pixels(two.copy(), two.copy())
    judge.equal("the value of the example by hand", value, 9.0)
    judge.equal("the gradient of the example by hand", gradient, [-2.4, 2.4])
    for n in (2, 3, 9):
        p, photo = judge.rng.uniform(0, 60, n), judge.rng.uniform(0, 60, n)
        gradient = mine.row_of_pixels(p, photo)[1]
        judge.gradient(f"{n} pixels, differences", lambda p, q=photo: mine.row_of_pixels(p, q)[0], gradient, p)
    photo = np.array([0.0, 10.0, 20.0, 10.0])
    value, gradient = mine.row_of_pixels(photo, photo)
    judge.equal("the value of a photograph that has the style", value, 0.0)
    judge.equal("its gradient", gradient, np.zeros(4))


@exercise(
    "ch01-shares",
    "who has the say",
    ["shares"],
    mistake("not divided", "the values themselves, not their parts of the whole", shares=lambda terms: dict(terms)),
    mistake(
        "divided by the largest",
        "the largest term is 1, and the shares do not add up to 1",
        shares=lambda terms: {name: value / max(terms.values()) for name, value in terms.items()},
    ),
)
def _shares(mine, judge):
    terms = {"content": 1.0, "style": 3.0, "variation": 4.0}
    found = mine.shares(dict(terms))
    judge.holds("a share for each term, by its name", set(found) == set(terms))
    judge.equal("the shares", [found[name] for name in terms], [0.125, 0.375, 0.5])
