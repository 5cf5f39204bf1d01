"""Style: moments of the features, which add up over pixels, and the loss, a function of the moments.

Gatys, Ecker and Bethge (2016) describe a style by the Gram matrix of a layer's features, the sum over pixels of ``f
fᵀ``. A sum adds up over pixels, over tiles, over machines, and weighs by a mask, so the loss is cut in two: a
statistic (`moments_forward`, with its adjoint) and a function of the statistic (`style_loss`). Regions, several
styles and exact tiles are then the same mechanism.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, namespace, scalar
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.threads import default_team
from handstyle.foundations.workspace import default_arena

# Pixels whose products are summed in the features' own dtype before they join the float64 total: long enough for
# the matrix product to run at full speed, short enough that float32 keeps six digits of the sum.
STRIP = 8192
# On a GPU each strip costs several launches of some ten microseconds, and cuBLAS splits a long sum up by itself.
DEVICE_STRIP = 1 << 17


@dataclass(frozen=True)
class Moments:
    """Sums over pixels, in float64, and, under the same names, gradients at them.

    Parameters
    ----------
    count : float
        ``Σ weight``.
    sums : (C,) array
        ``Σ weight f``.
    outer : (C, C) array
        ``Σ weight f fᵀ``: the Gram matrix, unnormalised.
    """

    count: float
    sums: Array
    outer: Array

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of pixels together."""
        return Moments(self.count + other.count, self.sums + other.sums, self.outer + other.outer)

    def scaled(self, factor: float) -> "Moments":
        """Return the moments of as many pixels, each `factor` times as heavy: for blending targets."""
        return Moments(factor * self.count, factor * self.sums, factor * self.outer)


def moments_forward(f: Array, weight: Array | None = None) -> Moments:  # (h, w, C), (h, w, 1) -> Moments
    """Sum the features and their products over pixels.

    Parameters
    ----------
    f : (h, w, C) array
        A feature map.
    weight : (h, w, 1) array, optional
        How much each pixel counts, 0 or more; 1 by default.

    Returns
    -------
    Moments
        In float64: strips of pixels are summed in `f`'s dtype, the strips in float64.
    """
    xp = namespace(f)
    C = f.shape[2]
    F = f.reshape(-1, C)  # (M, C)
    q = None if weight is None else weight.reshape(-1, 1)
    strips = _strips(len(F), xp)
    parts: list[Array] = [F] * len(strips)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            strip = F[strips[i]]
            weighted = strip if q is None else q[strips[i]] * strip
            # The sums are a row of products with one: a product is faster than a sum down the columns.
            # book: style-moments
            parts[i] = xp.concatenate((xp.ones((1, len(strip)), f.dtype) @ weighted, weighted.T @ strip))

    _share_out(xp, work, len(strips))
    total = sum((part.astype(xp.float64) for part in parts), xp.zeros((C + 1, C), xp.float64))  # always in this order
    count = float(len(F)) if q is None else float(q.sum(dtype=xp.float64))
    return Moments(count, total[0], total[1:])


def moments_backward(  # Moments (gradients), (h, w, C), (h, w, 1) -> (h, w, C)
    dmoments: Moments, f: Array, weight: Array | None = None
) -> Array:
    """Carry a gradient at the moments back to the features.

    The sum hands every pixel the same gradient. The product ``f fᵀ`` depends on ``f`` twice, which gives
    ``(dG + dGᵀ) f`` at each pixel.

    Parameters
    ----------
    dmoments : Moments
        The gradient at ``sums`` and ``outer``; ``count`` does not depend on `f` and is ignored.
    f : (h, w, C) array
        The features of the forward call.
    weight : (h, w, 1) array, optional
        Of the forward call.

    Returns
    -------
    (h, w, C) array
        Of `f`'s dtype.
    """
    xp = namespace(f)
    C = f.shape[2]
    symmetric, sums = (dmoments.outer + dmoments.outer.T).astype(f.dtype), dmoments.sums.astype(f.dtype)
    has_sums = xp is not np or bool(sums.any())  # a GPU would have to be waited for, which costs more than the sum
    F = f.reshape(-1, C)
    q = None if weight is None else weight.reshape(-1, 1)
    dF = default_arena().take(F.shape, F.dtype) if xp is np else xp.empty_like(F)
    strips = _strips(len(F), xp)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            part = xp.matmul(F[strips[i]], symmetric, out=dF[strips[i]])  # book: style-moments-gradient
            if has_sums:
                part += sums
            if q is not None:
                part *= q[strips[i]]

    _share_out(xp, work, len(strips))
    df: Array = dF.reshape(f.shape)
    return df


def moments_backward_over(  # Moments (gradients), (h, w, C), (h, w, 1) -> (h, w, C)
    dmoments: Moments, f: Array, weight: Array | None = None
) -> Array:
    """Do what `moments_backward` does, and write the gradient over the features, strip by strip.

    Parameters
    ----------
    dmoments, f, weight
        As for `moments_backward`. `f` is contiguous and its features are lost: for maps that nobody needs any more,
        where a second map of the size would not fit.

    Returns
    -------
    (h, w, C) array
        `f` itself.
    """
    F = f.reshape(1, -1, f.shape[2])
    q = None if weight is None else weight.reshape(1, -1, 1)
    for strip in _strips(F.shape[1], namespace(f)):
        F[:, strip] = moments_backward(dmoments, F[:, strip], None if q is None else q[:, strip])
    return f


def _strips(length: int, xp: Any) -> list[slice]:
    step = STRIP if xp is np else DEVICE_STRIP
    return [slice(start, start + step) for start in range(0, length, step)]


def _share_out(xp: Any, work: Callable[[int, Iterator[int]], None], pieces: int) -> None:
    # A GPU has its own thousands of threads; only NumPy's strips are dealt out to the cores.
    if xp is np:
        default_team().run(work, pieces)
    else:
        work(0, iter(range(pieces)))


def style_loss(  # Moments, Moments -> value, Moments (gradients)
    moments: Moments, target: Moments, scale: float | None = None
) -> tuple[float, Moments]:
    """Return ``scale ‖G − A‖²`` for the mean Gram matrices ``G`` and ``A``, and its gradient at the moments.

    Parameters
    ----------
    moments, target : Moments
        Of the picture and of the painting.
    scale : float, optional
        By default ``1 / ‖A‖²``: the squared relative error of the Gram matrix.

    Returns
    -------
    value : float
    dmoments : Moments
        The gradient at ``sums`` (zero) and ``outer``.

    Raises
    ------
    HandstyleError
        If the widths differ, no pixel counts, or the target is zero.

    Notes
    -----
    Gatys et al. (2016, eq. 3 to 5) use the sum ``G = F Fᵀ`` and ``1 / (4 C² M²)``. The mean over pixels,
    ``G = F Fᵀ / M``, lets pictures of different sizes be compared; with equal sizes their loss is
    ``scale = 1 / (4 C²)``. The derivative of ``scale ‖S/M − A‖²`` at ``S`` is ``2 scale (S/M − A) / M``.
    """
    xp = namespace(moments.outer, target.outer)
    if moments.outer.shape != target.outer.shape:
        raise HandstyleError(f"style: {moments.outer.shape[0]} channels against a target of {target.outer.shape[0]}")
    if not (moments.count > 0 and target.count > 0):
        raise HandstyleError("style: no pixel counts at this layer: the region's mask is empty, or too small for it")
    A = target.outer / target.count
    if scale is None:
        scale = style_scale(target)
    difference = moments.outer / moments.count - A
    value = scale * scalar((difference * difference).sum())  # book: style-loss
    douter = (2 * scale / moments.count) * difference  # book: style-loss-gradient
    return value, Moments(0.0, xp.zeros_like(moments.sums), douter)


def style_scale(target: Moments) -> float:
    """Return the scale that turns a squared error of a mean Gram matrix into a relative one, ``1 / ‖A‖²``."""
    A = target.outer / target.count
    energy = float((A * A).sum())
    if energy == 0:
        raise HandstyleError("style: the target's features are zero everywhere: choose another layer or picture")
    return 1 / energy
