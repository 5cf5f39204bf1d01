"""The losses on a CPU: threads compute them strip by strip, each strip while it is in the cache.

Each function computes what its readable counterpart in ``losses/`` does; tests compare the two.
"""

from collections.abc import Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import Convention, channel_order
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import default_arena, scratch
from handstyle.kernels.cpu.gemm import rows_times
from handstyle.kernels.cpu.threads import default_team, pixel_strips
from handstyle.losses.gram import Moments

MOMENTS_STRIPS = 8  # of a small map whose moments are summed: fewer than elsewhere, since each has C² sums of its own
ROWS_TO_ADD = 65  # rows of the moments that a thread adds up over all strips
STRIP_BYTES = 1 << 20  # size of a strip of features, which stays in the cache from one pass over it to the next


def preprocess(p: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Compute `preprocess_forward` channel by channel, in memory from the arena."""
    x = default_arena().take(p.shape, p.dtype)
    # Channel by channel is ten times as fast as broadcasting over the three values of each pixel.
    for i, (channel, mean, std) in enumerate(
        zip(channel_order(convention), convention.mean, convention.std, strict=True)
    ):
        x[..., i] = (p[..., channel] * (convention.scale / 255.0) - mean) / std
    return x


def preprocess_adjoint(dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Compute `preprocess_backward` channel by channel, in memory from the arena."""
    dp = default_arena().take(dx.shape, dx.dtype)
    for i, (channel, std) in enumerate(zip(channel_order(convention), convention.std, strict=True)):
        dp[..., channel] = dx[..., i] / std * (convention.scale / 255.0)
    return dp


def content(  # (h, w, C), (h, w, C), (h, w, 1) -> (), (h, w, C)
    f: Array, target: Array, mask: Array | None, factor: float
) -> tuple[Array, Array]:
    """Return ``Σ mask (f − target)²`` in float64, and ``factor`` times its gradient, from one pass over the map.

    Parameters
    ----------
    f, target : (h, w, C) array
        Features of the picture and of the photograph.
    mask : (h, w, 1) array or None
        How much each pixel counts.
    factor : float
        Multiplies the gradient; it holds the term's weight and scale, which saves a pass.

    Returns
    -------
    (() array of float64, (h, w, C) array)
    """
    q = None if mask is None else mask.reshape(-1, 1).astype(f.dtype, copy=False)
    F, A = f.reshape(-1, f.shape[2]), target.reshape(-1, f.shape[2])
    dF = default_arena().take(F.shape, F.dtype)
    strips = pixel_strips(len(F), STRIP_BYTES // (F.shape[1] * F.itemsize))
    values = np.zeros(len(strips))

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            difference = F[strips[i]] - A[strips[i]]
            weighted = difference if q is None else q[strips[i]] * difference
            # The channels of a pixel are summed in their own dtype, the pixels in float64.
            values[i] = np.einsum("pc,pc->p", difference, weighted).sum(dtype=np.float64)
            np.multiply(weighted, 2 * factor, out=dF[strips[i]])

    default_team().run(work, len(strips))
    total: Array = np.asarray(sum(values[1:], values[0]))
    return total, dF.reshape(f.shape)


def moments(f: Array, mask: Array | None = None, count: Array | float | None = None) -> Moments:
    """Compute `moments_forward` strip by strip: within a strip sums are in the dtype of `f`, over strips in float64.

    Parameters
    ----------
    f : (h, w, C) array
        Features.
    mask : (h, w, 1) array, optional
        How much each pixel counts.
    count : float, optional
        ``Σ mask``, if it has been computed before.

    Returns
    -------
    Moments
    """
    C = f.shape[2]
    F = f.reshape(-1, C)
    q = None if mask is None else mask.reshape(-1, 1)
    strips = pixel_strips(len(F), strips=MOMENTS_STRIPS)
    parts: list[Array] = [F] * len(strips)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            strip = F[strips[i]]
            weighted = strip if q is None else q[strips[i]] * strip
            # The sums are a row of products with one: a product is faster than a sum down the columns.
            parts[i] = np.concatenate((np.ones((1, len(strip)), f.dtype) @ weighted, weighted.T @ strip))

    default_team().run(work, len(strips))
    total = np.zeros((C + 1, C))

    def add(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            rows = slice(ROWS_TO_ADD * i, ROWS_TO_ADD * (i + 1))
            for part in parts:  # always in this order, so that a run repeats bit for bit
                total[rows] += part[rows]

    default_team().run(add, ceil_div(C + 1, ROWS_TO_ADD))
    if count is None:
        count = float(len(F)) if q is None else float(q.sum(dtype=np.float64))
    return Moments(count, total[0], total[1:])


class MomentsGradient:
    """`moments_backward` computed part by part: the gradient at a pixel depends on that pixel's features alone.

    Parameters
    ----------
    dmoments : Moments
        The gradient at the moments.
    f : (h, w, C) array
        The features. The gradient may be written over them.
    mask : (h, w, 1) array, optional
        How much each pixel counts.
    """

    def __init__(self, dmoments: Moments, f: Array, mask: Array | None = None) -> None:
        self.f, self.mask = f, mask
        outer, sums = dmoments.outer.astype(f.dtype), dmoments.sums.astype(f.dtype)
        self.symmetric = outer + outer.T
        self.sums = sums if bool(sums.any()) else None

    def carry(self, part: Array, q: Array | None, out: Array) -> None:  # (…, C), (…, 1), (…, C)
        """Write the gradient at a part of the features to `out`."""
        rows_times(part, self.symmetric, out)
        if self.sums is not None:
            out += self.sums
        if q is not None:
            out *= q

    def write(self, df: Array) -> None:  # (h, w, C)
        """Write the whole gradient, strip by strip.

        Parameters
        ----------
        df : (h, w, C) array
            Receives the result; contiguous. It may be the features themselves.
        """
        F, dF = (a.reshape(-1, a.shape[2]) for a in (self.f, df))
        q = None if self.mask is None else self.mask.reshape(-1, 1)
        strips = pixel_strips(len(F), STRIP_BYTES // (F.shape[1] * F.itemsize))

        def work(_: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                part, out = F[strips[i]], dF[strips[i]]
                if df is self.f:
                    out = scratch.take("values", part.shape, part.dtype)
                self.carry(part, None if q is None else q[strips[i]], out)
                if df is self.f:
                    part[...] = out

        default_team().run(work, len(strips))

    def __getitem__(self, place: tuple[slice, slice]) -> Array:  # -> (rows, columns, C)
        """Return the gradient at some rows and columns; valid until the next call in the same thread."""
        part = self.f[place]
        out = scratch.take("values", part.shape, part.dtype)
        self.carry(part, None if self.mask is None else self.mask[place], out)
        return out
