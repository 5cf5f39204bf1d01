"""Lowering."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.convolution import conv3x3_forward


def _rows(H, W, C, budget, each=4 * 9, up=False, most=True, least=2):
    fitting = budget // (each * W * C) // 2 * 2 + (2 if up else 0)
    return max(least, min(fitting, -(-H // 2) * 2) if most else fitting)


@exercise(
    "ch20-strip",
    "the height of a strip",
    ["strip_rows"],
    mistake(
        "numbers for bytes",
        "a float32 has four bytes",
        strip_rows=lambda *a: _rows(*a, each=9),
    ),
    mistake(
        "the nine forgotten",
        "the lowered matrix has nine columns for each channel",
        strip_rows=lambda *a: _rows(*a, each=4),
    ),
    mistake("rounded up", "two lines more than fit", strip_rows=lambda *a: _rows(*a, up=True)),
    mistake("higher than the picture", "more lines than there are", strip_rows=lambda *a: _rows(*a, most=False)),
    mistake("none", "no line at all, where two must be", strip_rows=lambda *a: _rows(*a, least=0)),
)
def _strip(mine, judge):
    for H, W, C in ((512, 512, 3), (512, 512, 64), (37, 200, 16), (5, 8, 4), (64, 64, 512)):
        for budget in (2**16, 2**20, 2**24):
            found = mine.strip_rows(H, W, C, budget)
            judge.equal(f"{(H, W, C)} within {budget} bytes", found, _rows(H, W, C, budget), 0)


def _width(x, w, b, order=(0, 1, 2), lines=(0, 1, 2)):
    H, W, C = x.shape
    xpad = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    across = np.concatenate([xpad[:, j : j + W] for j in order], axis=2)
    y = sum(
        across[k : k + H].reshape(H * W, 3 * C) @ w[i].reshape(3 * C, -1) for k, i in zip(lines, range(3), strict=True)
    )
    return (y + b).reshape(H, W, -1)


@exercise(
    "ch20-width",
    "lower in width only",
    ["width_forward"],
    mistake(
        "left and right exchanged",
        "the neighbors lie in the row in another order than the kernel's columns",
        width_forward=lambda x, w, b: _width(x, w, b, order=(2, 1, 0)),
    ),
    mistake(
        "upside down",
        "the first line of the kernel meets the last block of lines",
        width_forward=lambda x, w, b: _width(x, w, b, lines=(2, 1, 0)),
    ),
    mistake("bias forgotten", "the bias is not added", width_forward=lambda x, w, b: _width(x, w, 0 * b)),
)
def _lower(mine, judge):
    for shape in ((1, 1, 3), (6, 8, 3), (7, 5, 4)):
        x, w = judge.rng.normal(size=shape), judge.rng.normal(size=(3, 3, shape[2], 5))
        b = judge.rng.normal(size=5)
        judge.equal(
            f"against the nine shifts, {shape}", mine.width_forward(x, w, b), conv3x3_forward(x, w, b)[0], 1e-12
        )
