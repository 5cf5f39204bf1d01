"""Pooling by the Euclidean norm of each 2x2 block, which passes its gradient to all pixels of the block."""

from handstyle.foundations.backend import Array, namespace
from handstyle.network.pooling import PoolCache, blocks_of, unblocked

L2_SCALE = 0.78  # crowsonkb/style-transfer-pytorch, VGGFeatures.pooling_scales


def l2_pool_forward(x: Array, rounding: str = "down") -> tuple[Array, PoolCache]:  # (H, W, C) -> (h, w, C), cache
    """Take the Euclidean norm of each 2x2 block, channel by channel, times `L2_SCALE`.

    Parameters
    ----------
    x : (H, W, C) array
        The feature map.
    rounding : {"down", "up"}
        As in `max_pool_forward`. A block at the border is the norm of the pixels that it has.

    Returns
    -------
    y : (h, w, C) array
    cache : tuple
        The derivative of each block's value by each of its pixels, ``L2_SCALE · x / norm``, (4, h, w, C), and the shape
        of `x`. Where all four are zero the norm has no derivative, and 0 is taken.

    See Also
    --------
    l2_pool_backward : The gradient at the input.

    Notes
    -----
    The form of crowsonkb/style-transfer-pytorch, whose factor keeps maps about as large as under the maximum that the
    network was trained with: a block of four equal numbers comes out 1.56 times as large, one with a single number
    0.78 times.

    Examples
    --------
    >>> import numpy as np
    >>> y, cache = l2_pool_forward(np.array([[[3.0], [4.0]], [[0.0], [0.0]]]))
    >>> y.ravel()  # 0.78 · 5
    array([3.9])
    """
    xp = namespace(x)
    blocks = blocks_of(x, rounding, 0)
    norm = xp.sqrt((blocks * blocks).sum(axis=0))  # book: pool-norm
    share = x.dtype.type(L2_SCALE) * blocks / xp.where(norm > 0, norm, 1)
    return x.dtype.type(L2_SCALE) * norm, (share, x.shape)


def l2_pool_backward(dy: Array, cache: PoolCache) -> Array:  # (h, w, C), cache -> (H, W, C)
    """Share each block's gradient out among its pixels in proportion to their values.

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
    l2_pool_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = l2_pool_forward(np.array([[[3.0], [4.0]], [[0.0], [0.0]]]))
    >>> l2_pool_backward(np.array([[[5.0]]]), cache)[..., 0].round(6)
    array([[2.34, 3.12],
           [0.  , 0.  ]])
    """
    share, shape = cache
    return unblocked(share * dy, shape)  # book: pool-norm-share
