"""Total variation: how much neighbouring pixels differ, and a gradient that smooths them."""

from handstyle.foundations.backend import Array, namespace, scalar


def total_variation(p: Array) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return the mean squared difference of neighbouring pixels, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.

    Returns
    -------
    value : float
        ``Σ (dy² + dx²)`` over all pairs of neighbours, down and across, divided by the number of pairs; 0 for a
        single pixel. Accumulated in float64.
    dp : (H, W, C) array
        Of `p`'s dtype: ``2/n (Dᵀ D) p``, minus twice the discrete Laplacian with reflecting edges over ``n``.

    Notes
    -----
    Rudin, Osher and Fatemi (1992, eq. 2.1) penalise the length of the gradient, not its square; the classic Keras
    script has the length to the power 2.5, without the last row and column. The square is the smooth member of the
    family, and the value and the gradient here are a matching pair at the edges too. Mahendran and Vedaldi (2015,
    arXiv 1412.0035, eq. 5) discuss the exponent.
    """
    xp = namespace(p)
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    n = max(down.size + across.size, 1)
    value = scalar((down * down).sum(dtype=xp.float64) + (across * across).sum(dtype=xp.float64)) / n
    # The adjoint of a difference: what was added to one neighbour's account was taken from the other's.
    dp = xp.zeros_like(p)
    dp[1:] += down
    dp[:-1] -= down
    dp[:, 1:] += across
    dp[:, :-1] -= across
    return value, dp * (2 / n)
