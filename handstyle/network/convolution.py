"""The 3x3 convolution as nine shifted products, and its adjoint.

This is the readable reference: no lowering, no index arithmetic, one matrix product for each tap of the kernel.
The fast versions, held to this one by tests, are in ``kernels/``. "Convolution" is the field's word for what is
a cross-correlation: the kernel is not flipped.

The weights are frozen while a picture is painted, so the pair caches no input: the gradient at the input needs only
the weights. The gradients at the weights and the bias, which do need the input, are in ``weight_gradients.py``.
"""

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.network.padding import pad_backward, pad_forward

ConvolutionCache = tuple[Array, str]


def conv3x3_forward(  # (H, W, C), (3, 3, C, K), (K,) -> (H, W, K), cache
    x: Array, w: Array, b: Array, padding: str = "zero"
) -> tuple[Array, ConvolutionCache]:
    """Convolve `x` with `w` and add `b`; the output is as large as the input.

    Parameters
    ----------
    x : (H, W, C) array
        The feature map.
    w : (3, 3, C, K) array
        The kernels: row, column, channel in, channel out.
    b : (K,) array
        The bias.
    padding : {"zero", "reflect", "replicate"}
        The border (see `pad_forward`).

    Returns
    -------
    y : (H, W, K) array
        ``y[h, v] = b + sum_ij xpad[h+i, v+j] @ w[i, j]``.
    cache : tuple
        For `conv3x3_backward`: the weights and the cache of the padding, no activation.

    See Also
    --------
    conv3x3_backward : The gradient at the input.

    Notes
    -----
    Simonyan and Zisserman 2015 (arXiv 1409.1556, §2.1): 3x3, stride 1, one pixel of padding. Written as shifted
    products after Anderson et al. 2017 (arXiv 1709.03395).

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((3, 3, 1, 1))
    >>> w[1, 2] = 1.0  # each output reads the pixel to the right
    >>> y, cache = conv3x3_forward(np.array([[[1.0], [2.0], [3.0]]]), w, np.array([10.0]))
    >>> y[..., 0]
    array([[12., 13., 10.]])
    """
    H, W, _ = x.shape
    xpad, pad_cache = pad_forward(x, padding)  # (H+2, W+2, C)
    y: Array = namespace(x).zeros((H, W, w.shape[3]), x.dtype)
    for i, j in np.ndindex(3, 3):
        y += xpad[i : i + H, j : j + W] @ w[i, j]  # book: conv-slices
    return y + b, (w, pad_cache)


def conv3x3_backward(dy: Array, cache: ConvolutionCache) -> Array:  # (H, W, K), cache -> (H, W, C)
    """Carry the gradient from the output of `conv3x3_forward` to its input.

    Each of the nine products is transposed and each shift reversed: what was read at ``[i, j]`` is added back at
    ``[i, j]``. The border's share is folded back by `pad_backward`.

    Parameters
    ----------
    dy : (H, W, K) array
        The gradient at the output.
    cache : tuple
        The cache that the forward function returned.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    conv3x3_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((3, 3, 1, 1))
    >>> w[1, 2] = 1.0  # each output reads the pixel to the right
    >>> y, cache = conv3x3_forward(np.array([[[1.0], [2.0], [3.0]]]), w, np.zeros(1))
    >>> conv3x3_backward(np.array([[[5.0], [6.0], [7.0]]]), cache)[..., 0]
    array([[0., 5., 6.]])
    """
    w, pad_cache = cache
    H, W, _ = dy.shape
    dxpad = namespace(dy).zeros((H + 2, W + 2, w.shape[2]), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dxpad[i : i + H, j : j + W] += dy @ w[i, j].T  # book: conv-backward
    return pad_backward(dxpad, pad_cache)
