"""Pooling over 2x2 blocks: the maximum routes its gradient, the average shares it out.

Picture sides are often odd, and systems disagree about the last row then: Keras and PyTorch drop it (``down``), Caffe
keeps it as a block of what is left (``up``). Both are here, because already for a picture of 500 pixels they differ.
"""

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError

ROUNDINGS = ("down", "up")
PoolCache = tuple[Array, tuple[int, ...]]  # which pixel of each block, or each block's share; the input's shape


def max_pool_forward(x: Array, rounding: str = "down") -> tuple[Array, PoolCache]:  # (H, W, C) -> (h, w, C), cache
    """Take the largest value of each 2x2 block, channel by channel.

    Parameters
    ----------
    x : (H, W, C) array
        The feature map.
    rounding : {"down", "up"}
        Whether an odd last row or column is dropped (h = H // 2) or forms blocks of its own (h = (H + 1) // 2).

    Returns
    -------
    y : (h, w, C) array
    cache : tuple
        Which of the four was largest, 0 to 3 in reading order, as (h, w, C) uint8, and the shape of `x`. Of equals
        the first wins, as in PyTorch and Caffe: a choice, at a point where there is no derivative.

    See Also
    --------
    max_pool_backward : The gradient at the input.

    Examples
    --------
    >>> import numpy as np
    >>> y, (choice, shape) = max_pool_forward(np.array([[[1.0], [2.0]], [[4.0], [3.0]]]))
    >>> y.ravel(), choice.ravel()  # the third in reading order
    (array([4.]), array([2], dtype=uint8))
    """
    xp = namespace(x)
    blocks = blocks_of(x, rounding, -xp.inf)
    choice = blocks.argmax(axis=0)
    return blocks.max(axis=0), (choice.astype(xp.uint8), x.shape)  # book: pool-max


def max_pool_backward(dy: Array, cache: PoolCache) -> Array:  # (h, w, C), cache -> (H, W, C)
    """Send each block's gradient to the pixel that was its maximum; the others get nothing.

    Parameters
    ----------
    dy : (h, w, C) array
        The gradient at the output.
    cache : tuple
        The cache that the forward function returned.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    max_pool_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = max_pool_forward(np.array([[[1.0], [2.0]], [[4.0], [3.0]]]))
    >>> max_pool_backward(np.array([[[5.0]]]), cache)[..., 0]
    array([[0., 0.],
           [5., 0.]])
    """
    choice, shape = cache
    xp = namespace(dy, choice)
    routed: Array = xp.stack([xp.where(choice == k, dy, 0) for k in range(4)])  # book: pool-route
    return unblocked(routed, shape)


def average_pool_forward(x: Array, rounding: str = "down") -> tuple[Array, PoolCache]:  # (H,W,C) -> (h,w,C), cache
    """Take the mean of each 2x2 block, channel by channel (Gatys et al. 2016 prefer it for its smoother gradient).

    Parameters
    ----------
    x : (H, W, C) array
        The feature map.
    rounding : {"down", "up"}
        As in `max_pool_forward`. A block at the border is the mean of the pixels that it has.

    Returns
    -------
    y : (h, w, C) array
    cache : tuple
        One over the number of pixels of each block, (h, w, 1), and the shape of `x`.

    See Also
    --------
    average_pool_backward : The gradient at the input.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = average_pool_forward(np.array([[[1.0], [2.0]], [[4.0], [3.0]]]))
    >>> y.ravel()
    array([2.5])
    """
    xp = namespace(x)
    share = 1 / blocks_of(xp.ones((*x.shape[:2], 1), x.dtype), rounding, 0).sum(axis=0)
    return blocks_of(x, rounding, 0).sum(axis=0) * share, (share, x.shape)  # book: pool-average


def average_pool_backward(dy: Array, cache: PoolCache) -> Array:  # (h, w, C), cache -> (H, W, C)
    """Share each block's gradient out equally among its pixels: the adjoint of the block mean.

    Parameters
    ----------
    dy : (h, w, C) array
        The gradient at the output.
    cache : tuple
        The cache that the forward function returned.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    average_pool_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = average_pool_forward(np.array([[[1.0], [2.0]], [[4.0], [3.0]]]))
    >>> average_pool_backward(np.array([[[8.0]]]), cache)[..., 0]
    array([[2., 2.],
           [2., 2.]])
    """
    share, shape = cache
    part = dy * share  # book: pool-share
    return unblocked(namespace(dy).stack([part] * 4), shape)


def blocks_of(x: Array, rounding: str, fill: float) -> Array:  # (H, W, C) -> (4, h, w, C)
    """Return the four pixels of each 2x2 block as four maps; pixels that a block at the border lacks are `fill`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(2, 3, 1)  # rows 0 1 2 and 3 4 5
    >>> blocks_of(x, "up", fill=-1.0)[..., 0].tolist()  # the second block lacks its right column
    [[[0.0, 2.0]], [[1.0, -1.0]], [[3.0, 5.0]], [[4.0, -1.0]]]
    """
    if rounding not in ROUNDINGS:
        raise HandstyleError(f"unknown rounding {rounding!r}: use {', '.join(ROUNDINGS)}")
    H, W, C = x.shape
    up = rounding == "up"
    h, w = (H + up) // 2, (W + up) // 2
    padded: Array = namespace(x).full((2 * h, 2 * w, C), fill, x.dtype)
    rows, columns = min(H, 2 * h), min(W, 2 * w)
    padded[:rows, :columns] = x[:rows, :columns]
    return padded.reshape(h, 2, w, 2, C).transpose(1, 3, 0, 2, 4).reshape(4, h, w, C)


def unblocked(quarters: Array, shape: tuple[int, ...]) -> Array:  # (4, h, w, C) -> (H, W, C)
    """Return the map of a shape whose blocks are the four maps: the adjoint of `blocks_of`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(2, 3, 1)
    >>> np.array_equal(unblocked(blocks_of(x, "up", fill=-1.0), x.shape), x)
    True
    """
    _, h, w, C = quarters.shape
    padded = quarters.reshape(2, 2, h, w, C).transpose(2, 0, 3, 1, 4).reshape(2 * h, 2 * w, C)
    dx: Array = namespace(quarters).zeros(shape, quarters.dtype)
    rows, columns = min(shape[0], 2 * h), min(shape[1], 2 * w)
    dx[:rows, :columns] = padded[:rows, :columns]
    return dx
