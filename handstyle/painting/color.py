"""Keep the colors of the photograph, by color matching or by luminance-only transfer.

Both change pictures on the host before or after the optimization (Gatys et al. 2016, arXiv 1606.05897). *Matching*
gives one picture the color statistics of another, by an affine map of its pixels or by the histogram of each channel.
It is applied to the painting before the run, or to the result after it. *Luminance-only transfer* paints in gray and
then restores the colors of the photograph. Pictures are `(H, W, 3)`, sRGB, 0 to 255; nothing is clipped.
"""

import math
from collections.abc import Callable

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, check_name

METHODS = ("cholesky", "pca", "symmetric")
SPACES = ("yuv", "lab", "luv")

# ITU-R BT.601, the luma of television; other systems that keep colors in YUV or YCbCr use it too.
YUV = np.array([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
# IEC 61966-2-1 (sRGB), D65: linear light to CIE XYZ.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ.sum(axis=1)
WHITE_U, WHITE_V = 4 * WHITE[0] / (WHITE @ [1, 15, 3]), 9 * WHITE[1] / (WHITE @ [1, 15, 3])
KNEE, SLOPE = (6 / 29) ** 3, (29 / 3) ** 3 / 116  # CIE 15:2004, eq. 8.6 to 8.9


def luminance(p: Array, space: str = "yuv") -> Array:  # (H, W, 3) -> (H, W, 3), gray
    """Convert a picture to gray, R = G = B, of the same luminance.

    Parameters
    ----------
    p : (H, W, 3) array
        sRGB, 0 to 255.
    space : {"yuv", "lab", "luv"}
        ``yuv`` keeps the luma of BT.601; ``lab`` and ``luv`` keep the lightness L* of the CIE, which they share.

    Returns
    -------
    (H, W, 3) array of float64
        0 to 255.

    Raises
    ------
    HandstyleError
        If the space is unknown.

    Examples
    --------
    >>> luminance(np.array([[[255.0, 0.0, 0.0]]])).round(1).tolist()
    [[[76.2, 76.2, 76.2]]]
    """
    planes = to_space(p, space)
    planes[..., 1:] = 0
    return from_space(planes, space)


def keep_color(result: Array, photograph: Array, space: str = "yuv", mask: Array | None = None) -> Array:
    # (H, W, 3), (H, W, 3), (H, W) -> (H, W, 3)
    """Combine the luminance of one picture with the colors of another.

    Parameters
    ----------
    result : (H, W, 3) array
        The picture whose luminance is kept; sRGB, 0 to 255.
    photograph : (H, W, 3) array
        The picture whose colors are taken, of the same size.
    space : {"yuv", "lab", "luv"}
        The space whose first plane comes from `result` and whose other two planes come from `photograph`.
    mask : (H, W) array, optional
        Weight of the combination, from 0 (`result` is unchanged) to 1; 1 everywhere by default.

    Returns
    -------
    (H, W, 3) array of float64
        The picture; colors that sRGB does not have are below 0 or above 255.

    Raises
    ------
    HandstyleError
        If the space is unknown.

    Notes
    -----
    In ``luv`` the two planes are 13 L* times a chromaticity. Where the result is darker than the photograph they are
    therefore lowered in proportion: unchanged, they would give dark pixels a chromaticity far outside sRGB.

    Examples
    --------
    >>> gray, red = np.full((1, 1, 3), 100.0), np.array([[[200.0, 50.0, 50.0]]])
    >>> keep_color(gray, red).round(0).tolist()
    [[[205.0, 55.0, 55.0]]]
    """
    planes, colors = to_space(result, space), to_space(photograph, space)
    planes[..., 1:] = colors[..., 1:]  # book: color-keep
    if space == "luv":
        planes[..., 1:] *= (planes[..., :1] / np.maximum(colors[..., :1], 1e-6)).clip(0, 1)
    return _where(mask, from_space(planes, space), result)


def match_luminance(
    source: Array, target: Array, mask: Array | None = None
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Return a gray painting with the mean and the standard deviation of a gray photograph.

    Parameters
    ----------
    source : (H, W, 3) array
        The painting, R = G = B, 0 to 255.
    target : (h, w, 3) array
        The photograph, also gray.
    mask : (H, W) array, optional
        Weights, 0 to 1, of the painting's pixels in its mean and deviation.

    Returns
    -------
    (H, W, 3) array
        ``(source - mean(source)) std(target) / std(source) + mean(target)`` (Gatys et al. 2016, arXiv 1606.05897, §4).

    Examples
    --------
    >>> black, white = np.zeros((1, 1, 3)), np.full((1, 1, 3), 255.0)
    >>> source, target = np.hstack([black, white]), np.full((1, 2, 3), 90.0)
    >>> match_luminance(source, target)[0, :, 0].tolist()
    [90.0, 90.0]
    """
    q = _weights(source, mask)
    values = source.reshape(-1, 3).astype(np.float64)
    center = q @ values.mean(axis=1) / q.sum()
    spread = math.sqrt(q @ ((values - center) ** 2).mean(axis=1) / q.sum())
    factor = float(target.std()) / spread if spread else 1.0
    matched: Array = (source - center) * factor + target.mean()
    return matched


def match_affine(
    source: Array,
    target: Array,
    method: str = "symmetric",
    source_mask: Array | None = None,
    target_mask: Array | None = None,
    epsilon: float = 1e-5 * 255**2,
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Map the colors of a picture by an affine function so that they get the mean and covariance of another picture.

    Parameters
    ----------
    source : (H, W, 3) array
        The picture whose colors are changed; sRGB, 0 to 255.
    target : (h, w, 3) array
        The picture whose mean and covariance are used.
    method : {"cholesky", "pca", "symmetric"}
        The choice among the matrices ``A`` with ``A Σ_s Aᵀ = Σ_t``: ``L_t L_s⁻¹``; ``Σ_t^½ Σ_s^-½``; or the one that
        changes colors least, ``Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½`` (Pitié and Kokaram 2007).
    source_mask, target_mask : (H, W) and (h, w) arrays, optional
        Regions, 0 to 1. Statistics are computed within them, and `source` is unchanged outside `source_mask`.
    epsilon : float
        Added to the diagonals of both covariances; 1e-5 on the scale of 0 to 1 in the authors' code.

    Returns
    -------
    (H, W, 3) array of float64
        ``A (source - mean(source)) + mean(target)``, not clipped.

    Raises
    ------
    HandstyleError
        If the method is unknown, or a mask is black everywhere.

    See Also
    --------
    match_histogram : Match the whole histogram of each channel separately.

    References
    ----------
    .. [1] L. A. Gatys, M. Bethge, A. Hertzmann, E. Shechtman, "Preserving Color in Neural Artistic Style Transfer",
       arXiv 1606.05897, 2016, §3.1 (``cholesky``, ``pca``).
    .. [2] F. Pitié, A. Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
       transfer", CVMP 2007 (``symmetric``).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.uniform(0, 255, (9, 9, 3)), rng.uniform(100, 150, (5, 5, 3))
    >>> matched = match_affine(source, target)
    >>> bool(np.allclose(matched.mean(axis=(0, 1)), target.mean(axis=(0, 1))))
    True
    """
    (m_s, cov_s), (m_t, cov_t) = color_statistics(source, source_mask), color_statistics(target, target_mask)
    A = color_map(cov_s + epsilon * np.eye(3), cov_t + epsilon * np.eye(3), method)
    return _where(source_mask, (source - m_s) @ A.T + m_t, source)  # book: color-map


def color_map(cov_s: Array, cov_t: Array, method: str = "symmetric") -> Array:  # (3, 3), (3, 3) -> (3, 3)
    """Return a matrix that maps colors with one covariance to colors with another.

    Parameters
    ----------
    cov_s, cov_t : (3, 3) arrays
        Symmetric positive definite covariances, of the colors before and after the map.
    method : {"cholesky", "pca", "symmetric"}
        See `match_affine`.

    Returns
    -------
    (3, 3) array
        ``A`` with ``A cov_s Aᵀ = cov_t``.

    Raises
    ------
    HandstyleError
        If the method is unknown.

    Examples
    --------
    >>> color_map(np.diag([4.0, 1.0]), np.diag([1.0, 9.0])).round(12).tolist()
    [[0.5, 0.0], [0.0, 3.0]]
    """
    check_name("color match", method, METHODS)
    if method == "cholesky":
        A: Array = np.linalg.cholesky(cov_t) @ np.linalg.inv(np.linalg.cholesky(cov_s))  # book: color-cholesky
    elif method == "pca":
        A = _power(cov_t, 0.5) @ _power(cov_s, -0.5)  # book: color-pca
    else:
        root, inverse = _power(cov_s, 0.5), _power(cov_s, -0.5)
        A = inverse @ _power(root @ cov_t @ root, 0.5) @ inverse  # book: color-symmetric
    return A


def match_histogram(
    source: Array, target: Array, source_mask: Array | None = None, target_mask: Array | None = None
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Map each channel of a picture so that it gets the histogram of the same channel of another picture.

    Parameters
    ----------
    source, target, source_mask, target_mask
        See `match_affine`.

    Returns
    -------
    (H, W, 3) array of float64
        The picture, with values within the range of `target`.

    Raises
    ------
    HandstyleError
        If a mask is black everywhere.

    Notes
    -----
    A value is replaced by the value of `target` that has the same rank (Gonzalez and Woods, Digital Image Processing,
    §3.3). Since channels are matched separately, colors may appear that `target` does not have; `match_affine` maps the
    three channels together.

    Examples
    --------
    >>> source = np.arange(12.0).reshape(2, 2, 3)
    >>> match_histogram(source, 10 * source)[..., 0].tolist()
    [[0.0, 30.0], [60.0, 90.0]]
    """
    weight_s, weight_t = _weights(source, source_mask), _weights(target, target_mask)
    inside, counted = (weight_s > 0).reshape(source.shape[:2]), (weight_t > 0).reshape(target.shape[:2])
    weight_s, weight_t = weight_s[weight_s > 0], weight_t[weight_t > 0]
    matched = source.astype(np.float64)
    for c in range(3):
        ranks = _ranks(source[inside, c], weight_s)
        levels = target[counted, c].astype(np.float64)
        order = np.argsort(levels, kind="stable")
        levels, weights = levels[order], weight_t[order]
        middle = (np.cumsum(weights) - weights / 2) / weights.sum()
        matched[inside, c] = np.interp(ranks, middle, levels)  # book: color-ranks
    return _where(source_mask, matched, source)


def _ranks(values: Array, weights: Array) -> Array:  # (n,), (n,) -> (n,) from 0 to 1; equal values share their middle
    levels, index = np.unique(values, return_inverse=True)
    total = np.bincount(index, weights, len(levels))
    ranks: Array = ((np.cumsum(total) - total / 2) / total.sum())[index]
    return ranks


def color_statistics(p: Array, mask: Array | None = None) -> tuple[Array, Array]:  # -> (3,), (3, 3)
    """Return the mean and the covariance of a picture's colors.

    Parameters
    ----------
    p : (H, W, 3) array
        The picture.
    mask : (H, W) array, optional
        The weight of each pixel, 0 to 1.

    Returns
    -------
    (3,) and (3, 3) arrays of float64
        Mean and covariance.

    Examples
    --------
    >>> mean, covariance = color_statistics(np.array([[[0.0, 1, 2], [2, 1, 0]]]))
    >>> mean.tolist(), covariance.diagonal().tolist()
    ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0])
    """
    q = _weights(p, mask)
    pixels = p.reshape(-1, 3).astype(np.float64)
    mean = q @ pixels / q.sum()
    centered = pixels - mean
    return mean, (centered.T * q) @ centered / q.sum()  # book: color-statistics


def _weights(p: Array, mask: Array | None) -> Array:  # -> (H W,)
    weights: Array = np.ones(p.shape[0] * p.shape[1]) if mask is None else mask.reshape(-1).astype(np.float64)
    if not weights.any():
        raise HandstyleError("color: the mask of a region is black everywhere")
    return weights


def _power(a: Array, exponent: float) -> Array:  # symmetric positive (3, 3)
    values, vectors = np.linalg.eigh(a)
    power: Array = (vectors * values**exponent) @ vectors.T
    return power


def _where(mask: Array | None, inside: Array, outside: Array) -> Array:
    if mask is None:
        return inside
    m = mask[..., None]
    mixed: Array = m * inside + (1 - m) * outside
    return mixed


def to_space(p: Array, space: str) -> Array:  # (H, W, 3) sRGB, 0 to 255 -> (H, W, 3)
    """Convert a picture from sRGB to a color space whose first plane is its luminance.

    Parameters
    ----------
    p : (H, W, 3) array
        sRGB, 0 to 255. Values outside this range are converted too: the sRGB curve is continued as an odd function.
    space : {"yuv", "lab", "luv"}
        YUV of BT.601 on 0 to 255, or CIE L*a*b* or L*u*v* (CIE 15:2004, section 8.2) with the white point D65.

    Returns
    -------
    (H, W, 3) array of float64
        A new array.

    Raises
    ------
    HandstyleError
        If the space is unknown.

    Examples
    --------
    >>> to_space(np.full((1, 1, 3), 255.0), "lab")[0, 0, 0].round(6).item()
    100.0
    """
    return _space(space)[0](p.astype(np.float64))


def from_space(planes: Array, space: str) -> Array:  # (H, W, 3) -> (H, W, 3) sRGB, 0 to 255
    """Convert a picture from a color space back to sRGB, the inverse of `to_space`.

    Parameters
    ----------
    planes : (H, W, 3) array of float64
        The result of `to_space`.
    space : {"yuv", "lab", "luv"}
        The space of `planes`.

    Returns
    -------
    (H, W, 3) array of float64
        0 to 255; colors that sRGB does not have are below 0 or above 255.

    Raises
    ------
    HandstyleError
        If the space is unknown.

    Examples
    --------
    >>> p = np.array([[[10.0, 200.0, 30.0]]])
    >>> bool(np.allclose(from_space(to_space(p, "luv"), "luv"), p))
    True
    """
    return _space(space)[1](planes)


def _space(space: str) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    check_name("color space", space, SPACES)
    pairs: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
        "yuv": (lambda p: p @ YUV.T, lambda planes: planes @ np.linalg.inv(YUV).T),
        "lab": (_to_lab, _from_lab),
        "luv": (_to_luv, _from_luv),
    }
    return pairs[space]


def _to_xyz(p: Array) -> Array:
    # During a run, values may be outside 0 to 255. The curve is continued as an odd function, so it is invertible.
    v = abs(p) / 255
    linear = np.sign(p) * np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    xyz: Array = linear @ XYZ.T
    return xyz


def _from_xyz(xyz: Array) -> Array:
    linear = xyz @ np.linalg.inv(XYZ).T
    v = abs(linear)
    encoded: Array = np.where(v <= 0.04045 / 12.92, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)
    p: Array = 255 * np.sign(linear) * encoded
    return p


def _lightness(t: Array) -> Array:  # the CIE's cube root, linear near 0
    return np.where(t > KNEE, np.cbrt(t), SLOPE * t + 16 / 116)


def _from_lightness(f: Array) -> Array:
    return np.where(f > 6 / 29, f**3, (f - 16 / 116) / SLOPE)


def _to_lab(p: Array) -> Array:
    f = _lightness(_to_xyz(p) / WHITE)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def _from_lab(planes: Array) -> Array:
    y = (planes[..., 0] + 16) / 116
    f = np.stack([y + planes[..., 1] / 500, y, y - planes[..., 2] / 200], axis=-1)
    return _from_xyz(_from_lightness(f) * WHITE)


def _to_luv(p: Array) -> Array:
    xyz = _to_xyz(p)
    L = 116 * _lightness(xyz[..., 1] / WHITE[1]) - 16
    total = xyz @ np.array([1.0, 15.0, 3.0])
    safe = np.where(total == 0, 1, total)
    u = np.where(total == 0, WHITE_U, 4 * xyz[..., 0] / safe)
    v = np.where(total == 0, WHITE_V, 9 * xyz[..., 1] / safe)
    return np.stack([L, 13 * L * (u - WHITE_U), 13 * L * (v - WHITE_V)], axis=-1)


def _from_luv(planes: Array) -> Array:
    L = planes[..., 0]
    safe = np.where(L == 0, 1, L)
    u, v = planes[..., 1] / (13 * safe) + WHITE_U, planes[..., 2] / (13 * safe) + WHITE_V
    v = np.where(abs(v) < 1e-9, 1e-9, v)
    Y = WHITE[1] * _from_lightness((L + 16) / 116)
    X, Z = Y * 9 * u / (4 * v), Y * (12 - 3 * u - 20 * v) / (4 * v)
    return _from_xyz(np.stack([X, Y, Z], axis=-1))
