"""Pooling."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.pooling import max_pool_backward, max_pool_forward


def _blocks(x):
    h, w = x.shape[0] // 2, x.shape[1] // 2
    return x.reshape(h, 2, w, 2, -1)


def _each_gets_all(dy, x):
    blocks = _blocks(x)
    return ((blocks == blocks.max(axis=(1, 3), keepdims=True)) * dy[:, None, :, None]).reshape(x.shape)


def _first_pixel(dy, x):
    dx = np.zeros(x.shape)
    dx[::2, ::2] = dy
    return dx


@exercise(
    "ch08-share",
    "ties share",
    ["shared_max_backward"],
    mistake(
        "every tie gets the gradient",
        "each of the winners gets all of it, and the sum grows",
        shared_max_backward=_each_gets_all,
    ),
    mistake(
        "the first wins",
        "the package's own rule: at a tie the first gets all",
        shared_max_backward=lambda dy, x: max_pool_backward(dy, max_pool_forward(x)[1]),
    ),
    mistake(
        "gradient to the first pixel",
        "the gradient goes to the block's first pixel instead of its largest",
        shared_max_backward=_first_pixel,
    ),
    mistake(
        "a quarter each",
        "the gradient of an average",
        shared_max_backward=lambda dy, x: dy.repeat(2, axis=0).repeat(2, axis=1) / 4,
    ),
)
def _share(mine, judge):
    x, dy = judge.rng.normal(size=(6, 8, 3)), judge.rng.normal(size=(3, 4, 3))
    right = max_pool_backward(dy, max_pool_forward(x)[1])
    judge.equal("where nothing ties", mine.shared_max_backward(dy, x), right, 1e-14)
    x = np.array([[5.0, 5.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])[:, :, None]
    dx = mine.shared_max_backward(np.array([[[6.0], [8.0]]]), x)
    judge.equal("two winners share, and four", dx[..., 0], [[3, 3, 2, 2], [0, 0, 2, 2]], 1e-14)


def _root(x):
    y = np.sqrt((_blocks(x) ** 2).mean(axis=(1, 3)))
    return y, (x, y)


@exercise(
    "ch08-root",
    "the root of the mean square",
    ["root_pool_forward", "root_pool_backward"],
    mistake(
        "average not divided",
        "x / y for x / 4y: the mean's quarter is forgotten",
        root_pool_forward=_root,
        root_pool_backward=lambda dy, cache: (
            cache[0]
            * np.divide(dy, cache[1], out=np.zeros_like(dy), where=cache[1] > 0).repeat(2, axis=0).repeat(2, axis=1)
        ),
    ),
    mistake(
        "zero by zero",
        "a block of zeros divides by its root",
        root_pool_forward=_root,
        root_pool_backward=lambda dy, cache: cache[0] * (dy / (4 * cache[1])).repeat(2, axis=0).repeat(2, axis=1),
    ),
    mistake(
        "sum for mean",
        "the root of the sum of the squares, twice as large",
        root_pool_forward=lambda x: (2 * _root(x)[0], (x, 2 * _root(x)[0])),
        root_pool_backward=lambda dy, cache: (
            cache[0]
            * np.divide(dy, cache[1], out=np.zeros_like(dy), where=cache[1] > 0).repeat(2, axis=0).repeat(2, axis=1)
        ),
    ),
)
def _root_pool(mine, judge):
    y, _ = mine.root_pool_forward(np.array([[[1.0], [2.0]], [[2.0], [4.0]]]))
    judge.equal("a block by hand", y, [[[2.5]]], 1e-14)
    x, target = judge.rng.normal(size=(6, 8, 3)), judge.rng.normal(size=(3, 4, 3))
    y, cache = mine.root_pool_forward(x)
    judge.gradient(
        "the gradient against differences",
        lambda x: 0.5 * float(((mine.root_pool_forward(x)[0] - target) ** 2).sum()),
        mine.root_pool_backward(y - target, cache),
        x,
    )
    _, cache = mine.root_pool_forward(np.zeros((2, 2, 1)))
    judge.equal(
        "the gradient of a block of zeros", mine.root_pool_backward(np.ones((1, 1, 1)), cache), np.zeros((2, 2, 1))
    )
