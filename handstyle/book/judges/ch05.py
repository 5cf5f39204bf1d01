"""Edges."""

import numpy as np

from handstyle.book.grading import exercise, mistake
from handstyle.network.padding import pad_backward, pad_forward

SHAPES = [(5, 7, 3), (4, 4, 1), (2, 3, 2)]


def _rows_only(dxpad):
    dx = dxpad[1:-1, 1:-1].copy()
    dx[-1] += dxpad[0, 1:-1]
    dx[0] += dxpad[-1, 1:-1]
    dx[:, -1] += dxpad[1:-1, 0]
    dx[:, 0] += dxpad[1:-1, -1]
    return dx


def _same_side(dxpad):
    d = dxpad[:, 1:-1].copy()
    d[:, 0] += dxpad[:, 0]
    d[:, -1] += dxpad[:, -1]
    dx = d[1:-1].copy()
    dx[0] += d[0]
    dx[-1] += d[-1]
    return dx


@exercise(
    "ch05-circular",
    "a circular border",
    ["circular_forward", "circular_backward"],
    mistake(
        "border cut instead of folded",
        "the border's share of the gradient is thrown away",
        circular_backward=lambda d: d[1:-1, 1:-1].copy(),
    ),
    mistake(
        "corners forgotten",
        "rows and columns are folded, the corners that lie on both are not",
        circular_backward=_rows_only,
    ),
    mistake(
        "folded to the near side",
        "that is the adjoint of a border that repeats the last pixel; this one copied the far side",
        circular_backward=_same_side,
    ),
    mistake(
        "mirrored",
        "the border reflects the picture instead of continuing it from the other side",
        circular_forward=lambda x: np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="symmetric"),
    ),
)
def _circular(mine, judge):
    for shape in SHAPES:
        x = judge.rng.normal(size=shape)
        expected = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="wrap")
        judge.equal(f"forward, {shape}", mine.circular_forward(x), expected, 0)
    for shape in SHAPES:
        judge.adjoint(f"the adjoint, {shape}", mine.circular_forward, mine.circular_backward, shape)


def _overwritten(dxpad, mode):
    H, W, C = dxpad.shape[0] - 2, dxpad.shape[1] - 2, dxpad.shape[2]
    sources, _ = pad_forward(np.arange(H * W).reshape(H, W, 1), mode)
    dx = np.zeros((H * W, C), dxpad.dtype)
    dx[sources.ravel()] += dxpad.reshape(-1, C)
    return dx.reshape(H, W, C)


@exercise(
    "ch05-index",
    "let the forward pass do it",
    ["fold_by_index"],
    mistake(
        "+= with an array of indices",
        "NumPy adds once to a pixel that is named twice; np.add.at adds each time",
        fold_by_index=_overwritten,
    ),
    mistake(
        "border cut instead of folded",
        "the border's share of the gradient is thrown away",
        fold_by_index=lambda d, mode: d[1:-1, 1:-1].copy(),
    ),
    mistake(
        "one border for all",
        "the mode is not looked at: every border is taken for one that reflects",
        fold_by_index=lambda d, mode: pad_backward(d, "reflect"),
    ),
)
def _by_index(mine, judge):
    for mode in ("reflect", "replicate"):
        for H, W, C in SHAPES:
            dxpad = judge.rng.normal(size=(H + 2, W + 2, C))
            judge.equal(f"{mode}, {(H, W, C)}", mine.fold_by_index(dxpad, mode), pad_backward(dxpad, mode), 1e-13)
