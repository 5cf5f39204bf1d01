"""Style: moments of the features, which add up over pixels, and the loss, a function of the moments.

Gatys, Ecker and Bethge (2016) describe a style by the Gram matrix of a layer's features, the sum over pixels of ``f
fᵀ``. A sum adds up over pixels, over tiles, over machines, and weighs by a mask, so the loss is cut in two: a
statistic (`moments_forward`, with its adjoint) and a function of the statistic (`style_loss`). Regions, several
styles and exact tiles are then the same mechanism.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from handstyle.foundations.backend import Array, namespace, scalar
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.products import rows_times
from handstyle.foundations.threads import pixel_strips, share_out
from handstyle.foundations.workspace import blank, scratch

# Of features whose gradient is made at a time: they stay in a cache while it is written over them.
STRIP_BYTES = 1 << 20


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


def moments_forward(  # (h, w, C), (h, w, 1) -> Moments
    f: Array, weight: Array | None = None, count: float | None = None
) -> Moments:
    """Sum the features and their products over pixels.

    Parameters
    ----------
    f : (h, w, C) array
        A feature map.
    weight : (h, w, 1) array, optional
        How much each pixel counts, 0 or more; 1 by default.
    count : float, optional
        ``Σ weight``, if it is known: on a device it takes a wait to find out.

    Returns
    -------
    Moments
        In float64: strips of pixels are summed in `f`'s dtype, the strips in float64.
    """
    xp = namespace(f)
    C = f.shape[2]
    F = f.reshape(-1, C)  # (M, C)
    q = None if weight is None else weight.reshape(-1, 1)
    strips = pixel_strips(len(F), xp)
    parts: list[Array] = [F] * len(strips)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            strip = F[strips[i]]
            weighted = strip if q is None else q[strips[i]] * strip
            # The sums are a row of products with one: a product is faster than a sum down the columns.
            # book: style-moments
            parts[i] = xp.concatenate((xp.ones((1, len(strip)), f.dtype) @ weighted, weighted.T @ strip))

    share_out(xp, work, len(strips))
    total = xp.zeros((C + 1, C), xp.float64)
    for part in parts:  # always in this order
        total += part
    if count is None:
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
    df = blank(namespace(f), f.shape, f.dtype)
    MomentsGradient(dmoments, f, weight).write(df)
    return df


class MomentsGradient:
    """`moments_backward` part by part: what a pixel receives depends on its own features alone.

    Parameters
    ----------
    dmoments, f, weight
        As of `moments_backward`.
    """

    def __init__(self, dmoments: Moments, f: Array, weight: Array | None = None) -> None:
        xp = namespace(f)
        self.f, self.weight = f, weight
        outer, sums = dmoments.outer.astype(f.dtype), dmoments.sums.astype(f.dtype)
        self.symmetric = outer + outer.T
        # A GPU would have to be waited for, which costs more than the sum.
        self.sums = sums if xp is not np or bool(sums.any()) else None
        self.multiply = rows_times if xp is np else xp.matmul

    def carry(self, part: Array, q: Array | None, out: Array) -> None:  # (…, C), (…, 1), (…, C)
        """Write the gradient at a part of the features to `out`."""
        self.multiply(part, self.symmetric, out=out)  # book: style-moments-gradient
        if self.sums is not None:
            out += self.sums
        if q is not None:
            out *= q

    def write(self, df: Array) -> None:  # (h, w, C)
        """Write the whole gradient, strip by strip.

        Parameters
        ----------
        df : (h, w, C) array
            For the result: contiguous. It may be the features themselves, when nobody needs them any more.
        """
        xp = namespace(self.f)
        F, dF = (a.reshape(-1, a.shape[2]) for a in (self.f, df))
        q = None if self.weight is None else self.weight.reshape(-1, 1)
        strips = pixel_strips(len(F), xp, STRIP_BYTES // (F.shape[1] * F.itemsize))

        def work(_: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                part, out = F[strips[i]], dF[strips[i]]
                if df is self.f:
                    out = scratch.take("values", part.shape, part.dtype) if xp is np else xp.empty_like(part)
                self.carry(part, None if q is None else q[strips[i]], out)
                if df is self.f:
                    part[...] = out

        share_out(xp, work, len(strips))

    def __getitem__(self, place: tuple[slice, slice]) -> Array:  # -> (rows, columns, C)
        """Return the gradient at some rows and columns of a NumPy map; good until the thread asks again."""
        part = self.f[place]
        out = scratch.take("values", part.shape, part.dtype)
        self.carry(part, None if self.weight is None else self.weight[place], out)
        return out


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
    check_moments(moments.count, len(moments.outer), target)
    scale = style_scale(target) if scale is None else scale
    difference = moments.outer / moments.count - target.outer / target.count
    value = scale * scalar((difference * difference).sum())  # book: style-loss
    douter = (2 * scale / moments.count) * difference  # book: style-loss-gradient
    return value, Moments(0.0, xp.zeros_like(moments.sums), douter)


def check_moments(count: float, channels: int, target: Moments) -> None:
    """Raise an error unless moments can be compared with a target's.

    Parameters
    ----------
    count : float
        ``Σ weight`` of the picture's moments.
    channels : int
        Of them.
    target : Moments
        Of the painting.

    Raises
    ------
    HandstyleError
        If the widths differ, or no pixel counts.
    """
    if channels != len(target.outer):
        raise HandstyleError(f"style: {channels} channels against a target of {len(target.outer)}")
    if not (count > 0 and target.count > 0):
        raise HandstyleError("style: no pixel counts at this layer: the region's mask is empty, or too small for it")


def gram_loss(  # (h, w, C), Moments -> value, (h, w, C)
    f: Array,
    target: Moments,
    scale: float | None = None,
    weight: Array | None = None,
    factor: float = 1.0,
    count: float | None = None,
    spare: bool = False,
) -> tuple[float, Array]:
    """Return the style loss of features, and its gradient there: the moments, their loss, and the way back.

    Parameters
    ----------
    f : (h, w, C) array
        The picture's features.
    target, scale
        As of `style_loss`.
    weight : (h, w, 1) array, optional
        How much each pixel counts.
    factor : float
        Multiplies the gradient alone, where it is C² numbers and not f's.
    count : float, optional
        ``Σ weight``, if it is known.
    spare : bool
        Whether nobody needs the features any more: the gradient is then written over them.

    Returns
    -------
    value : float
    df : (h, w, C) array
    """
    value, gradient = gram_parts(f, target, scale, weight, factor, count)
    df = f if spare else blank(namespace(f), f.shape, f.dtype)
    gradient.write(df)
    return value, df


def gram_parts(  # (h, w, C), Moments -> value, gradient in parts
    f: Array, target: Moments, scale: float | None, weight: Array | None, factor: float, count: float | None
) -> tuple[float, MomentsGradient]:
    """Return what `gram_loss` does, with a gradient that is not made yet.

    Parameters
    ----------
    f, target, scale, weight, factor, count
        As there.

    Returns
    -------
    (float, MomentsGradient)
        Its value, and its gradient in parts.
    """
    value, dmoments = style_loss(moments_forward(f, weight, count), target, scale)
    return value, MomentsGradient(dmoments.scaled(factor), f, weight)


def style_scale(target: Moments) -> float:
    """Return the scale that turns a squared error of a mean Gram matrix into a relative one, ``1 / ‖A‖²``."""
    A = target.outer / target.count
    energy = float((A * A).sum())
    if energy == 0:
        raise HandstyleError("style: the target's features are zero everywhere: choose another layer or picture")
    return 1 / energy
