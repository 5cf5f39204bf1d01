"""Style: moments of the features, which add up over pixels, and a loss, a function of the moments.

Gatys, Ecker and Bethge (2016) describe a style by the Gram matrix of a layer's features, the sum over pixels of
``f fᵀ``. A sum adds up over pixels, over tiles and over machines, and it can be weighted by a mask. So the loss is cut
in two: a statistic (`moments_forward`, with its adjoint `moments_backward`) and a function of it (`gram_loss`).
"""

from dataclasses import dataclass
from functools import cached_property

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.content import part_of, scale_of
from handstyle.losses.terms import WHOLE, Window


@dataclass(frozen=True)
class Moments:
    """Sums over pixels, in float64, and, under the same names, gradients at them.

    Parameters
    ----------
    count : float or () array
        ``Σ mask``, the number of pixels that count.
    sums : (C,) array
        ``Σ mask f``.
    outer : (C, C) array
        ``Σ mask f fᵀ``: the Gram matrix, not normalized.

    Examples
    --------
    >>> import numpy as np
    >>> a = Moments(1.0, np.array([2.0]), np.array([[4.0]]))  # one pixel, one channel
    >>> (a + a).count, (a + a).sums
    (2.0, array([4.]))
    """

    count: Array | float
    sums: Array
    outer: Array

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of pixels together."""
        return Moments(self.count + other.count, self.sums + other.sums, self.outer + other.outer)

    def scaled(self, factor: Array | float) -> "Moments":
        """Return the moments of as many pixels, each `factor` times as heavy: for blending targets.

        Examples
        --------
        >>> import numpy as np
        >>> black, white = (Moments(1.0, np.array([f]), np.array([[f * f]])) for f in (0.0, 2.0))
        >>> mixed = black.scaled(0.25) + white.scaled(0.75)
        >>> mixed.count, mixed.sums
        (1.0, array([1.5]))
        """
        return Moments(factor * self.count, factor * self.sums, factor * self.outer)


def moments_forward(f: Array, mask: Array | None = None) -> Moments:  # (h, w, C), (h, w, 1) -> Moments
    """Sum the features and their products over pixels.

    Parameters
    ----------
    f : (h, w, C) array
        A feature map.
    mask : (h, w, 1) array, optional
        How much each pixel counts, 0 or more; 1 by default.

    Returns
    -------
    Moments
        In float64, on the device of `f`.

    See Also
    --------
    moments_backward : The gradient at the features.

    Examples
    --------
    >>> import numpy as np
    >>> moments = moments_forward(np.array([[[1.0, 2.0], [3.0, 4.0]]]))
    >>> moments.sums, moments.outer
    (array([4., 6.]), array([[10., 14.],
           [14., 20.]]))
    """
    xp = namespace(f)
    F = f.reshape(-1, f.shape[2]).astype(xp.float64)  # (M, C)
    q = xp.ones((len(F), 1)) if mask is None else mask.reshape(-1, 1).astype(xp.float64)  # (M, 1)
    return Moments(q.sum(), (q * F).sum(axis=0), (q * F).T @ F)  # book: style-moments


def moments_backward(dmoments: Moments, f: Array, mask: Array | None = None) -> Array:
    # Moments (gradients), (h, w, C), (h, w, 1) -> (h, w, C)
    """Return the gradient at the features, given the gradient at their moments.

    The sum hands every pixel the same gradient. The product ``f fᵀ`` depends on ``f`` twice, which gives
    ``(dG + dGᵀ) f`` at each pixel.

    Parameters
    ----------
    dmoments : Moments
        The gradient at ``sums`` and ``outer``; ``count`` does not depend on `f` and is ignored.
    f : (h, w, C) array
        The features of the forward call.
    mask : (h, w, 1) array, optional
        Of the forward call.

    Returns
    -------
    (h, w, C) array
        The dtype of `f`.

    See Also
    --------
    moments_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> f = np.array([[[1.0, 2.0]]])
    >>> moments_backward(Moments(0.0, np.zeros(2), np.eye(2)), f)
    array([[[2., 4.]]])
    """
    outer, sums = dmoments.outer.astype(f.dtype), dmoments.sums.astype(f.dtype)
    df: Array = f @ (outer + outer.T) + sums  # book: style-moments-gradient
    return df if mask is None else mask.astype(f.dtype) * df


def gram_loss(moments: Moments, target: Moments, scale: Array | float | None = None) -> tuple[Array, Moments]:
    # Moments, Moments -> (), Moments (gradients)
    """Return ``scale ‖G − A‖²`` for the mean Gram matrices ``G`` and ``A``, and its gradient at the moments.

    Parameters
    ----------
    moments, target : Moments
        Of the picture and of the painting, with positive counts.
    scale : float, optional
        By default ``1 / ‖A‖²``: the squared relative error of the Gram matrix.

    Returns
    -------
    value : () array of float64
    dmoments : Moments
        The gradient at ``sums`` (zero) and ``outer``.

    Raises
    ------
    HandstyleError
        If the numbers of channels differ, or no scale is given and the target is zero.

    See Also
    --------
    handstyle.losses.distribution.wasserstein_loss : Means and covariances apart.

    Notes
    -----
    Gatys et al. (2016, eq. 3 to 5) use the sum ``G = F Fᵀ`` and ``1 / (4 C² M²)``. The mean over pixels,
    ``G = F Fᵀ / M``, lets pictures of different sizes be compared; with equal sizes their loss is
    ``scale = 1 / (4 C²)``. The derivative of ``scale ‖S/M − A‖²`` at ``S`` is ``2 scale (S/M − A) / M``.

    Examples
    --------
    >>> import numpy as np
    >>> value, dmoments = gram_loss(Moments(1.0, np.zeros(1), np.array([[3.0]])), Moments(1.0, np.zeros(1), np.eye(1)))
    >>> float(value), dmoments.outer
    (4.0, array([[4.]]))
    """
    check_channels(len(moments.outer), len(target.outer))
    scale = gram_scale(target) if scale is None else scale
    difference = moments.outer / moments.count - target.outer / target.count
    value = scale * (difference * difference).sum()  # book: style-loss
    douter = (2 * scale / moments.count) * difference  # book: style-loss-gradient
    return value, Moments(0.0, namespace(douter).zeros_like(moments.sums), douter)


def gram_scale(target: Moments) -> float:  # Moments -> 1 / ‖A‖²
    """Return the scale that turns a squared error of a mean Gram matrix into a relative one.

    Raises
    ------
    HandstyleError
        If the target is zero everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> f = np.array([[[1.0, 2.0]]])  # one pixel, whose mean Gram matrix is [[1, 2], [2, 4]]
    >>> gram_scale(moments_forward(f))  # 1 / (1 + 4 + 4 + 16)
    0.04
    """
    A = target.outer / target.count
    return scale_of((A * A).sum(), "style")


def check_channels(channels: int, expected: int) -> None:
    """Raise `HandstyleError` unless features have as many channels as their target.

    Examples
    --------
    >>> check_channels(64, 128)
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: style: 64 channels against a target of 128
    """
    if channels != expected:
        raise HandstyleError(f"style: {channels} channels against a target of {expected}")


class MomentsTerm:
    """Base class of the terms whose loss is a function of the moments at a tap: `measure` and `spread`.

    A subclass is a dataclass with the fields `tap`, `weight`, `mask`, `name` and, where it has a mask whose loss is not
    normalized by area, `counts_all`. It adds `loss`, the step between the two.

    Raises
    ------
    HandstyleError
        If the mask is zero everywhere: nothing can be measured then.

    Examples
    --------
    >>> import numpy as np
    >>> f = np.ones((2, 3, 1))
    >>> term = StyleTerm("relu1_1", target=moments_forward(f), mask=np.array([[[1.0], [1.0], [0.0]]] * 2))
    >>> isinstance(term, MomentsTerm), float(term.measure(f).count)
    (True, 4.0)
    """

    tap: str
    weight: float
    mask: Array | None
    name: str
    counts_all: bool = False  # every pixel counts 1 in ``count``, whatever the mask

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"style {self.tap}")
        if self.mask is not None and not self.mask_sum > 0:
            raise HandstyleError(f"{self.name}: no pixel counts at this layer: the mask is empty, or too small for it")

    @cached_property
    def mask_sum(self) -> float:
        """The ``count`` under the mask, computed once: on a device it is a wait.

        Examples
        --------
        >>> import numpy as np
        >>> f, half = np.ones((1, 2, 1)), np.full((1, 2, 1), 0.5)
        >>> StyleTerm("relu1_1", moments_forward(f), mask=half).mask_sum
        1.0
        """
        assert self.mask is not None
        return float(self.mask.size if self.counts_all else self.mask.sum(dtype="float64"))

    def measure(self, f: Array, where: Window = WHOLE) -> Moments:  # (h, w, C) -> Moments
        """Return the moments of the features under the mask; `f` may be the part `where` of the map.

        Examples
        --------
        >>> import numpy as np
        >>> f, mask = np.array([[[1.0], [2.0]]]), np.array([[[0.0], [1.0]]])
        >>> term = StyleTerm("relu1_1", moments_forward(f), mask=mask)
        >>> whole, right = term.measure(f), term.measure(f[:, 1:], np.s_[:, 1:])
        >>> whole.sums, right.sums  # the left pixel does not count
        (array([2.]), array([2.]))
        """
        moments = moments_forward(f, part_of(self.mask, where))
        return Moments(f.shape[0] * f.shape[1], moments.sums, moments.outer) if self.counts_all else moments

    def spread(self, ds: Moments, f: Array, where: Window = WHOLE) -> Array:  # Moments, (h, w, C) -> (h, w, C)
        """Return the gradient at the features, given that at their moments; see `moments_backward`.

        Examples
        --------
        >>> import numpy as np
        >>> f, mask = np.array([[[1.0], [2.0]]]), np.array([[[0.0], [1.0]]])
        >>> term = StyleTerm("relu1_1", moments_forward(f), mask=mask)
        >>> term.spread(Moments(0.0, np.array([10.0]), np.array([[1.0]])), f).ravel()  # 10 + 2 f where the mask is 1
        array([ 0., 14.])
        """
        return moments_backward(ds, f, part_of(self.mask, where))


@dataclass(frozen=True)
class StyleTerm(MomentsTerm):
    """`gram_loss` of the moments at a tap.

    Parameters
    ----------
    tap : str
        The name of a layer.
    target : Moments
        Of the painting.
    weight : float
        Of the term in the objective.
    scale : float, optional
        By default the squared relative error; see `gram_loss`.
    mask : (h, w, 1) array, optional
        How much each pixel counts, at the size of the tap's map.
    name : str
        By default ``style`` and the tap.
    counts_all : bool
        Whether the Gram matrix is a mean over all pixels, those outside the mask included (cysmith/neural-style-tf).

    Raises
    ------
    HandstyleError
        If the mask is zero everywhere.

    Examples
    --------
    >>> import numpy as np
    >>> painting, picture = np.full((2, 2, 1), 2.0), np.full((3, 3, 1), 4.0)
    >>> term = StyleTerm("relu1_1", target=moments_forward(painting))
    >>> value, ds = term.loss(term.measure(picture))
    >>> float(value)  # the mean Gram matrices are 16 and 4, and ((16 − 4) / 4)² = 9
    9.0
    >>> term.spread(ds, picture).shape
    (3, 3, 1)
    """

    tap: str
    target: Moments
    weight: float = 1.0
    scale: float | None = None
    mask: Array | None = None
    name: str = ""
    counts_all: bool = False

    @cached_property
    def factor(self) -> float:
        """The scale, computed once where none was given.

        Examples
        --------
        >>> import numpy as np
        >>> target = moments_forward(np.full((2, 2, 1), 2.0))  # its mean Gram matrix is 4
        >>> StyleTerm("relu1_1", target).factor, StyleTerm("relu1_1", target, scale=0.25).factor  # 1 / 4²
        (0.0625, 0.25)
        """
        return gram_scale(self.target) if self.scale is None else float(self.scale)

    def loss(self, s: Moments) -> tuple[Array, Moments]:  # Moments -> (), Moments (gradients)
        """Return the value and its gradient at the moments; see `gram_loss`.

        Examples
        --------
        >>> import numpy as np
        >>> term = StyleTerm("relu1_1", moments_forward(np.ones((2, 2, 1))))
        >>> value, ds = term.loss(moments_forward(np.full((1, 2, 1), 2.0)))
        >>> float(value), ds.outer  # (4 − 1)², 2 (4 − 1) / 2 pixels
        (9.0, array([[3.]]))
        """
        return gram_loss(s, self.target, self.factor)
