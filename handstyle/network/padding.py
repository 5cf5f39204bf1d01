"""Edges: a border of one pixel around a picture, and the adjoint that folds it back.

The first linear map of the book. Padding copies pixels or writes zeros, so it is linear. Its
adjoint adds the gradient of each border pixel to that of the pixel from which it was copied.
The fast counterparts of this file are in ``kernels/``.
"""

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import check_name

PADDINGS = ("zero", "reflect", "replicate")


def pad_forward(x: Array, mode: str = "zero") -> tuple[Array, str]:  # (H, W, C) -> (H+2, W+2, C), cache
    """Put a border of one pixel around `x`.

    Parameters
    ----------
    x : (H, W, C) array
        A picture or a feature map.
    mode : {"zero", "reflect", "replicate"}
        ``zero`` is what VGG was trained with (Simonyan and Zisserman 2015, §2.1). ``reflect`` copies the row next
        to the edge, as a mirror on the edge would; a side of one pixel repeats that. ``replicate`` repeats the edge.

    Returns
    -------
    xpad : (H+2, W+2, C) array
        Of `x`'s dtype.
    cache : str
        For `pad_backward`: the mode.

    See Also
    --------
    pad_backward : Its adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> pad_forward(np.array([[[1.0], [2.0]]]), "replicate")[0][..., 0]
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    H, W, C = x.shape
    xpad: Array = namespace(x).zeros((H + 2, W + 2, C), x.dtype)
    xpad[1:-1, 1:-1] = x
    if mode == "zero":
        return xpad, mode
    # Rows first, columns second over the full height: the corners then come out as the outer product of both.
    row, col = _sources(mode, H, W)
    xpad[0], xpad[-1] = xpad[1 + row], xpad[H - row]
    xpad[:, 0], xpad[:, -1] = xpad[:, 1 + col], xpad[:, W - col]  # book: pad-copy
    return xpad, mode


def pad_backward(dxpad: Array, cache: str = "zero") -> Array:  # (H+2, W+2, C), cache -> (H, W, C)
    """Add the gradient of each border pixel to the pixel it was copied from: the adjoint of `pad_forward`.

    The steps of `pad_forward` are transposed and taken in reverse order.

    Parameters
    ----------
    dxpad : (H+2, W+2, C) array
        The gradient at the padded array.
    cache : {"zero", "reflect", "replicate"}
        The mode of the forward call.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    pad_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> pad_backward(np.ones((3, 4, 1)), "replicate")[..., 0]
    array([[6., 6.]])
    """
    if cache == "zero":
        return dxpad[1:-1, 1:-1].copy()
    H, W = dxpad.shape[0] - 2, dxpad.shape[1] - 2
    row, col = _sources(cache, H, W)
    d = dxpad.copy()
    d[:, 1 + col] += d[:, 0]  # book: pad-fold
    d[:, W - col] += d[:, -1]
    d[1 + row] += d[0]
    d[H - row] += d[-1]
    return d[1:-1, 1:-1].copy()


def _sources(mode: str, H: int, W: int) -> tuple[int, int]:  # how far inside the edge the copied row, column lies
    check_name("padding", mode, PADDINGS)
    if mode == "replicate":
        return 0, 0
    return min(1, H - 1), min(1, W - 1)
