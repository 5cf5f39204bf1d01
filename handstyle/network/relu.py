"""The rectifier: positive values pass, the others become zero.

The backward pass needs to know only where the input was positive, not the input itself.
"""

from handstyle.foundations.backend import Array, namespace


def relu_forward(x: Array) -> tuple[Array, Array]:  # (...) -> (...), (...) bool
    """Return ``max(x, 0)`` and the mask of positive inputs.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    y : array
        As `x`. A NaN stays a NaN, so that the objective can report it.
    cache : array of bool
        Where `x` was positive. (The engines in ``kernels/`` keep one bit a value.)

    See Also
    --------
    relu_backward : The gradient at the input.

    Examples
    --------
    >>> import numpy as np
    >>> relu_forward(np.array([-1.0, 0.0, 2.0]))
    (array([0., 0., 2.]), array([False, False,  True]))
    """
    return namespace(x).maximum(x, 0), x > 0  # book: relu-forward


def relu_backward(dy: Array, cache: Array) -> Array:  # (...), (...) bool -> (...)
    """Return the gradient at the input: `dy` where the input was positive, zero elsewhere.

    At zero, where the function has a kink, the derivative is taken as 0, as Caffe, PyTorch and Keras do: a subgradient.

    Parameters
    ----------
    dy : array
        The gradient at the output.
    cache : array of bool
        The cache that the forward function returned.

    Returns
    -------
    array
        As `dy`.

    See Also
    --------
    relu_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> relu_backward(np.array([5.0, 6.0, 7.0]), np.array([False, False, True]))
    array([0., 0., 7.])
    """
    return namespace(dy, cache).where(cache, dy, 0)  # book: relu-backward
