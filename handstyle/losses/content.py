"""Content: the squared distance between the features of two pictures at one layer."""

from dataclasses import dataclass
from functools import cached_property

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.terms import WHOLE, Window


def content_forward(f: Array, target: Array, mask: Array | None = None) -> Array:  # (h, w, C), (h, w, C) -> ()
    """Return the squared distance of two feature maps, ``Σ mask (f − target)²``.

    Parameters
    ----------
    f : (h, w, C) array
        The picture's features.
    target : (h, w, C) array
        The photograph's features at the same layer.
    mask : (h, w, 1) array, optional
        How much each pixel counts, 0 or more; 1 by default.

    Returns
    -------
    () array of float64
        On the device of `f`, summed in float64.

    See Also
    --------
    content_backward : The gradient at the features.

    Notes
    -----
    Gatys, Ecker and Bethge (2016, "Image style transfer using convolutional neural networks", eq. 1) take half of it.

    Examples
    --------
    >>> import numpy as np
    >>> content_forward(np.array([[[1.0, 3.0]]]), np.array([[[0.0, 1.0]]]))
    np.float64(5.0)
    """
    difference = f - target
    weighted = difference if mask is None else mask.astype(f.dtype) * difference
    return (weighted * difference).sum(dtype="float64")  # book: content-loss


def content_backward(ds: Array | float, f: Array, target: Array, mask: Array | None = None) -> Array:
    # (), (h, w, C), (h, w, C) -> (h, w, C)
    """Return the gradient at `f`, ``2 ds mask (f − target)``.

    Parameters
    ----------
    ds : () array or float
        The gradient at the squared distance.
    f, target, mask
        As in `content_forward`.

    Returns
    -------
    (h, w, C) array
        The dtype of `f`.

    See Also
    --------
    content_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> content_backward(1.0, np.array([[[1.0, 3.0]]]), np.array([[[0.0, 1.0]]]))
    array([[[2., 4.]]])
    """
    difference = f - target
    weighted = difference if mask is None else mask.astype(f.dtype) * difference
    return (2 * namespace(f).asarray(ds, dtype=f.dtype)) * weighted  # book: content-gradient


def relative_scale(target: Array, mask: Array | None = None) -> float:  # (h, w, C), (h, w, 1) -> 1 / Σ mask target²
    """Return the scale that turns a squared distance into a squared relative error: see `scale_of`.

    Examples
    --------
    >>> import numpy as np
    >>> relative_scale(np.array([[[3.0, 4.0]]]))  # 1 / (3² + 4²)
    0.04
    """
    return scale_of(content_forward(0 * target, target, mask))  # book: content-scale


def scale_of(energy: Array | float, what: str = "content") -> float:
    """Return the scale of a loss, given the squared distance of its target from zero; `what` names it in an error.

    Raises
    ------
    HandstyleError
        If the target is zero everywhere: nothing can be relative to it.

    Examples
    --------
    >>> scale_of(4.0)
    0.25
    """
    if (value := float(energy)) <= 0:  # read once: each reading waits for a GPU
        raise HandstyleError(f"{what}: the target is zero everywhere: choose another layer or picture, or give a scale")
    return 1 / value


def part_of(mask: Array | None, where: Window | slice) -> Array | None:  # (H, W, 1) -> (h, w, 1)
    """Return the part `where` of a mask, or None if there is no mask.

    Examples
    --------
    >>> import numpy as np
    >>> mask = np.arange(4.0).reshape(4, 1, 1)
    >>> part_of(mask, slice(1, 3)).ravel().tolist(), part_of(None, slice(1, 3))
    ([1.0, 2.0], None)
    """
    return None if mask is None else mask[where]


@dataclass(frozen=True)
class ContentTerm:
    """The squared distance to `target` at a tap, times `scale`.

    Parameters
    ----------
    tap : str
        The name of a layer, or `PICTURE`.
    target : (h, w, C) array
        The photograph's features there.
    weight : float
        Of the term in the objective.
    scale : float, optional
        By default one over ``Σ mask target²``: the squared relative error, which needs no tuning from one layer, size
        or network to the next. Gatys et al. (2016, eq. 1) have 1/2.
    mask : (h, w, 1) array, optional
        How much each pixel counts.
    name : str
        By default ``content`` and the tap.

    Examples
    --------
    >>> import numpy as np
    >>> term = ContentTerm("relu4_2", target=np.array([[[0.0, 2.0]]]))
    >>> value, ds = term.loss(term.measure(np.array([[[1.0, 2.0]]])))
    >>> term.name, float(value)
    ('content relu4_2', 0.25)
    """

    tap: str
    target: Array
    weight: float = 1.0
    scale: float | None = None
    mask: Array | None = None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"content {self.tap}")

    @cached_property
    def factor(self) -> float:
        """The scale, computed once where none was given.

        Examples
        --------
        >>> import numpy as np
        >>> target = np.array([[[0.0, 2.0]]])
        >>> ContentTerm("relu4_2", target).factor, ContentTerm("relu4_2", target, scale=0.5).factor  # 1 / 2²
        (0.25, 0.5)
        """
        return relative_scale(self.target, self.mask) if self.scale is None else float(self.scale)

    def measure(self, f: Array, where: Window = WHOLE) -> Array:  # (h, w, C) -> ()
        """Return the squared distance of `f` to the target, or to its part `where` if `f` is a part of the map.

        Examples
        --------
        >>> import numpy as np
        >>> term, f = ContentTerm("relu4_2", np.zeros((2, 2, 1))), np.array([[[1.0], [2.0]], [[3.0], [4.0]]])
        >>> rows = [term.measure(f[:1], np.s_[:1, :]), term.measure(f[1:], np.s_[1:, :])]
        >>> float(term.measure(f)), [float(s) for s in rows]  # the parts add up
        (30.0, [5.0, 25.0])
        """
        target = self.target[where]
        if f.shape != target.shape:
            raise HandstyleError(f"{self.name}: features of shape {f.shape} against a target of {target.shape}")
        return content_forward(f, target, part_of(self.mask, where))

    def loss(self, s: Array) -> tuple[Array, Array]:  # () -> (), ()
        """Return ``scale s`` and its gradient at the squared distance `s`, the scale.

        Examples
        --------
        >>> import numpy as np
        >>> value, ds = ContentTerm("relu4_2", np.array([[[0.0, 2.0]]])).loss(np.float64(1.0))
        >>> float(value), float(ds)  # 1 relative to 2²
        (0.25, 0.25)
        """
        return self.factor * s, namespace(s).full_like(s, self.factor)

    def spread(self, ds: Array, f: Array, where: Window = WHOLE) -> Array:  # (), (h, w, C) -> (h, w, C)
        """Return the gradient at the features, ``2 ds mask (f − target)``.

        Examples
        --------
        >>> import numpy as np
        >>> mask = np.array([[[1.0], [0.0]]])
        >>> term = ContentTerm("relu4_2", np.array([[[1.0], [1.0]]]), mask=mask)
        >>> term.spread(np.float64(0.5), np.array([[[4.0], [9.0]]])).ravel()  # the second pixel does not count
        array([3., 0.])
        """
        return content_backward(ds, f, self.target[where], part_of(self.mask, where))
