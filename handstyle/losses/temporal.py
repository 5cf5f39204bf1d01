"""The temporal loss of films: the squared distance of a frame to the last painted frame, moved along the optical flow.

If every frame is painted independently, strokes differ from frame to frame and the film flickers. So the last painted
frame, moved along the optical flow between the photographs, is a target wherever the flow is reliable: where the flows
forward and backward agree. Flow, moved frame and mask are computed before the first evaluation, so the loss is a sum of
squares: that of `ContentTerm` at the picture itself.
"""

import numpy as np
from scipy.ndimage import map_coordinates

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.content import ContentTerm
from handstyle.losses.terms import PICTURE


def warp(p: Array, flow: Array) -> Array:  # (H, W, C), (2, H, W) -> (H, W, C)
    """Move a picture along a flow, ``ω(x) = p(x + flow(x))``, with bilinear interpolation.

    Parameters
    ----------
    p : (H, W, C) array
        The earlier frame; on the host.
    flow : (2, H, W) array
        Displacement in rows and columns, px, from each pixel of the later frame to its position in `p`; positions
        outside take the nearest pixel of the edge.

    Returns
    -------
    (H, W, C) array of float64

    Examples
    --------
    >>> picture = np.arange(8.0).reshape(2, 4, 1)
    >>> warp(picture, np.stack([np.zeros((2, 4)), np.ones((2, 4))]))[..., 0]  # from one pixel to the right
    array([[1., 2., 3., 3.],
           [5., 6., 7., 7.]])
    """
    at = np.indices(flow.shape[1:]) + flow
    planes = [map_coordinates(p[..., c].astype(np.float64), at, order=1, mode="nearest") for c in range(p.shape[2])]
    return np.stack(planes, axis=-1)


def certainty(forward: Array, backward: Array) -> Array:  # (2, H, W), (2, H, W) -> (H, W) of bool
    """Return the mask of pixels with a reliable flow: consistent, away from motion boundaries, and inside the picture.

    Parameters
    ----------
    forward : (2, H, W) array
        The flow ``w`` from the earlier frame to the later one, rows and columns, px.
    backward : (2, H, W) array
        The flow ``ŵ`` from the later frame to the earlier one.

    Returns
    -------
    (H, W) array of bool
        The mask for the later frame. It is False where ``|w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5`` with
        ``w̃(x) = w(x + ŵ(x))``, that is at pixels that were occluded before; and where ``|∇û|² + |∇v̂|² > 0.01 |ŵ|² +
        0.002``, that is at motion boundaries.

    Notes
    -----
    The two inequalities and their constants are those of Ruder, Dosovitskiy and Brox (2016, "Artistic style transfer
    for videos", arXiv 1604.08610, section 4.2), after Sundaram, Brox and Keutzer (2010), and of their program
    (``consistencyChecker.cpp`` of manuelruder/artistic-videos), which also blurs the mask by 0.8 px.

    Examples
    --------
    >>> one = np.stack([np.zeros((2, 4)), np.ones((2, 4))])  # all moves by a pixel
    >>> certainty(-one, one)  # the last column was outside
    array([[ True,  True,  True, False],
           [ True,  True,  True, False]])
    """
    there = warp(np.moveaxis(forward, 0, -1), backward)
    back = np.moveaxis(backward, 0, -1).astype(np.float64)
    size = (back**2).sum(axis=-1)
    returns = ((there + back) ** 2).sum(axis=-1) <= 0.01 * ((there**2).sum(axis=-1) + size) + 0.5
    steepness = sum((slope**2).sum(axis=-1) for slope in np.gradient(back, axis=(0, 1)))
    at, (H, W) = np.indices(backward.shape[1:]) + backward, backward.shape[1:]
    inside = (at[0] >= 0) & (at[0] <= H - 1) & (at[1] >= 0) & (at[1] <= W - 1)
    return returns & (steepness <= 0.01 * size + 0.002) & inside


def temporal_term(target: Array, certain: Array, weight: float = 1.0) -> ContentTerm:  # (H, W, 3), (H, W, 1)
    """Return the term ``1/D Σ c (p − ω)²``: the mean squared distance of a frame to the moved last frame.

    Parameters
    ----------
    target : (H, W, 3) array
        The last painted frame ``ω``, from `warp`; on the device of the network, in its dtype.
    certain : (H, W, 1) array
        The mask ``c``, from `certainty`, 0 to 1, on the same device, in the same dtype.
    weight : float
        Weight of the term in the objective.

    Returns
    -------
    ContentTerm
        A term at the picture named ``temporal``. `content_forward` and `content_backward` compute its value and its
        gradient, ``2/D c (p − ω)``, with ``D = 3 H W``; every engine has kernels for them.

    Raises
    ------
    HandstyleError
        If the mask does not fit.

    Notes
    -----
    Ruder, Dosovitskiy and Brox (2016, arXiv 1604.08610, section 4.2), with values of 0 to 255.

    Examples
    --------
    >>> term = temporal_term(np.zeros((1, 2, 3)), np.array([[[1.0], [0.0]]]))
    >>> value, ds = term.loss(term.measure(np.full((1, 2, 3), 2.0)))
    >>> float(value)  # half of the pixels count
    2.0
    """
    if certain.shape != (*target.shape[:2], 1):
        raise HandstyleError(f"temporal: a mask of shape {certain.shape} for a frame of {target.shape}")
    return ContentTerm(PICTURE, target, weight, 1 / target.size, certain, "temporal")
