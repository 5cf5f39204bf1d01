"""Content: the squared distance between features of two pictures at one layer."""

from handstyle.foundations.backend import Array, namespace, scalar
from handstyle.foundations.errors import HandstyleError


def content_loss(  # (h, w, C), (h, w, C) -> value, (h, w, C)
    f: Array, target: Array, scale: float | None = None, weight: Array | None = None
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

    Returns
    -------
    value : float
        Accumulated in float64.
    df : (h, w, C) array
        ``2 scale weight (f − target)``, of `f`'s dtype.

    Raises
    ------
    HandstyleError
        If the shapes differ, or the target is zero everywhere so that nothing can be relative to it.
    """
    xp = namespace(f, target)
    if f.shape != target.shape:
        raise HandstyleError(f"content: features of shape {f.shape} against a target of {target.shape}")
    # A scale or a mask in float64 would lift the whole backward sweep to float64.
    scale = relative_scale(target, weight) if scale is None else float(scale)
    difference = f - target
    weighted = difference if weight is None else weight.astype(f.dtype, copy=False) * difference
    value = scale * scalar((difference * weighted).sum(dtype=xp.float64))
    return value, 2 * scale * weighted


def relative_scale(target: Array, weight: Array | None = None) -> float:  # (h, w, C) -> 1 / Σ weight target²
    """Return the scale that turns a squared error into a relative one."""
    xp = namespace(target)
    square = target * target if weight is None else weight * target * target
    energy = float(square.sum(dtype=xp.float64))
    if energy == 0:
        raise HandstyleError("the target is zero everywhere: choose another layer or picture, or give a scale")
    return 1 / energy
