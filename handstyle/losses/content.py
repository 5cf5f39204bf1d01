"""Content: the squared distance between features of two pictures at one layer."""

from collections.abc import Iterator

from handstyle.foundations.backend import Array, namespace, scalar
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.threads import pixel_strips, share_out
from handstyle.foundations.workspace import blank

STRIP_BYTES = 1 << 20  # of a difference at a time: it stays in a cache from one pass over it to the next


def content_loss(  # (h, w, C), (h, w, C) -> value, (h, w, C)
    f: Array, target: Array, scale: float | None = None, weight: Array | None = None, factor: float = 1.0
) -> tuple[float, Array]:
    """Return ``scale Σ weight (f − target)²`` and its gradient at `f`.

    Parameters
    ----------
    f : (h, w, C) array
        The picture's features.
    target : (h, w, C) array
        The photograph's features at the same layer.
    scale : float, optional
        Gatys et al. (2016, eq. 1) have 1/2. By default one over ``Σ weight target²``: the squared relative error,
        which needs no tuning from one layer, size or network to the next.
    weight : (h, w, 1) array, optional
        How much each pixel counts; 1 by default.
    factor : float
        Multiplies the gradient alone: the weight of this term among others, at no pass over the map of its own.

    Returns
    -------
    value : float
        Each pixel in the dtype of `f`, the sum over pixels in float64.
    df : (h, w, C) array
        ``2 factor scale weight (f − target)``, of `f`'s dtype.

    Raises
    ------
    HandstyleError
        If the shapes differ, or the target is zero everywhere so that nothing can be relative to it.
    """
    xp = namespace(f, target)
    check_target(f, target)
    # A scale or a mask in float64 would lift the whole backward sweep to float64.
    scale = relative_scale(target, weight) if scale is None else float(scale)
    q = None if weight is None else weight.reshape(-1, 1).astype(f.dtype, copy=False)
    F, A = f.reshape(-1, f.shape[2]), target.reshape(-1, f.shape[2])
    dF = blank(xp, F.shape, F.dtype)
    strips = pixel_strips(len(F), xp, STRIP_BYTES // (F.shape[1] * F.itemsize))
    values: list[Array] = [A[0]] * len(strips)

    def work(_: int, pieces: Iterator[int]) -> None:
        for i in pieces:
            difference = F[strips[i]] - A[strips[i]]
            weighted = difference if q is None else q[strips[i]] * difference
            # The channels of a pixel are summed in their own dtype, the pixels in float64.
            values[i] = xp.einsum("pc,pc->p", difference, weighted).sum(dtype=xp.float64)
            xp.multiply(weighted, 2 * scale * factor, out=dF[strips[i]])

    share_out(xp, work, len(strips))
    return scale * scalar(sum(values[1:], values[0])), dF.reshape(f.shape)


def check_target(f: Array, target: Array) -> None:  # (h, w, C), (h, w, C)
    """Raise an error unless features can be compared with a target's.

    Parameters
    ----------
    f, target : (h, w, C) array
        Features of the picture and of the photograph.

    Raises
    ------
    HandstyleError
        If the shapes differ.
    """
    if f.shape != target.shape:
        raise HandstyleError(f"content: features of shape {f.shape} against a target of {target.shape}")


def relative_scale(target: Array, weight: Array | None = None) -> float:  # (h, w, C) -> 1 / Σ weight target²
    """Return the scale that turns a squared error into a relative one."""
    xp = namespace(target)
    square = target * target if weight is None else weight * target * target
    energy = float(square.sum(dtype=xp.float64))
    if energy == 0:
        raise HandstyleError("the target is zero everywhere: choose another layer or picture, or give a scale")
    return 1 / energy
