"""Convolution and its adjoint."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.padding import pad_forward
from handstyle.network.weight_gradients import conv3x3_weight_gradient

SHAPES = [(6, 8, 3), (7, 9, 3), (1, 5, 3)]


def _forward(x, w, b):
    y, _ = conv3x3_forward(x, w, b)
    return y[::2, ::2], (w, y.shape)


def _not_reversed(dy, cache):
    w, (H, W, K) = cache
    whole = np.zeros((H, W, K))
    whole[::2, ::2] = dy
    dypad, _ = pad_forward(whole)
    return sum(dypad[i : i + H, j : j + W] @ w[i, j].T for i, j in np.ndindex(3, 3))


def _repeated(dy, cache):
    w, (H, W, _) = cache
    return conv3x3_backward(dy.repeat(2, axis=0).repeat(2, axis=1)[:H, :W], (w, "zero"))


def _beside(dy, cache):
    w, (H, W, K) = cache
    whole = np.zeros((H + 1, W + 1, K))
    whole[1 : 2 * len(dy) : 2, 1 : 2 * dy.shape[1] : 2] = dy
    return conv3x3_backward(whole[:H, :W], (w, "zero"))


@exercise(
    "ch06-strided",
    "every second pixel",
    ["strided_forward", "strided_backward"],
    mistake(
        "shift not reversed",
        "the gradient is gathered as the input was, not scattered back",
        strided_forward=_forward,
        strided_backward=_not_reversed,
    ),
    mistake(
        "each gradient given to four",
        "it is repeated over the pixels that were not kept, where zeros belong",
        strided_forward=_forward,
        strided_backward=_repeated,
    ),
    mistake(
        "put beside where it was read",
        "the gradient lies on the odd rows and columns; the even ones were kept",
        strided_forward=_forward,
        strided_backward=_beside,
    ),
    mistake(
        "the odd ones kept",
        "the second row and column are kept first, not the first",
        strided_forward=lambda x, w, b: (conv3x3_forward(x, w, b)[0][1::2, 1::2], (w, b)),
    ),
)
def _strided(mine, judge):
    for shape in SHAPES:
        x, w, b = judge.rng.normal(size=shape), judge.rng.normal(size=(3, 3, 3, 4)), judge.rng.normal(size=4)
        expected = conv3x3_forward(x, w, b)[0][::2, ::2]
        judge.equal(f"forward, {shape}", mine.strided_forward(x, w, b)[0], expected, 1e-12)
    for shape in SHAPES:
        w, zero = judge.rng.normal(size=(3, 3, 3, 4)), np.zeros(4)
        _, cache = mine.strided_forward(np.zeros(shape), w, zero)
        judge.adjoint(
            f"the adjoint, {shape}",
            lambda u, w=w: mine.strided_forward(u, w, np.zeros(4))[0],
            lambda v, cache=cache: mine.strided_backward(v, cache),
            shape,
        )


def _without_border(dy, x):
    K, C = dy.shape[2], x.shape[2]
    dw = np.zeros((3, 3, C, K))
    inner = dy[1:-1, 1:-1]
    H, W, _ = inner.shape
    for i, j in np.ndindex(3, 3):
        dw[i, j] = x[i : i + H, j : j + W].reshape(-1, C).T @ inner.reshape(-1, K)
    return dw


@exercise(
    "ch06-weights",
    "the gradient of the weights",
    ["weight_gradient"],
    mistake(
        "weight gradient without the border",
        "the padding is forgotten where the weights look at it",
        weight_gradient=_without_border,
    ),
    mistake(
        "rows and columns exchanged",
        "dw[j, i] for dw[i, j]: every kernel mirrored on its diagonal",
        weight_gradient=lambda dy, x: conv3x3_weight_gradient(dy, x).swapaxes(0, 1),
    ),
    mistake(
        "kernel flipped",
        "the gradient of a true convolution, turned by 180 degrees",
        weight_gradient=lambda dy, x: conv3x3_weight_gradient(dy, x)[::-1, ::-1],
    ),
    mistake(
        "averaged",
        "a mean over the pixels where their sum belongs",
        weight_gradient=lambda dy, x: conv3x3_weight_gradient(dy, x) / (dy.shape[0] * dy.shape[1]),
    ),
)
def _weights(mine, judge):
    x, w, b = judge.rng.normal(size=(5, 7, 3)), judge.rng.normal(size=(3, 3, 3, 4)), np.zeros(4)
    target = judge.rng.normal(size=(5, 7, 4))
    dw = mine.weight_gradient(conv3x3_forward(x, w, b)[0] - target, x)
    judge.equal("the gradient itself", dw, conv3x3_weight_gradient(conv3x3_forward(x, w, b)[0] - target, x), 1e-12)
    judge.gradient("differences", lambda w: 0.5 * float(((conv3x3_forward(x, w, b)[0] - target) ** 2).sum()), dw, w)
