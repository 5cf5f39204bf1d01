"""Total variation: losses of the differences between neighboring pixels, which smooth the picture.

All are computed in the same way. The differences of neighbors are a linear map of the picture, a function of them is
summed, and the gradient is mapped back by the adjoint: what is added to one pixel is subtracted from its neighbor. The
first loss is the default of this package; other systems use the others (``painting/normalizations.py`` carries a weight
from one to another).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError, check_name
from handstyle.losses.terms import PICTURE, WHOLE, Window
from handstyle.network.padding import pad_backward, pad_forward


def differences_forward(p: Array) -> tuple[Array, Array]:  # (H, W, C) -> (H-1, W, C), (H, W-1, C)
    """Return the differences of neighboring pixels, down and across.

    Parameters
    ----------
    p : (H, W, C) array
        The picture.

    Returns
    -------
    down : (H-1, W, C) array
        Each pixel's lower neighbor minus the pixel.
    across : (H, W-1, C) array
        Each pixel's right neighbor minus the pixel.

    See Also
    --------
    differences_backward : Its adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> down, across = differences_forward(np.array([[[1.0], [4.0], [6.0]]]))
    >>> across.ravel()
    array([3., 2.])
    """
    return p[1:] - p[:-1], p[:, 1:] - p[:, :-1]  # book: tv-differences


def differences_backward(ddown: Array, dacross: Array) -> Array:  # (H-1, W, C), (H, W-1, C) -> (H, W, C)
    """Return the gradient at the picture: the adjoint of `differences_forward`.

    A difference adds its gradient to one neighbor and takes it from the other.

    Parameters
    ----------
    ddown, dacross : (H-1, W, C) and (H, W-1, C) array
        The gradients at the differences.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    differences_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> differences_backward(np.zeros((0, 3, 1)), np.array([[[3.0], [2.0]]])).ravel()
    array([-3.,  1.,  2.])
    """
    dp: Array = namespace(ddown, dacross).zeros((dacross.shape[0], *ddown.shape[1:]), ddown.dtype)  # (H, W, C)
    dp[1:] += ddown  # book: tv-adjoint
    dp[:-1] -= ddown
    dp[:, 1:] += dacross
    dp[:, :-1] -= dacross
    return dp


def total_variation(p: Array) -> tuple[Array, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return the mean squared difference of neighboring pixels, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.

    Returns
    -------
    value : () array of float64
        ``Σ (dy² + dx²)`` over all pairs of neighbors, down and across, divided by the number of pairs; 0 for a
        single pixel. Accumulated in float64.
    dp : (H, W, C) array
        Of `p`'s dtype: ``2/n (Dᵀ D) p``, minus twice the discrete Laplacian with reflecting edges over ``n``.

    Notes
    -----
    Rudin, Osher and Fatemi (1992, eq. 2.1) penalize the length of the gradient, not its square; the classic Keras
    script has the length to the power 2.5, without the last row and column. The square is the smooth member of the
    family, and the value and the gradient here are a matching pair at the edges too. Mahendran and Vedaldi (2015,
    arXiv 1412.0035, eq. 5) discuss the exponent.

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = total_variation(np.array([[[1.0], [4.0], [6.0]]]))
    >>> float(value), dp.ravel()  # (3² + 2²) / 2
    (6.5, array([-3.,  1.,  2.]))
    """
    down, across = differences_forward(p)
    n = neighbor_pairs(p.shape)
    value = ((down * down).sum(dtype="float64") + (across * across).sum(dtype="float64")) / n  # book: tv-loss
    return value, differences_backward(2 / n * down, 2 / n * across)  # book: tv-gradient


def absolute_variation(p: Array) -> tuple[Array, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``Σ |down| + Σ |across|`` over all pairs of neighbors, and a subgradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.

    Returns
    -------
    value : () array of float64
    dp : (H, W, C) array
        The adjoint of the differences, applied to their signs. The sign of 0 is 0, one of the subgradients, as in every
        framework.

    Notes
    -----
    The anisotropic form of Rudin, Osher and Fatemi (1992), as in TensorFlow's ``tf.image.total_variation`` and
    neural-style-pt.

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = absolute_variation(np.array([[[1.0], [4.0], [6.0]]]))
    >>> float(value), dp.ravel()
    (5.0, array([-1.,  0.,  1.]))
    """
    xp = namespace(p)
    down, across = differences_forward(p)
    value = abs(down).sum(dtype="float64") + abs(across).sum(dtype="float64")
    return value, differences_backward(xp.sign(down), xp.sign(across))


def separate_variation(p: Array) -> tuple[Array, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``mean down² + mean across²``, each over its own pairs (anishathalye/neural-style), and the gradient.

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = separate_variation(np.array([[[1.0], [4.0], [6.0]]]))
    >>> float(value), dp.ravel()  # (3² + 2²) / 2, there are no pairs down
    (6.5, array([-3.,  1.,  2.]))
    """
    down, across = differences_forward(p)
    n, m = max(down.size, 1), max(across.size, 1)
    value = (down * down).sum(dtype="float64") / n + (across * across).sum(dtype="float64") / m
    return value, differences_backward(2 / n * down, 2 / m * across)


def power_variation(  # (H, W, C) -> value, (H, W, C)
    p: Array, exponent: float = 1.25, epsilon: float = 0.0, edges: str = "inside"
) -> tuple[Array, Array]:
    """Return ``Σ (down² + across² + ε)^exponent`` and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.
    exponent : float
        1.25 is the Keras script's, 1 the square, 0.5 the length of the gradient (Rudin, Osher and Fatemi 1992,
        eq. 2.1), which needs `epsilon`; Mahendran and Vedaldi (2015, arXiv 1412.0035, eq. 5) compare them.
    epsilon : float
        In squared gray levels; rounds the kink off where there is one.
    edges : {"inside", "wrap"}
        ``inside`` sums over the (H−1) × (W−1) pixels that have both neighbors, as the Keras script does; ``wrap``
        over all, the last row being the first one's neighbor.

    Returns
    -------
    value : () array of float64
    dp : (H, W, C) array

    Raises
    ------
    HandstyleError
        If the exponent is below 1 without an epsilon (the derivative is infinite where two pixels are equal),
        or `edges` is unknown.

    Notes
    -----
    With ``q = down² + across² + ε`` the derivative at a difference is ``2 exponent q^(exponent − 1)`` times it. Each
    difference is then added to the neighbor and subtracted from the pixel itself.

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = power_variation(np.array([[[1.0], [4.0]], [[1.0], [0.0]]]), exponent=1.0)
    >>> float(value), dp[0, :, 0]  # one pixel has both neighbors: 3² + 0²
    (9.0, array([-6.,  6.]))
    """
    if exponent < 1 and not epsilon > 0:
        raise HandstyleError(f"total variation with exponent {exponent:g} needs an epsilon above 0")
    check_name("edges of total variation", edges, ("inside", "wrap"))
    xp, counted = namespace(p), slice(None if edges == "wrap" else -1)
    down, across = xp.roll(p, -1, axis=0) - p, xp.roll(p, -1, axis=1) - p
    q = down * down + across * across + p.dtype.type(epsilon)
    slope = xp.zeros_like(q)
    slope[counted, counted] = 2 * exponent * q[counted, counted] ** (exponent - 1)
    ddown, dacross = slope * down, slope * across
    value = (q[counted, counted] ** exponent).sum(dtype="float64")
    return value, xp.roll(ddown, 1, axis=0) + xp.roll(dacross, 1, axis=1) - ddown - dacross


def diagonal_variation(p: Array) -> tuple[Array, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return the nine-point squared variation: neighbors across, down and on both diagonals, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture.

    Returns
    -------
    value : () array of float64
        ``2 (A/3 + D/3 + (E + F)/12)``: ``A``, ``D`` means over H·W·C of the squared differences to the right and down,
        ``E``, ``F`` over (H+1)(W+1)C along the diagonals of the picture with its border repeated once.
    dp : (H, W, C) array

    Notes
    -----
    As in crowsonkb/style-transfer-pytorch (``TVLoss``), on our scale of 0 to 255 instead of 0 to 1. The border is
    folded back by the adjoint of the repetition, `pad_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = diagonal_variation(np.full((4, 4, 3), 7.0))
    >>> float(value), bool(dp.any())
    (0.0, False)
    """
    xp, (H, W, C) = namespace(p), p.shape
    padded, border = pad_forward(p, "replicate")
    straight, oblique = 2 / (3 * H * W * C), 2 / (12 * (H + 1) * (W + 1) * C)
    neighbors = (
        (np.s_[1:-1, 1:-1], np.s_[1:-1, 2:], straight),  # across
        (np.s_[1:-1, 1:-1], np.s_[2:, 1:-1], straight),  # down
        (np.s_[:-1, :-1], np.s_[1:, 1:], oblique),  # falling
        (np.s_[:-1, 1:], np.s_[1:, :-1], oblique),  # rising
    )
    value, d = xp.zeros(()), xp.zeros_like(padded)
    for here, there, share in neighbors:
        difference = padded[there] - padded[here]
        value = value + share * (difference * difference).sum(dtype="float64")
        d[there] += 2 * share * difference
        d[here] -= 2 * share * difference
    return value, pad_backward(d, border)


def range_penalty(p: Array, power: int = 6) -> tuple[Array, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``Σ |(p − 127.5) / 127.5|^power``, a wall at black and white, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.
    power : int
        An even number of 2 or more; crowsonkb/style_transfer has 6, after Mahendran and Vedaldi (2015, eq. 4).

    Returns
    -------
    value : () array of float64
    dp : (H, W, C) array

    Examples
    --------
    >>> import numpy as np
    >>> value, dp = range_penalty(np.array([[[127.5, 255.0, 0.0]]]))
    >>> float(value), dp.ravel().round(4)
    (2.0, array([ 0.    ,  0.0471, -0.0471]))
    """
    if power < 2 or power % 2:
        raise HandstyleError(f"range penalty: the power is {power}, not an even number of 2 or more")
    u = (p - 127.5) / 127.5
    slope = u ** (power - 1)
    return (slope * u).sum(dtype="float64"), slope * (power / 127.5)


Variation = Callable[[Array], tuple[Array, Array]]


def neighbor_pairs(shape: tuple[int, ...]) -> int:
    """Return the number by which `total_variation` divides its sum, for a picture of shape (H, W, C).

    Examples
    --------
    >>> neighbor_pairs((2, 3, 1))  # 3 pairs down, 4 across
    7
    """
    H, W, C = shape
    return max((H - 1) * W * C + H * (W - 1) * C, 1)


@dataclass(frozen=True)
class VariationTerm:
    """A function of the picture itself, such as `total_variation` or `range_penalty`.

    Its statistic is its value, measured on the whole picture; the loss of it is the identity.

    Parameters
    ----------
    weight : float
        Of the term in the objective.
    name : str
        What reports call the term.
    function : callable
        ``function(p) -> value, gradient`` of an (H, W, 3) picture.
    in_value : bool
        Whether the value of the objective contains it: False for systems that add its gradient alone.
    stretch : float
        The factor by which its gradient is longer than that of its value, for systems whose gradient does not match
        their loss.
    tap : str
        `PICTURE`.

    Examples
    --------
    >>> import numpy as np
    >>> term = VariationTerm(weight=10.0)
    >>> value, ds = term.loss(term.measure(np.array([[[1.0], [4.0], [6.0]]])))
    >>> float(value)  # the weight is not in it
    6.5
    """

    weight: float = 1.0
    name: str = "total variation"
    function: Variation = total_variation
    in_value: bool = True
    stretch: float = 1.0
    tap: str = PICTURE

    def measure(self, f: Array, where: Window = WHOLE) -> Array:  # (H, W, 3) -> ()
        """Return the value of the function, for the whole picture.

        Examples
        --------
        >>> import numpy as np
        >>> float(VariationTerm(function=absolute_variation).measure(np.array([[[1.0], [4.0], [6.0]]])))  # 3 + 2
        5.0
        """
        return self.function(f)[0]

    def loss(self, s: Array) -> tuple[Array, Array]:  # () -> (), ()
        """Return the value that counts, and the factor of the gradient.

        Examples
        --------
        >>> import numpy as np
        >>> [float(one) for one in VariationTerm(in_value=False, stretch=2.0).loss(np.float64(6.5))]
        [0.0, 2.0]
        """
        return s * float(self.in_value), namespace(s).full_like(s, self.stretch)

    def spread(self, ds: Array, f: Array, where: Window = WHOLE) -> Array:  # (), (H, W, 3) -> (H, W, 3)
        """Return the gradient at the picture, times the factor `ds` from `loss`.

        Examples
        --------
        >>> import numpy as np
        >>> term = VariationTerm(function=absolute_variation)
        >>> term.spread(np.float64(2.0), np.array([[[1.0], [4.0], [6.0]]])).ravel()
        array([-2.,  0.,  2.])
        """
        return ds.astype(f.dtype) * self.function(f)[1]
