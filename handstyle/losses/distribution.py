"""Style as a distribution: means, standard deviations, covariances, and the Wasserstein distance between Gaussians.

The Gram matrix mixes where a layer's features lie with how they vary. The same sums over pixels, `Moments`, hold
both apart: ``m = s / n``, ``E = O / n``, ``Σ = E − m mᵀ`` for the sums ``s``, the products ``O`` and the count ``n``.
Every loss here is a function ``L(m, Σ)``, so its gradient at the moments is one chain rule, written once in
`_at_moments`:

    dL = <L_m, dm> + <L_Σ, dE − dm mᵀ − m dmᵀ>   gives   dO = L_Σ / n,   ds = (L_m − (L_Σ + L_Σᵀ) m) / n.
"""

from collections.abc import Callable
from dataclasses import dataclass

from handstyle.foundations.backend import Array, namespace
from handstyle.losses.gram import Moments, MomentsTerm, check_channels

# Eigenvalues of a product of two covariances below this fraction of the largest are rounding, and are held there.
FLOOR = 1e-15


def mean_and_covariance(moments: Moments) -> tuple[Array, Array]:  # Moments -> (C,), (C, C)
    """Return the mean of the features and their covariance, both over pixels.

    Parameters
    ----------
    moments : Moments
        With a positive count.

    Returns
    -------
    mean : (C,) array
    covariance : (C, C) array
        ``E − m mᵀ``, divided by the count, not by one less.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.gram import moments_forward
    >>> mean, covariance = mean_and_covariance(moments_forward(np.array([[[1.0, 0.0], [3.0, 4.0]]])))
    >>> mean, covariance
    (array([2., 2.]), array([[1., 2.],
           [2., 4.]]))
    """
    mean = moments.sums / moments.count
    return mean, moments.outer / moments.count - mean[:, None] * mean[None, :]  # book: distribution-gaussian


def _at_moments(dmean: Array, dcovariance: Array, moments: Moments) -> Moments:  # (C,), (C, C) -> gradients at the sums
    mean, n = moments.sums / moments.count, moments.count
    return Moments(0.0, (dmean - (dcovariance + dcovariance.T) @ mean) / n, dcovariance / n)  # book: distribution-chain


def mean_loss(moments: Moments, target: Moments, scale: float = 1.0) -> tuple[Array, Moments]:
    """Return ``scale ‖m − m*‖²`` and its gradient at the moments.

    Parameters
    ----------
    moments, target : Moments
        Of the picture and of the painting.
    scale : float
        ``1 / C`` gives the mean squared error of Galerne et al. (2024, arXiv 2212.13459, §3.3).

    Returns
    -------
    value : () array of float64
    dmoments : Moments
        The gradient at ``sums`` and ``outer`` (zero).

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.gram import moments_forward
    >>> painting, picture = moments_forward(np.zeros((1, 2, 1))), moments_forward(np.array([[[1.0], [3.0]]]))
    >>> value, dmoments = mean_loss(picture, painting)
    >>> float(value), dmoments.sums, dmoments.outer
    (4.0, array([2.]), array([[0.]]))
    """
    mean, covariance = mean_and_covariance(moments)
    difference = mean - mean_and_covariance(target)[0]
    value = scale * (difference @ difference)
    return value, _at_moments(2 * scale * difference, namespace(mean).zeros_like(covariance), moments)


def std_loss(moments: Moments, target: Moments, scale: float = 1.0) -> tuple[Array, Moments]:
    """Return ``scale Σ_c (s_c − s*_c)²`` for the channels' standard deviations, and its gradient at the moments.

    Parameters
    ----------
    moments, target : Moments
        Of the picture and of the painting.
    scale : float
        ``1 / C`` gives the mean squared error of Galerne et al. (2024, §3.3).

    Returns
    -------
    value : () array of float64
    dmoments : Moments

    Notes
    -----
    ``s = √Σ_cc`` has derivative ``1 / 2s``, so ``L_Σ`` is diagonal with ``scale (s − s*) / s``. At ``s = 0``, a channel
    that is constant, the root has a kink; no pixel can raise ``s`` to first order, and the gradient there is 0 (the
    published code divides by zero).

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.gram import moments_forward
    >>> painting, picture = moments_forward(np.zeros((1, 2, 1))), moments_forward(np.array([[[1.0], [5.0]]]))
    >>> value, dmoments = std_loss(picture, painting)
    >>> float(value)  # the standard deviations are 2 and 0
    4.0
    """
    mean, covariance = mean_and_covariance(moments)
    xp = namespace(mean)
    std, wanted = (xp.sqrt(xp.maximum(xp.diag(c), 0)) for c in (covariance, mean_and_covariance(target)[1]))
    difference = std - wanted
    slope = xp.where(std > 0, scale * difference / xp.where(std > 0, std, 1), 0)  # book: distribution-squares
    value = scale * (difference @ difference)
    return value, _at_moments(xp.zeros_like(mean), xp.diag(slope), moments)


def covariance_loss(moments: Moments, target: Moments, scale: float = 1.0) -> tuple[Array, Moments]:
    """Return ``scale ‖Σ − Σ*‖²``: the Gram loss of features with their mean removed.

    Parameters
    ----------
    moments, target : Moments
        Of the picture and of the painting.
    scale : float
        Before the sum over the C × C entries.

    Returns
    -------
    value : () array of float64
    dmoments : Moments
        ``L_Σ = 2 scale (Σ − Σ*)`` carried to the sums.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.gram import moments_forward
    >>> painting, picture = moments_forward(np.zeros((1, 2, 1))), moments_forward(np.array([[[1.0], [5.0]]]))
    >>> value, dmoments = covariance_loss(picture, painting)
    >>> float(value)  # the variances are 4 and 0
    16.0
    """
    mean, covariance = mean_and_covariance(moments)
    difference = covariance - mean_and_covariance(target)[1]
    value = scale * (difference * difference).sum()  # book: distribution-squares
    return value, _at_moments(namespace(mean).zeros_like(mean), 2 * scale * difference, moments)


@dataclass(frozen=True)
class Gaussian:
    """A painting's features at a layer as a Gaussian: the target of `wasserstein_loss`.

    Parameters
    ----------
    mean : (C,) array
        Of the features, over pixels.
    covariance : (C, C) array
        Of the features, with `epsilon` added on the diagonal.
    root : (C, C) array
        The symmetric square root of `covariance`.
    epsilon : float
        Added to both covariances, in squared units of the features: a layer has channels that are zero nearly
        everywhere, and the root of a singular matrix has no derivative.

    Examples
    --------
    >>> import numpy as np
    >>> target = Gaussian(np.zeros(1), np.array([[4.0]]), np.array([[2.0]]), epsilon=0.0)
    >>> target.root @ target.root == target.covariance
    array([[ True]])
    """

    mean: Array
    covariance: Array
    root: Array
    epsilon: float


def gaussian(moments: Moments, epsilon: float = 1e-4) -> Gaussian:
    """Return the Gaussian with given moments, its root taken once; see `Gaussian`.

    Examples
    --------
    >>> import numpy as np
    >>> gaussian(Moments(2.0, np.array([6.0]), np.array([[26.0]])), epsilon=0.0)
    Gaussian(mean=array([3.]), covariance=array([[4.]]), root=array([[2.]]), epsilon=0.0)
    """
    mean, covariance = mean_and_covariance(moments)
    xp = namespace(mean)
    covariance = covariance + epsilon * xp.eye(len(mean))
    values, vectors = xp.linalg.eigh(covariance)
    root = (vectors * xp.sqrt(xp.maximum(values, 0))) @ vectors.T
    return Gaussian(mean, covariance, root, epsilon)


def wasserstein_loss(moments: Moments, target: Gaussian, scale: float | None = None) -> tuple[Array, Moments]:
    """Return ``scale W₂²`` between the Gaussians with the moments of the picture and of the painting.

    Parameters
    ----------
    moments : Moments
        Of the picture.
    target : Gaussian
        Of the painting.
    scale : float, optional
        By default ``1 / C``.

    Returns
    -------
    value : () array of float64
        ``scale (‖m − m*‖² + tr(Σ + Σ* − 2 (Σ*^½ Σ Σ*^½)^½))``, both covariances with `target.epsilon` on the diagonal.
    dmoments : Moments

    See Also
    --------
    mean_loss, std_loss, covariance_loss : Squared differences of one of them.
    handstyle.losses.gram.gram_loss : Mean and covariance in one matrix.

    Notes
    -----
    The distance is that of Dowson and Landau (1982, J. Multivariate Anal. 12, eq. 1) and Olkin and Pukelsheim (1982).
    With ``R = Σ*^½`` and ``M = R Σ R`` symmetric, ``d tr M^½ = ½ tr(M^-½ dM)``: differentiate ``M^½ M^½ = M``,
    multiply by ``M^-½`` and take the trace. With ``dM = R dΣ R`` it follows that

        L_m = 2 scale (m − m*),    L_Σ = scale (I − R M^-½ R),

    where ``R M^-½ R`` is the map that carries one Gaussian optimally to the other. One symmetric eigendecomposition
    gives both roots. crowsonkb/style-transfer-pytorch, whose style loss this is, takes 12 Newton-Schulz steps and
    differentiates them through a Lyapunov equation; ours is the limit of that iteration.

    Examples
    --------
    >>> import numpy as np
    >>> painting = Moments(2.0, np.array([0.0]), np.array([[2.0]]))  # mean 0, variance 1
    >>> picture = Moments(2.0, np.array([6.0]), np.array([[26.0]]))  # mean 3, variance 4
    >>> value, dmoments = wasserstein_loss(picture, gaussian(painting, epsilon=0.0))
    >>> float(value)  # (3 − 0)² + (2 − 1)²
    10.0
    """
    mean, covariance = mean_and_covariance(moments)
    xp, C = namespace(mean, target.mean), len(mean)
    check_channels(C, len(target.mean))
    scale = 1 / C if scale is None else scale
    covariance = covariance + target.epsilon * xp.eye(C)
    product = target.root @ covariance @ target.root
    values, vectors = xp.linalg.eigh((product + product.T) / 2)
    roots = xp.sqrt(xp.maximum(values, FLOOR * values[-1]))
    difference = mean - target.mean
    spread = xp.trace(covariance) + xp.trace(target.covariance) - 2 * roots.sum()
    value = scale * (difference @ difference + spread)  # book: distribution-distance
    half = target.root @ vectors
    transport = (half / roots) @ half.T  # book: distribution-map
    return value, _at_moments(2 * scale * difference, scale * (xp.eye(C) - transport), moments)


@dataclass(frozen=True)
class DistributionTerm(MomentsTerm):
    """A weighted sum of functions of the moments at a tap, which are measured once.

    Parameters
    ----------
    tap : str
        The name of a layer.
    losses : tuple of (float, callable)
        Each a factor and a function ``loss(moments) -> value, dmoments``, such as ``partial(mean_loss, target=...)``.
    weight : float
        Of the term in the objective.
    mask : (h, w, 1) array, optional
        How much each pixel counts.
    name : str
        By default ``style`` and the tap.
    counts_all : bool
        As of `StyleTerm`.

    Examples
    --------
    >>> import numpy as np
    >>> from functools import partial
    >>> from handstyle.losses.gram import moments_forward
    >>> painting, picture = moments_forward(np.zeros((2, 2, 1))), np.full((2, 2, 1), 3.0)
    >>> term = DistributionTerm("relu1_1", ((0.5, partial(mean_loss, target=painting)),))
    >>> value, ds = term.loss(term.measure(picture))
    >>> float(value)  # 0.5 · (3 − 0)²
    4.5
    """

    tap: str
    losses: tuple[tuple[float, Callable[[Moments], tuple[Array, Moments]]], ...]
    weight: float = 1.0
    mask: Array | None = None
    name: str = ""
    counts_all: bool = False

    def loss(self, s: Moments) -> tuple[Array, Moments]:  # Moments -> (), Moments (gradients)
        """Return the weighted sum of the functions and its gradient at the moments.

        Examples
        --------
        >>> import numpy as np
        >>> from functools import partial
        >>> painting = Moments(1.0, np.zeros(1), np.zeros((1, 1)))
        >>> term = DistributionTerm("relu1_1", tuple((share, partial(mean_loss, target=painting)) for share in (1, 2)))
        >>> value, ds = term.loss(Moments(1.0, np.array([3.0]), np.array([[9.0]])))  # one pixel, mean 3
        >>> float(value), ds.sums  # (1 + 2) · 3², (1 + 2) · 2 · 3
        (27.0, array([18.]))
        """
        parts = [(share, *loss(s)) for share, loss in self.losses]
        value = sum(share * value for share, value, _ in parts)
        gradients = [dmoments.scaled(share) for share, _, dmoments in parts]
        return value, sum(gradients[1:], gradients[0])  # type: ignore[return-value]
