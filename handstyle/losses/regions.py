"""Regions: a mask on the picture, carried to every tap by the network's own geometry.

A style for the sky and another for the rest: each region has a mask, 0 to 1, and its statistics are sums over pixels
weighted by it. The mask is drawn on the picture, the features lie on coarser grids, and one of their values sees a
whole patch of the picture. So the mask takes the way the picture takes, layer by layer: what a
convolution mixes and a pooling merges, the rule mixes and merges too. Nothing here is differentiated: masks are fixed
before the first evaluation.
"""

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, check_name
from handstyle.network.padding import pad_forward
from handstyle.network.pooling import average_pool_forward, max_pool_forward
from handstyle.network.sequence import Convolution, Layer, Pool, check_taps, deepest

RULES = ("fraction", "inside")


def carry_mask(
    layers: tuple[Layer, ...], mask: Array, taps: Sequence[str], rule: str = "fraction", hard: bool = False
) -> dict[str, Array]:  # (H, W) -> {tap: (h, w, 1)}
    """Carry a mask of the picture to the grid of each tap.

    Parameters
    ----------
    layers : tuple of Layer
        Of the network.
    mask : (H, W) array
        On the host, 0 to 1.
    taps : sequence of str
        Names of layers.
    rule : {"fraction", "inside"}
        ``fraction``: how much of what a value sees lies in the region. Each convolution averages its 3x3 window and
        each pooling its block, which is the receptive field of a network with equal weights: dense in the middle, thin
        at the rim (Luo et al. 2016, arXiv 1701.04128, §2). Masks that add up to 1 still do at every tap.
        ``inside``: the least of all that a value sees, so 1 only where nothing foreign is seen at all (the "inside"
        guides of Gatys et al. 2017, arXiv 1611.07865). Deep taps see 156 pixels of VGG-19's input, so this asks
        for large regions.
    hard : bool
        Whether the carried mask is cut at one half; it is soft otherwise.

    Returns
    -------
    dict of str to (h, w, 1) array
        float64, on the host. What lies beyond the picture's edge counts as neither in nor out.

    Raises
    ------
    HandstyleError
        If the rule or a tap is unknown, or the mask is no plane of numbers from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.zeros((4, 4))
    >>> mask[:, 2:] = 1.0
    >>> carried = carry_mask((Pool("pool1"), Pool("pool2")), mask, ["pool1", "pool2"])
    >>> carried["pool1"][..., 0], carried["pool2"].ravel()
    (array([[0., 1.],
           [0., 1.]]), array([0.5]))
    """
    check_name("rule for masks", rule, RULES)
    check_mask(mask)
    wanted = check_taps(layers, taps)
    m = np.asarray(mask, np.float64)[..., None]
    carried = {}
    for layer in layers[: deepest(layers, wanted)]:
        if isinstance(layer, Convolution):
            m = _average_window(m, layer.padding) if rule == "fraction" else _least_window(m)
        elif isinstance(layer, Pool) and rule == "fraction":
            m, _ = average_pool_forward(m, layer.rounding)  # book: region-pool
        elif isinstance(layer, Pool):
            m = -max_pool_forward(-m, layer.rounding)[0]
        if layer.name in wanted:
            carried[layer.name] = (m >= 0.5).astype(np.float64) if hard else m
    return carried


def _average_window(m: Array, padding: str) -> Array:  # (H, W, 1) -> (H, W, 1)
    # Zero padding is nothing seen, so the mean is over the window's part within; copied borders count as what they are.
    total, seen = (reduce(np.add, _windows(a, padding)) for a in (m, np.ones_like(m)))
    return total / seen  # book: region-window


def _least_window(m: Array) -> Array:  # (H, W, 1) -> (H, W, 1); a repeated border adds nothing that is not seen
    return reduce(np.minimum, _windows(m, "replicate"))  # book: region-inside


def _windows(m: Array, padding: str) -> list[Array]:  # (H, W, 1) -> nine (H, W, 1): what each 3x3 window holds
    H, W, _ = m.shape
    padded, _ = pad_forward(m, padding)
    return [padded[i : i + H, j : j + W] for i, j in np.ndindex(3, 3)]


def check_mask(mask: Array, name: str = "mask") -> None:
    """Raise `HandstyleError` unless `mask` is a plane of numbers from 0 to 1, not 0 everywhere.

    Examples
    --------
    >>> check_mask(np.array([[0.0, 1.0]]))
    >>> check_mask(np.array([[0.0, 255.0]]))
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: mask: values must lie between 0 and 1
    """
    if mask.ndim != 2:
        raise HandstyleError(f"{name}: a plane (H, W) is needed, not {mask.shape}")
    if not (np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1):
        raise HandstyleError(f"{name}: values must lie between 0 and 1")
    if not mask.any():
        raise HandstyleError(f"{name} is black everywhere: its region is empty")


def share_overlaps(masks: Sequence[Array]) -> list[Array]:  # n times (H, W) -> n times (H, W)
    """Return masks that nowhere add up to more than 1: where regions overlap, each gets its share.

    Parameters
    ----------
    masks : sequence of (H, W) arrays
        0 to 1.

    Returns
    -------
    list of (H, W) arrays
        Divided by their sum where that exceeds 1, as they were elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> share_overlaps([np.array([[1.0, 1.0]]), np.array([[1.0, 0.0]])])
    [array([[0.5, 1. ]]), array([[0.5, 0. ]])]
    """
    total = np.maximum(sum(masks), 1.0)
    return [mask / total for mask in masks]


def uncovered(masks: Sequence[Array]) -> Array:  # n times (H, W) -> (H, W)
    """Return how much of each pixel no region claims: the part that stays as the photograph is.

    Examples
    --------
    >>> uncovered([np.array([[1.0, 0.0, 0.5]]), np.array([[0.0, 0.0, 0.25]])]).tolist()
    [[0.0, 1.0, 0.25]]
    """
    return np.clip(1 - np.sum(masks, axis=0), 0, 1)


def check_carried(masks: Mapping[str, Array], name: str, rule: str) -> None:
    """Raise `HandstyleError` if a region vanishes on the way to a tap, which then could measure nothing.

    Parameters
    ----------
    masks : mapping of str to array
        The region's mask at each tap.
    name : str
        The name of the region in the error message.
    rule : str
        The rule by which the mask was resized to the layers.

    Examples
    --------
    >>> import numpy as np
    >>> try:
    ...     check_carried({"relu5_1": np.zeros((2, 2, 1))}, "region 1", "fraction")
    ... except HandstyleError as error:
    ...     print(error)
    region 1 is too small for relu5_1: no value there belongs to it; take a larger picture
    """
    for tap, mask in masks.items():
        if not mask.any():
            other = "take a larger picture or mask_rule='fraction'" if rule == "inside" else "take a larger picture"
            raise HandstyleError(f"{name} is too small for {tap}: no value there belongs to it; {other}")


def cysmith_mask(mask: Array, size: tuple[int, int]) -> Array:  # (H, W), (h, w) -> (h, w, 1)
    """Return a mask as cysmith/neural-style-tf has it at a layer: resized by area, divided by its maximum.

    Parameters
    ----------
    mask : (H, W) array
        0 to 1.
    size : (int, int)
        Of the layer.

    Returns
    -------
    (h, w, 1) array
        float64.

    Examples
    --------
    >>> import numpy as np
    >>> cysmith_mask(np.array([[0.0, 0.5], [0.0, 1.0]]), (1, 2))[..., 0]
    array([[0., 1.]])
    """
    check_mask(mask)
    small = _area_matrix(mask.shape[0], size[0]) @ mask.astype(np.float64) @ _area_matrix(mask.shape[1], size[1]).T
    return (small / small.max())[..., None]


def _area_matrix(n: int, m: int) -> Array:  # -> (m, n): row i holds the share of each of n cells in the i-th of m
    before = np.clip(np.arange(m + 1)[:, None] * (n / m) - np.arange(n), 0, 1)  # of each cell, before each edge
    return np.diff(before, axis=0) * (m / n)


def leak(gradient: Array, mask: Array) -> float:  # (H, W, 3), (H, W) -> 0 to 1
    """Return how much of a region's pull falls outside it: the share of the squared gradient where the mask is not.

    Parameters
    ----------
    gradient : (H, W, 3) array
        Of the region's style terms alone, at the picture.
    mask : (H, W) array
        The region, 0 to 1.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> gradient = np.array([[[3.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> leak(gradient, np.array([[1.0, 0.0]]))
    0.1
    """
    energy = (gradient.astype(np.float64) ** 2).sum(axis=2)
    total = float(energy.sum())
    return float((energy * (1 - mask)).sum()) / total if total else 0.0  # book: region-leak
