"""Color."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.painting.color import luminance, match_histogram


def _turned(source, target, turns, both=True, back=True, once=False):
    first = source
    for turn in turns:
        start = first if once else source
        source = match_histogram(start @ turn, target @ turn if both else target) @ (turn.T if back else np.eye(3))
    return source


@exercise(
    "ch26-turned",
    "ranks in every direction",
    ["match_turned"],
    mistake(
        "color map not transposed",
        "the same turn again in the place of the turn back",
        match_turned=lambda s, t, turns: _again(s, t, turns),
    ),
    mistake(
        "not turned back",
        "the colors stay in the turned frame",
        match_turned=lambda s, t, turns: _turned(s, t, turns, back=False),
    ),
    mistake(
        "the target not turned",
        "ranks in a turned frame get the values of the frame that was not",
        match_turned=lambda s, t, turns: _turned(s, t, turns, both=False),
    ),
    mistake(
        "always from the painting",
        "each turn begins anew, and only the last one is left",
        match_turned=lambda s, t, turns: _turned(s, t, turns, once=True),
    ),
)
def _every_direction(mine, judge):
    source, target = judge.rng.uniform(0, 255, (6, 8, 3)), judge.rng.uniform(60, 180, (5, 7, 3)) * [1.0, 0.5, 1.2]
    turns = [np.linalg.qr(judge.rng.normal(size=(3, 3)))[0] for _ in range(3)]
    judge.equal("no turn at all", mine.match_turned(source.copy(), target, []), source, 0)
    upright = mine.match_turned(source.copy(), target, [np.eye(3)])
    judge.equal("one turn by nothing", upright, match_histogram(source, target), 1e-12)
    for n in (1, 3):
        expected = _turned(source, target, turns[:n])
        judge.equal(f"{n} random", mine.match_turned(source.copy(), target, turns[:n]), expected, 1e-12)


def _again(source, target, turns):
    for turn in turns:
        source = match_histogram(source @ turn, target @ turn) @ turn
    return source


WEIGHTS = np.array([0.2126729, 0.7151522, 0.0721750])


def _gray(p, weights=WEIGHTS, decode=True, encode=True):
    c = p / 255
    light = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) if decode else c
    Y = light @ weights
    gray = np.where(Y <= 0.0031308, 12.92 * Y, 1.055 * Y ** (1 / 2.4) - 0.055) if encode else Y
    return 255 * np.repeat(gray[..., None], 3, axis=2)


@exercise(
    "ch26-gray",
    "as bright as it is",
    ["gray_of_light"],
    mistake(
        "luma",
        "the sRGB values were added up, with the weights of light",
        gray_of_light=lambda p: _gray(p, decode=False, encode=False),
    ),
    mistake(
        "television's weights",
        "0.299, 0.587 and 0.114 belong to the luma",
        gray_of_light=lambda p: _gray(p, np.array([0.299, 0.587, 0.114])),
    ),
    mistake(
        "not encoded again",
        "the light is returned as if it were sRGB, and the picture is too dark",
        gray_of_light=lambda p: _gray(p, encode=False),
    ),
    mistake("the mean", "all three channels count alike", gray_of_light=lambda p: _gray(p, np.ones(3) / 3)),
)
def _gray_of_light(mine, judge):
    flat = np.full((2, 2, 3), 90.0)
    judge.equal("a gray picture stays", mine.gray_of_light(flat.copy()), flat, 1e-5)
    red = mine.gray_of_light(np.array([[[255.0, 0, 0]]]))
    judge.equal("pure red", red, np.full((1, 1, 3), 255 * (1.055 * 0.2126729 ** (1 / 2.4) - 0.055)), 1e-6)
    dark = judge.rng.uniform(0, 8, (2, 3, 3))
    judge.equal("the dark end, where the curve is straight", mine.gray_of_light(dark.copy()), _gray(dark), 1e-6)
    p = judge.rng.uniform(0, 255, (6, 8, 3))
    judge.equal("noise, against the lightness of the CIE", mine.gray_of_light(p.copy()), luminance(p, "lab"), 1e-4)
