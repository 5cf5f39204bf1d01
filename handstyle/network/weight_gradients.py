"""The gradients of the 3x3 convolution at its weights and its bias, for training the small network that ships.

The weights are frozen while a picture is painted; in training they move. These gradients need the input, which the pair
in ``convolution.py`` does not keep.
"""

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.network.padding import pad_forward


def conv3x3_weight_gradient(dy: Array, x: Array, padding: str = "zero") -> Array:  # (H,W,K), (H,W,C) -> (3,3,C,K)
    """Return the gradient at the weights of `conv3x3_forward`.

    The output is linear in the weights too: the tap ``[i, j]`` multiplies the input shifted by it, so its gradient
    is the product of that shifted input, transposed, with `dy`.

    Parameters
    ----------
    dy : (H, W, K) array
        The gradient at the output.
    x : (H, W, C) array
        The input of the forward call.
    padding : {"zero", "reflect", "replicate"}
        The border of the forward call.

    Returns
    -------
    (3, 3, C, K) array

    Examples
    --------
    >>> import numpy as np
    >>> dw = conv3x3_weight_gradient(np.array([[[5.0], [6.0]]]), np.array([[[1.0], [2.0]]]))
    >>> dw[1, :, 0, 0]  # of the row's three weights: 6 · 1, 5 · 1 + 6 · 2 and 5 · 2
    array([ 6., 17., 10.])
    """
    H, W, K = dy.shape
    C = x.shape[2]
    xpad, _ = pad_forward(x, padding)
    dw: Array = namespace(dy, x).zeros((3, 3, C, K), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dw[i, j] = xpad[i : i + H, j : j + W].reshape(-1, C).T @ dy.reshape(-1, K)  # book: conv-weights
    return dw


def conv3x3_bias_gradient(dy: Array) -> Array:  # (H, W, K) -> (K,)
    """Return the gradient at the bias: every pixel adds the same bias, so every pixel's gradient adds up.

    Examples
    --------
    >>> conv3x3_bias_gradient(np.ones((2, 3, 4))).tolist()
    [6.0, 6.0, 6.0, 6.0]
    """
    return dy.sum(axis=(0, 1))
