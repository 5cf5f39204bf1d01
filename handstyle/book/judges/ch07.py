"""The rectifier."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.relu import relu_backward, relu_forward


@exercise(
    "ch07-leaky",
    "a leak",
    ["leaky_forward", "leaky_backward"],
    mistake(
        "mask from the gradient",
        "the sign of the gradient decides, where the sign of the input must",
        leaky_backward=lambda dy, cache: np.where(dy > 0, dy, 0.01 * dy),
    ),
    mistake("mask forgotten", "the gradient passes whole everywhere", leaky_backward=lambda dy, cache: dy.copy()),
    mistake(
        "no leak on the way back",
        "the gradient of a plain rectifier: where the input is negative a hundredth passes",
        leaky_backward=lambda dy, cache: np.where(cache, dy, 0),
    ),
    mistake("no leak", "the rectifier itself", leaky_forward=lambda x: (np.maximum(x, 0), x > 0)),
)
def _leaky(mine, judge):
    y, cache = mine.leaky_forward(np.array([-2.0, 0.0, 3.0]))
    judge.equal("three numbers by hand", y, [-0.02, 0.0, 3.0], 1e-14)
    judge.holds("the cache is of booleans", np.asarray(cache).dtype == bool)
    x, target = judge.rng.normal(size=(6, 8, 3)), judge.rng.normal(size=(6, 8, 3))
    y, cache = mine.leaky_forward(x)
    dx = mine.leaky_backward(y - target, cache)
    judge.gradient(
        "the gradient against differences",
        lambda x: 0.5 * float(((mine.leaky_forward(x)[0] - target) ** 2).sum()),
        dx,
        x,
        signature=lambda x: x > 0,
    )


@exercise(
    "ch07-packed",
    "one bit",
    ["packed_forward", "packed_backward"],
    mistake(
        "a byte a number",
        "booleans are kept, eight times what is allowed",
        packed_forward=lambda x: (np.maximum(x, 0), (x > 0).ravel()),
        packed_backward=lambda dy, bits: np.where(bits.reshape(dy.shape), dy, 0),
    ),
    mistake(
        "gradient at zero",
        "the bit is set at zero, where nothing passes",
        packed_forward=lambda x: (np.maximum(x, 0), np.packbits(x >= 0)),
        packed_backward=lambda dy, bits: np.where(np.unpackbits(bits, count=dy.size).reshape(dy.shape), dy, 0),
    ),
    mistake("mask forgotten", "the gradient passes everywhere", packed_backward=lambda dy, bits: dy.copy()),
)
def _packed(mine, judge):
    for shape in ((6, 8, 3), (5, 7, 1), (3,)):
        x, dy = np.round(judge.rng.normal(size=shape)), judge.rng.normal(size=shape)
        y, bits = mine.packed_forward(x)
        judge.equal(f"forward, {shape}", y, relu_forward(x)[0], 0)
        judge.equal(f"the bytes that are kept, {shape}", bits.nbytes, -(-x.size // 8), 0)
        expected = relu_backward(dy, relu_forward(x)[1])
        judge.equal(f"backward, {shape}", mine.packed_backward(dy, bits), expected, 0)
