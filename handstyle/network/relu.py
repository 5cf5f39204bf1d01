"""The rectifier, and its one bit of memory.

The backward pass needs to know only where the input was positive: one bit a value, an eighth of a byte where
the feature itself would cost four. With frozen weights this is nearly all that the network must remember.
"""

from handstyle.foundations.backend import Array, namespace


def relu_forward(x: Array) -> tuple[Array, Array]:  # (...) -> (...), bits (ceil(size / 8),) uint8
    """Return ``max(x, 0)`` and, packed eight to the byte, where `x` was positive.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    y : array
        As `x`. A NaN stays a NaN, so that the objective can report it.
    cache : (ceil(x.size / 8),) uint8 array
        One bit a value.
    """
    xp = namespace(x)
    return xp.maximum(x, 0), xp.packbits(x > 0)


def relu_backward(dy: Array, cache: Array) -> Array:  # (...), bits -> (...)
    """Let the gradient through where the input was positive.

    At zero, where the function has a kink, the derivative is taken as 0, as Caffe, PyTorch and Keras do: a subgradient.

    Parameters
    ----------
    dy : array
        The gradient at the output.
    cache : uint8 array
        From the forward call.

    Returns
    -------
    array
        As `dy`.
    """
    xp = namespace(dy, cache)
    positive = xp.unpackbits(cache)[: dy.size].reshape(dy.shape)
    dx: Array = xp.where(positive, dy, 0)
    return dx
