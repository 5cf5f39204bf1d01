"""The family of total variation: what other systems ask of neighbouring pixels, each as value and gradient.

All have one shape. Differences of neighbours are a linear map, a function of them is summed, and the gradient goes home
through the adjoint of the map: what was added to one pixel's account is taken from its neighbour's. `total_variation`,
the mean square that this package uses by default, has its own file; a weight is carried from one form to another in
``painting/normalisations.py``.
"""

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError


def absolute_variation(p: Array) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``Σ |down| + Σ |across|`` over all pairs of neighbours, and a subgradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.

    Returns
    -------
    value : float
    dp : (H, W, C) array
        Signs, sent home; the sign of 0 is 0, one of the subgradients, as every framework chooses.

    Notes
    -----
    The anisotropic form of Rudin, Osher and Fatemi (1992), as in TensorFlow's ``tf.image.total_variation`` and
    neural-style-pt.
    """
    xp = namespace(p)
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    value = float(abs(down).sum(dtype=xp.float64)) + float(abs(across).sum(dtype=xp.float64))
    return value, _home(xp.sign(down), xp.sign(across), p)


def separate_variation(p: Array) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``mean down² + mean across²``, each over its own pairs (anishathalye/neural-style), and the gradient."""
    xp = namespace(p)
    down, across = p[1:] - p[:-1], p[:, 1:] - p[:, :-1]
    n_down, n_across = max(down.size, 1), max(across.size, 1)
    value = float((down * down).sum(dtype=xp.float64)) / n_down
    value += float((across * across).sum(dtype=xp.float64)) / n_across
    return value, _home(down * (2 / n_down), across * (2 / n_across), p)


def power_variation(  # (H, W, C) -> value, (H, W, C)
    p: Array, exponent: float = 1.25, epsilon: float = 0.0, edges: str = "inside"
) -> tuple[float, Array]:
    """Return ``Σ (down² + across² + ε)^exponent`` and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.
    exponent : float
        1.25 is the Keras script's, 1 the square, 0.5 the length of the gradient (Rudin, Osher and Fatemi 1992,
        eq. 2.1), which needs `epsilon`; Mahendran and Vedaldi (2015, arXiv 1412.0035, eq. 5) compare them.
    epsilon : float
        In squared grey levels; rounds the kink off where there is one.
    edges : {"inside", "wrap"}
        ``inside`` sums over the (H−1) × (W−1) pixels that have both neighbours, as the Keras script does; ``wrap``
        over all, the last row being the first one's neighbour.

    Returns
    -------
    value : float
    dp : (H, W, C) array

    Raises
    ------
    HandstyleError
        If the exponent is below 1 without an epsilon (the derivative is infinite where two pixels are equal),
        or `edges` is unknown.

    Notes
    -----
    With ``q = down² + across² + ε`` the derivative at a difference is ``2 exponent q^(exponent − 1)`` times it. Each
    difference then goes home: plus to the neighbour, minus to the pixel itself.
    """
    if exponent < 1 and not epsilon > 0:
        raise HandstyleError(f"total variation with exponent {exponent:g} needs an epsilon above 0")
    if edges not in ("inside", "wrap"):
        raise HandstyleError(f"unknown edges {edges!r} of total variation: use inside or wrap")
    xp = namespace(p)
    wrap = edges == "wrap"
    here = p if wrap else p[:-1, :-1]
    down = (xp.roll(p, -1, axis=0) if wrap else p[1:, :-1]) - here
    across = (xp.roll(p, -1, axis=1) if wrap else p[:-1, 1:]) - here
    q = down * down + across * across + p.dtype.type(epsilon)
    value = float((q**exponent).sum(dtype=xp.float64))
    slope = 2 * exponent * q ** (exponent - 1)
    ddown, dacross = slope * down, slope * across
    if wrap:
        return value, xp.roll(ddown, 1, axis=0) + xp.roll(dacross, 1, axis=1) - ddown - dacross
    dp = xp.zeros_like(p)
    dp[1:, :-1] += ddown
    dp[:-1, 1:] += dacross
    dp[:-1, :-1] -= ddown + dacross
    return value, dp


def diagonal_variation(p: Array) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return the nine-point squared variation: neighbours across, down and on both diagonals, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture.

    Returns
    -------
    value : float
        ``2 (A/3 + D/3 + (E + F)/12)``: ``A``, ``D`` means over H·W·C of the squared differences to the right and down,
        ``E``, ``F`` over (H+1)(W+1)C along the diagonals of the picture with its border repeated once.
    dp : (H, W, C) array

    Notes
    -----
    As in crowsonkb/style-transfer-pytorch (``TVLoss``), on our scale of 0 to 255 instead of 0 to 1. The border is
    folded home by the adjoint of the repetition, as in ``network/padding.py``.
    """
    xp = namespace(p)
    H, W, C = p.shape
    padded = xp.pad(p, ((1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[1:-1, 2:] - padded[1:-1, 1:-1]
    down = padded[2:, 1:-1] - padded[1:-1, 1:-1]
    falling = padded[1:, 1:] - padded[:-1, :-1]
    rising = padded[1:, :-1] - padded[:-1, 1:]
    straight, oblique = 2 / (3 * H * W * C), 2 / (12 * (H + 1) * (W + 1) * C)
    squares = [float((d * d).sum(dtype=xp.float64)) for d in (across, down, falling, rising)]
    value = straight * (squares[0] + squares[1]) + oblique * (squares[2] + squares[3])
    d = xp.zeros_like(padded)
    d[1:-1, 2:] += 2 * straight * across
    d[2:, 1:-1] += 2 * straight * down
    d[1:-1, 1:-1] -= 2 * straight * (across + down)
    d[1:, 1:] += 2 * oblique * falling
    d[:-1, :-1] -= 2 * oblique * falling
    d[1:, :-1] += 2 * oblique * rising
    d[:-1, 1:] -= 2 * oblique * rising
    d[:, 1] += d[:, 0]
    d[:, -2] += d[:, -1]
    d[1] += d[0]
    d[-2] += d[-1]
    return value, d[1:-1, 1:-1].copy()


def range_penalty(p: Array, power: int = 6) -> tuple[float, Array]:  # (H, W, C) -> value, (H, W, C)
    """Return ``Σ |(p − 127.5) / 127.5|^power``, a wall at black and white, and its gradient.

    Parameters
    ----------
    p : (H, W, C) array
        The picture, 0 to 255.
    power : int
        An even number of 2 or more; crowsonkb/style_transfer has 6, after Mahendran and Vedaldi (2015, eq. 4).

    Returns
    -------
    value : float
    dp : (H, W, C) array
    """
    if power < 2 or power % 2:
        raise HandstyleError(f"range penalty: the power is {power}, not an even number of 2 or more")
    xp = namespace(p)
    u = (p - 127.5) / 127.5
    slope = u ** (power - 1)
    return float((slope * u).sum(dtype=xp.float64)), slope * (power / 127.5)


def _home(ddown: Array, dacross: Array, p: Array) -> Array:  # (H-1, W, C), (H, W-1, C) -> (H, W, C), the adjoint
    dp: Array = namespace(p).zeros_like(p)
    dp[1:] += ddown
    dp[:-1] -= ddown
    dp[:, 1:] += dacross
    dp[:, :-1] -= dacross
    return dp
