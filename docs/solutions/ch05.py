"""Solutions to chapter 5. The tests that hold them grade a reader's file too."""

import numpy as np

from handstyle.network.padding import pad_forward


def circular_forward(x):  # (H, W, C) -> (H+2, W+2, C)
    """Put a border around `x` that continues it from the opposite side."""
    x = np.concatenate([x[-1:], x, x[:1]])
    return np.concatenate([x[:, -1:], x, x[:, :1]], axis=1)


def circular_backward(dxpad):  # (H+2, W+2, C) -> (H, W, C)
    """Fold the border back: columns first, for they came last."""
    d = dxpad[:, 1:-1].copy()
    d[:, -1] += dxpad[:, 0]
    d[:, 0] += dxpad[:, -1]
    dx = d[1:-1].copy()
    dx[-1] += d[0]
    dx[0] += d[-1]
    return dx


def fold_by_index(dxpad, mode):  # (H+2, W+2, C) -> (H, W, C)
    """Add the gradient of each place to the pixel that `pad_forward` copied there."""
    H, W, C = dxpad.shape[0] - 2, dxpad.shape[1] - 2, dxpad.shape[2]
    sources, _ = pad_forward(np.arange(H * W).reshape(H, W, 1), mode)
    dx = np.zeros((H * W, C), dxpad.dtype)
    np.add.at(dx, sources.ravel(), dxpad.reshape(-1, C))
    return dx.reshape(H, W, C)
