"""Pictures."""

import numpy as np

from handstyle.book.grading import exercise, mistake


@exercise(
    "ch03-signed",
    "from −1 to 1",
    ["signed_forward", "signed_backward"],
    mistake(
        "scale not in the gradient",
        "the gradient is handed on as it comes, as if p and x had one scale",
        signed_backward=lambda dx: dx.copy(),
    ),
    mistake(
        "inverse for adjoint",
        "multiplied where the forward divides: the adjoint of a scale is the same scale",
        signed_backward=lambda dx: dx * 127.5,
    ),
    mistake(
        "the shift is in the gradient",
        "the backward is the forward, constant and all",
        signed_backward=lambda dx: dx / 127.5 - 1,
    ),
    mistake("from 0 to 2", "the shift is forgotten", signed_forward=lambda p: p / 127.5),
)
def _signed(mine, judge):
    judge.equal("black, gray and white", mine.signed_forward(np.array([[[0.0, 127.5, 255.0]]])), [[[-1, 0, 1]]], 1e-14)
    x = judge.rng.normal(size=(5, 7, 3))
    zero = mine.signed_forward(np.zeros_like(x))
    judge.adjoint("the adjoint of the linear part", lambda u: mine.signed_forward(u) - zero, mine.signed_backward, x)


def _halved(p, power=2.4, straight=True):
    c = p / 255
    light = ((c + 0.055) / 1.055) ** power
    if straight:
        light = np.where(c <= 0.04045, c / 12.92, light)
    H, W, C = p.shape
    mean = light.reshape(H // 2, 2, W // 2, 2, C).mean(axis=(1, 3))
    back = 1.055 * mean ** (1 / power) - 0.055
    return 255 * (np.where(mean <= 0.0031308, 12.92 * mean, back) if straight else back)


@exercise(
    "ch03-light",
    "the mean of the light",
    ["halved_in_light"],
    mistake(
        "averaged as it is stored",
        "the mean of the sRGB numbers, not of the light: stripes come out too dark",
        halved_in_light=lambda p: p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2, -1).mean(axis=(1, 3)),
    ),
    mistake(
        "a power of 2.2",
        "the curve is taken for a plain power of 2.2",
        halved_in_light=lambda p: (
            255 * ((p / 255) ** 2.2).reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2, -1).mean(axis=(1, 3)) ** (1 / 2.2)
        ),
    ),
    mistake(
        "not encoded again",
        "the mean of the light is returned as if it were sRGB",
        halved_in_light=lambda p: (
            255
            * np.where(p <= 0.04045 * 255, p / 255 / 12.92, ((p / 255 + 0.055) / 1.055) ** 2.4)
            .reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2, -1)
            .mean(axis=(1, 3))
        ),
    ),
)
def _light(mine, judge):
    for level in (0.0, 5.0, 90.0, 255.0):
        flat = mine.halved_in_light(np.full((4, 6, 3), level))
        judge.equal(f"a flat picture of level {level:g}", flat, np.full((2, 3, 3), level), 1e-5)
    stripes = np.zeros((4, 6, 3))
    stripes[::2] = 255
    judge.equal("stripes of black and white", mine.halved_in_light(stripes), np.full((2, 3, 3), 187.516), 1e-4)
    p = np.repeat(np.repeat(np.arange(0.0, 240, 10).reshape(2, 4, 3), 2, axis=0), 2, axis=1)
    judge.equal("pixels stay in their places", mine.halved_in_light(p), p[::2, ::2], 1e-5)
    p = judge.rng.uniform(0, 255, (6, 8, 3))
    judge.equal("a picture of noise", mine.halved_in_light(p), _halved(p), 1e-5)
