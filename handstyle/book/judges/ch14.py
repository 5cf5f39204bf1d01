"""Total variation."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.losses.total_variation import differences_backward, differences_forward


def _huber(p, width, outside=0.5, clip=True, both=True):
    differences = differences_forward(p)
    value = 0.0
    for d in differences:
        size = abs(d)
        value += np.where(size <= width, d * d / (2 * width), size - outside * width).sum()
    slopes = [np.clip(d / width, -1, 1) if clip else d / width for d in differences]
    if both:
        return value, differences_backward(*slopes)
    dp = np.zeros_like(p)
    dp[:-1] -= slopes[0]
    dp[:, :-1] -= slopes[1]
    return value, dp


@exercise(
    "ch14-huber",
    "rounded at the bottom",
    ["huber_variation"],
    mistake(
        "a step in the value",
        "beyond the width the value is |d|, which does not meet the square: w/2 is missing",
        huber_variation=lambda p, width: _huber(p, width, outside=0.0),
    ),
    mistake(
        "the square's slope everywhere",
        "large differences pull as hard as they are large; the slope of |d| is 1",
        huber_variation=lambda p, width: _huber(p, width, clip=False),
    ),
    mistake(
        "variation looks one way",
        "a difference is charged to one of its two pixels only",
        huber_variation=lambda p, width: _huber(p, width, both=False),
    ),
)
def _hubers(mine, judge):
    value, dp = mine.huber_variation(np.array([[[0.0], [2.0], [12.0]]]), 4.0)
    judge.equal("the value of differences 2 and 10", value, 4 / 8 + 8)
    judge.equal("the gradient", np.ravel(dp), [-0.5, -0.5, 1])
    p = judge.rng.uniform(0, 255, (5, 6, 3))
    gradient = mine.huber_variation(p, 60.0)[1]
    judge.gradient("the gradient against differences", lambda p: mine.huber_variation(p, 60.0)[0], gradient, p)


def _diagonal(p, two=2.0, both=True, rising=True):
    fall, rise = p[1:, 1:] - p[:-1, :-1], (p[1:, :-1] - p[:-1, 1:]) * rising
    dp = np.zeros_like(p)
    dp[1:, 1:] += two * fall * both
    dp[:-1, :-1] -= two * fall
    dp[1:, :-1] += two * rise * both
    dp[:-1, 1:] -= two * rise
    return (fall**2).sum() + (rise**2).sum(), dp


@exercise(
    "ch14-diagonal",
    "the diagonals",
    ["diagonal_variation"],
    mistake(
        "variation looks one way",
        "a difference is charged to one of its two pixels only",
        diagonal_variation=lambda p: _diagonal(p, both=False),
    ),
    mistake(
        "gradient without the two",
        "the square's derivative without its factor",
        diagonal_variation=lambda p: _diagonal(p, two=1.0),
    ),
    mistake(
        "one diagonal",
        "only the falling differences; there are rising ones too",
        diagonal_variation=lambda p: _diagonal(p, rising=False),
    ),
)
def _diagonals(mine, judge):
    value, dp = mine.diagonal_variation(np.array([[[1.0], [2.0]], [[4.0], [8.0]]]))
    judge.equal("the value of four pixels", value, 7**2 + 2**2)
    judge.equal("their gradient", dp[..., 0], [[-14, -4], [4, 14]])
    p = judge.rng.uniform(0, 255, (4, 6, 3))
    gradient = mine.diagonal_variation(p)[1]
    judge.gradient("the gradient against differences", lambda p: mine.diagonal_variation(p)[0], gradient, p)
