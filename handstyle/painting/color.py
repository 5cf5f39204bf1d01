"""Color: keep the photograph's while the brush is the painter's.

Two ways, both on the host and outside the optimization (Gatys et al. 2016, arXiv 1606.05897). *Matching* gives one
picture the color statistics of another, by an affine map of its pixels or by the histogram of each channel: before the
run on the painting, or after it on the result. *Luminance only* paints in grey and puts the photograph's colors back.
Pictures are (H, W, 3), sRGB, 0 to 255; nothing is clipped here.
"""

from collections.abc import Callable

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError

METHODS = ("cholesky", "pca", "symmetric")
SPACES = ("yuv", "lab", "luv")

# BT.601: the luma of television, as every system that keeps colors by YUV or YCbCr has it.
YUV = np.array([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
# IEC 61966-2-1 (sRGB), D65: linear light to CIE XYZ.
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = XYZ.sum(axis=1)
WHITE_U, WHITE_V = 4 * WHITE[0] / (WHITE @ [1, 15, 3]), 9 * WHITE[1] / (WHITE @ [1, 15, 3])
KNEE, SLOPE = (6 / 29) ** 3, (29 / 3) ** 3 / 116  # CIE 15:2004, eq. 8.6 to 8.9


def luminance(p: Array, space: str = "yuv") -> Array:  # (H, W, 3) -> (H, W, 3), grey
    """Return the picture in grey, R = G = B, of the same luminance.

    Parameters
    ----------
    p : (H, W, 3) array
    space : {"yuv", "lab", "luv"}
        ``yuv``: the luma of BT.601. ``lab`` and ``luv`` share their lightness, CIE L*: the grey that is as light.
    """
    planes = to_space(p, space)
    planes[..., 1:] = 0
    return from_space(planes, space)


def keep_color(result: Array, photograph: Array, space: str = "yuv", mask: Array | None = None) -> Array:
    # (H, W, 3), (H, W, 3), (H, W) -> (H, W, 3)
    """Return the luminance of `result` with the colors of `photograph`.

    Parameters
    ----------
    result, photograph : (H, W, 3) arrays
        Of one size.
    space : {"yuv", "lab", "luv"}
        Whose first plane is taken from the one, the other two from the other.
    mask : (H, W) array, optional
        Where to do it, 0 to 1; everywhere by default.

    Notes
    -----
    In ``luv`` the two planes are 13 L* times a chromaticity, so where the result is darker than the photograph they
    are lowered in proportion: kept as they are they would ask black pixels for a color that no black has.
    """
    planes, colors = to_space(result, space), to_space(photograph, space)
    planes[..., 1:] = colors[..., 1:]
    if space == "luv":
        planes[..., 1:] *= (planes[..., :1] / np.maximum(colors[..., :1], 1e-6)).clip(0, 1)
    return _where(mask, from_space(planes, space), result)


def match_luminance(source: Array, target: Array) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Give a grey painting the mean and deviation of a grey photograph (Gatys et al. 2016, arXiv 1606.05897, §4)."""
    spread = float(source.std())
    factor = float(target.std()) / spread if spread else 1.0
    matched: Array = (source - source.mean()) * factor + target.mean()
    return matched


def match_affine(
    source: Array,
    target: Array,
    method: str = "symmetric",
    source_mask: Array | None = None,
    target_mask: Array | None = None,
    epsilon: float = 1e-5 * 255**2,
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Map the colors of `source` affinely so that their mean and covariance are those of `target`.

    Parameters
    ----------
    source : (H, W, 3) array
        The picture to recolor.
    target : (h, w, 3) array
        The picture whose colors it gets.
    method : {"cholesky", "pca", "symmetric"}
        Which of the matrices ``A`` with ``A Σ_s Aᵀ = Σ_t``: ``L_t L_s⁻¹``; ``Σ_t^½ Σ_s^-½``; or the one that moves
        colors least, ``Σ_s^-½ (Σ_s^½ Σ_t Σ_s^½)^½ Σ_s^-½`` (Pitié and Kokaram 2007).
    source_mask, target_mask : (H, W) and (h, w) arrays, optional
        Regions, 0 to 1: statistics are taken within them, and `source` is left alone outside its own.
    epsilon : float
        Added to both covariances' diagonals; 1e-5 on the scale of 0 to 1 in the authors' code.

    Returns
    -------
    (H, W, 3) array of float64

    Raises
    ------
    HandstyleError
        If the method is unknown.
    """
    if method not in METHODS:
        raise HandstyleError(f"unknown color match {method!r}: use {', '.join(METHODS)}")
    m_s, cov_s = _color_statistics(source, source_mask, epsilon)
    m_t, cov_t = _color_statistics(target, target_mask, epsilon)
    if method == "cholesky":
        A = np.linalg.cholesky(cov_t) @ np.linalg.inv(np.linalg.cholesky(cov_s))
    elif method == "pca":
        A = _power(cov_t, 0.5) @ _power(cov_s, -0.5)
    else:
        root, inverse = _power(cov_s, 0.5), _power(cov_s, -0.5)
        A = inverse @ _power(root @ cov_t @ root, 0.5) @ inverse
    return _where(source_mask, (source - m_s) @ A.T + m_t, source)


def match_histogram(
    source: Array, target: Array, source_mask: Array | None = None, target_mask: Array | None = None
) -> Array:  # (H, W, 3), (h, w, 3) -> (H, W, 3)
    """Give each channel of `source` the histogram of `target`'s: equal ranks get equal values.

    Parameters
    ----------
    source, target, source_mask, target_mask
        As in `match_affine`.

    Returns
    -------
    (H, W, 3) array of float64
        Channels are mapped one by one (Gonzalez and Woods, Digital Image Processing, §3.3), so colors that
        `target` has in no pixel may appear; the affine match keeps them together.
    """
    weight_s, weight_t = _weights(source, source_mask), _weights(target, target_mask)
    inside, counted = weight_s > 0, weight_t > 0
    weight_s, weight_t = weight_s[inside], weight_t[counted]
    matched = source.astype(np.float64)
    for c in range(3):
        values = source[..., c].reshape(-1)[inside]
        ranks = _ranks(values, weight_s)
        levels = target[..., c].reshape(-1)[counted].astype(np.float64)
        order = np.argsort(levels, kind="stable")
        levels, weights = levels[order], weight_t[order]
        middle = (np.cumsum(weights) - weights / 2) / weights.sum()
        plane = matched[..., c].reshape(-1)
        plane[inside] = np.interp(ranks, middle, levels)
        matched[..., c] = plane.reshape(source.shape[:2])
    return _where(source_mask, matched, source)


def _ranks(values: Array, weights: Array) -> Array:  # (n,), (n,) -> (n,) from 0 to 1; equal values share their middle
    levels, index = np.unique(values, return_inverse=True)
    total = np.bincount(index, weights, len(levels))
    ranks: Array = ((np.cumsum(total) - total / 2) / total.sum())[index]
    return ranks


def _color_statistics(p: Array, mask: Array | None, epsilon: float) -> tuple[Array, Array]:  # -> (3,), (3, 3)
    q = _weights(p, mask)
    pixels = p.reshape(-1, 3).astype(np.float64)
    mean = q @ pixels / q.sum()
    centred = pixels - mean
    return mean, (centred.T * q) @ centred / q.sum() + epsilon * np.eye(3)


def _weights(p: Array, mask: Array | None) -> Array:  # -> (H W,)
    weights: Array = np.ones(p.shape[0] * p.shape[1]) if mask is None else mask.reshape(-1).astype(np.float64)
    if not weights.any():
        raise HandstyleError("color: the region's mask is black everywhere")
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
    """Lead a picture to a space whose first plane is its luminance: fresh, float64."""
    return _space(space)[0](p.astype(np.float64))


def from_space(planes: Array, space: str) -> Array:  # (H, W, 3) -> (H, W, 3) sRGB, 0 to 255
    """Invert `to_space`; colors that sRGB does not have come out below 0 or above 255."""
    return _space(space)[1](planes)


def _space(space: str) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    pairs = {"yuv": (_to_yuv, _from_yuv), "lab": (_to_lab, _from_lab), "luv": (_to_luv, _from_luv)}
    if space not in pairs:
        raise HandstyleError(f"unknown color space {space!r}: use {', '.join(SPACES)}")
    return pairs[space]


def _to_yuv(p: Array) -> Array:
    yuv: Array = p @ YUV.T
    return yuv


def _from_yuv(planes: Array) -> Array:
    p: Array = planes @ np.linalg.inv(YUV).T
    return p


def _to_xyz(p: Array) -> Array:
    # The picture being painted leaves 0 to 255: the curve is continued as an odd function, so it stays invertible.
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


def _lightness(t: Array) -> Array:  # the CIE's cube root with a straight foot
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
