"""Fast versions of the losses for CPUs: several threads compute them strip by strip, in the cache.

Each function returns what the function of the reference does, except for rounding; tests compare the two.
"""

from collections.abc import Callable, Iterator

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.image import Convention, channel_order
from handstyle.kernels.counting import ceil_div
from handstyle.kernels.cpu.arena import default_arena, scratch
from handstyle.kernels.cpu.gemm import rows_times
from handstyle.kernels.cpu.threads import MAX_PIXELS, default_team, pixel_strips
from handstyle.losses.gram import Moments, StyleTerm, check_channels

MOMENTS_STRIPS = 4  # strips of a small map for its moments: fewer than elsewhere, since each has C² sums of its own
ROWS_TO_ADD = 65  # rows of the moments that a thread adds up over all strips
STRIP_BYTES = 1 << 20  # size of a strip of features, which stays in the cache from one pass over it to the next


def preprocess(p: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the network's input for a picture, as `preprocess_forward` does, in memory from the arena.

    Examples
    --------
    >>> from handstyle.foundations.image import CAFFE, preprocess_forward
    >>> p = np.full((2, 2, 3), 128.0)
    >>> np.allclose(preprocess(p, CAFFE), preprocess_forward(p, CAFFE))
    True
    """
    x = default_arena().take(p.shape, p.dtype)
    P, X = p.reshape(-1, 3), x.reshape(-1, 3)
    channels = [*zip(channel_order(convention), convention.mean, convention.std, strict=True)]

    def work(rows: slice) -> None:
        # Channel by channel is ten times as fast as broadcasting over the three values of each pixel.
        for i, (channel, mean, std) in enumerate(channels):
            X[rows, i] = (P[rows, channel] * (convention.scale / 255.0) - mean) / std

    _by_rows(work, len(P))
    return x


def preprocess_adjoint(dx: Array, convention: Convention) -> Array:  # (H, W, 3) -> (H, W, 3)
    """Return the gradient at the picture from that at the network's input, as `preprocess_backward` does.

    Examples
    --------
    >>> from handstyle.foundations.image import CAFFE, preprocess_backward
    >>> dx = np.arange(12.0).reshape(2, 2, 3)
    >>> np.allclose(preprocess_adjoint(dx, CAFFE), preprocess_backward(dx, CAFFE))
    True
    """
    dp = default_arena().take(dx.shape, dx.dtype)
    dX, dP = dx.reshape(-1, 3), dp.reshape(-1, 3)
    channels = [*zip(channel_order(convention), convention.std, strict=True)]

    def work(rows: slice) -> None:
        for i, (channel, std) in enumerate(channels):
            dP[rows, channel] = dX[rows, i] / std * (convention.scale / 255.0)

    _by_rows(work, len(dP))
    return dp


def _by_rows(work: Callable[[slice], None], rows: int) -> None:
    # Each thread does as many rows as the others, at once: what is done to a row does not depend on the division.
    team = default_team()
    step = max(MAX_PIXELS, ceil_div(rows, team.threads))

    def each(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            work(slice(step * i, step * (i + 1)))

    team.run(each, ceil_div(rows, step))


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
        Factor of the gradient: the product of the term's weight and scale, so that no further pass is needed.

    Returns
    -------
    (() array of float64, (h, w, C) array)
        The value without the factor, and the gradient with it.

    Examples
    --------
    >>> import numpy as np
    >>> distance, df = content(np.array([[[1.0, 3.0]]]), np.array([[[0.0, 1.0]]]), None, factor=2.0)
    >>> float(distance), df
    (5.0, array([[[4., 8.]]]))
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
    """Return the moments of features, as `moments_forward` does: the sums of the channels and of their products.

    Within a strip the sums are computed in the dtype of `f`; the strips are added in float64.

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

    Examples
    --------
    >>> import numpy as np
    >>> moments(np.array([[[1.0, 2.0], [3.0, 4.0]]])).outer
    array([[10., 14.],
           [14., 20.]])
    """
    C, parts, total = f.shape[2], _sums_of_strips(f, mask, 1), np.zeros((f.shape[2] + 1, f.shape[2]))

    def add(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            rows = slice(ROWS_TO_ADD * i, ROWS_TO_ADD * (i + 1))
            for part in parts:  # always in this order, so that a run repeats bit for bit
                total[rows] += part[rows]

    default_team().run(add, ceil_div(C + 1, ROWS_TO_ADD))
    return Moments(_count(f, mask) if count is None else count, total[0], total[1:])


def _sums_of_strips(f: Array, mask: Array | None, channel_rows: int) -> Array:  # -> (strips, channel_rows + C, C)
    # The sums of each strip of pixels: the products' below, and if `channel_rows` is 1 the channels' in the first row.
    # They lie in the arena, which has room when the deepest features are measured, while an evaluation takes the most.
    C = f.shape[2]
    F = f.reshape(-1, C)
    q = None if mask is None else mask.reshape(-1, 1)
    strips = pixel_strips(len(F), strips=MOMENTS_STRIPS)
    parts = default_arena().take((len(strips), channel_rows + C, C), f.dtype)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            strip = F[strips[i]]
            weighted = strip if q is None else q[strips[i]] * strip
            if channel_rows:  # a row of products with one: a product is faster than a sum down the columns
                np.matmul(np.ones((1, len(strip)), f.dtype), weighted, out=parts[i, :1])
            np.matmul(weighted.T, strip, out=parts[i, channel_rows:])

    default_team().run(work, len(strips))
    return parts


def _count(f: Array, mask: Array | None) -> float:
    return float(f.shape[0] * f.shape[1]) if mask is None else float(mask.sum(dtype=np.float64))


def style(term: StyleTerm, f: Array) -> tuple[float, Array]:  # (h, w, C) -> value, (C, C)
    """Return the weighted value of a style term, and its gradient at the sums of products of the channels.

    The matrices are compared some rows at a time, by all threads. A matrix of 512 channels has two megabytes, and a
    pass over it for each operation, in one thread, would take a tenth of the time of a small picture.

    Parameters
    ----------
    term : StyleTerm
        The term.
    f : (h, w, C) array
        Features.

    Returns
    -------
    (float, (C, C) array)
        The value, and the gradient in the dtype of `f`.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.gram import StyleTerm, moments_forward
    >>> term = StyleTerm("relu1_1", target=moments_forward(np.full((2, 2, 1), 2.0)))
    >>> value, douter = style(term, np.full((3, 3, 1), 4.0))
    >>> round(value, 9), douter.round(6)
    (9.0, array([[0.166667]]))
    """
    C, A, parts = f.shape[2], term.target, _sums_of_strips(f, term.mask, 0)
    count = _count(f, None) if term.mask is None else term.mask_sum
    check_channels(C, len(A.outer))
    scale, values = term.factor * float(term.weight), np.zeros(ceil_div(C, ROWS_TO_ADD))
    douter = np.empty((C, C), f.dtype)

    def compare(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            rows = slice(ROWS_TO_ADD * i, ROWS_TO_ADD * (i + 1))
            difference = parts[0, rows].astype(np.float64)
            for part in parts[1:]:  # always in this order, so that a run repeats bit for bit
                difference += part[rows]
            difference /= count
            difference -= A.outer[rows] / A.count
            values[i] = np.vdot(difference, difference)
            np.multiply(difference, 2 * scale / count, out=douter[rows], casting="same_kind")

    default_team().run(compare, len(values))
    return scale * float(values.sum()), douter


class MomentsGradient:
    """The gradient of moments at the features, as `moments_backward` returns, but computed part by part.

    This is possible because the gradient at a pixel depends on that pixel's features alone.

    Parameters
    ----------
    dmoments : Moments
        The gradient at the moments.
    f : (h, w, C) array
        The features. The gradient may be written over them.
    mask : (h, w, 1) array, optional
        How much each pixel counts.

    Examples
    --------
    >>> import numpy as np
    >>> f = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    >>> gradient = MomentsGradient(Moments(0.0, np.zeros(2), np.eye(2)), f)
    >>> gradient[0:1, 1:2]  # at the second pixel: 2 f
    array([[[6., 8.]]])
    """

    def __init__(self, dmoments: Moments, f: Array, mask: Array | None = None) -> None:
        self.f, self.mask = f, mask
        outer, sums = (a.astype(f.dtype, copy=False) for a in (dmoments.outer, dmoments.sums))
        self.symmetric = outer + outer.T
        self.sums = sums if bool(sums.any()) else None

    def _write_part(self, part: Array, q: Array | None, out: Array) -> None:  # (…, C), (…, 1), (…, C)
        # Writes the gradient at a part of the features to `out`; `q` is the mask there.
        rows_times(part, self.symmetric, out)
        if self.sums is not None:
            out += self.sums
        if q is not None:
            out *= q

    def write(self, df: Array) -> None:  # (h, w, C)
        """Compute the whole gradient and write it to an array, strip by strip.

        Parameters
        ----------
        df : (h, w, C) array
            Receives the result. It must be contiguous, and may be the features themselves.

        Examples
        --------
        >>> import numpy as np
        >>> f = np.array([[[1.0, 2.0]]])
        >>> MomentsGradient(Moments(0.0, np.zeros(2), np.eye(2)), f).write(f)
        >>> f  # twice the features, written over them
        array([[[2., 4.]]])
        """
        F, dF = (a.reshape(-1, a.shape[2]) for a in (self.f, df))
        q = None if self.mask is None else self.mask.reshape(-1, 1)
        strips = pixel_strips(len(F), STRIP_BYTES // (F.shape[1] * F.itemsize))

        def work(_: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                part, out = F[strips[i]], dF[strips[i]]
                if df is self.f:
                    out = scratch.take("values", part.shape, part.dtype)
                self._write_part(part, None if q is None else q[strips[i]], out)
                if df is self.f:
                    part[...] = out

        default_team().run(work, len(strips))

    def add_to(self, df: Array) -> None:  # (h, w, C)
        """Add the whole gradient to `df`, a few rows at a time; features and `df` may be views of larger maps.

        Examples
        --------
        >>> import numpy as np
        >>> f, df = np.array([[[1.0, 2.0]]]), np.array([[[100.0, 100.0]]])
        >>> MomentsGradient(Moments(0.0, np.zeros(2), np.eye(2)), f).add_to(df)
        >>> df
        array([[[102., 104.]]])
        """
        rows = max(1, STRIP_BYTES // (df.shape[1] * df.shape[2] * df.itemsize))

        def work(_: int, pieces: Iterator[int]) -> None:
            for i in pieces:
                place = (slice(rows * i, rows * (i + 1)), slice(None))
                df[place] += self[place]

        default_team().run(work, ceil_div(len(df), rows))

    def __getitem__(self, place: tuple[slice, slice]) -> Array:  # -> (rows, columns, C)
        """Return the gradient at some rows and columns, in memory that the next call in the same thread reuses."""
        part = self.f[place]
        out = scratch.take("values", part.shape, part.dtype)
        self._write_part(part, None if self.mask is None else self.mask[place], out)
        return out
