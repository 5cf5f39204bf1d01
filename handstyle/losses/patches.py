"""Style by patches: the squared distance of every patch of the features to the most similar patch of the painting.

A Gram matrix contains how often features occur together, but not where. A Markov random field compares small
neighborhoods as a whole (Li and Wand 2016). The most similar patch, called the partner, is searched at each evaluation
and taken as constant in the gradient: between two changes of partners the loss is a sum of squares with this gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.terms import WHOLE, Window


@dataclass(frozen=True)
class Matches:
    """The statistic of `PatchTerm`: the distance of the patches of a map to their partners, and the partners.

    Parameters
    ----------
    distance : () array of float64
        The sum of squared distances, or the gradient at it.
    partner : (n,) array of int
        The row of each patch's partner.

    Examples
    --------
    >>> import numpy as np
    >>> matches = Matches(np.float64(2.5), np.array([0, 3]))
    >>> len(matches.partner)  # patches that the distance is a sum over
    2
    """

    distance: Array
    partner: Array


def patches_forward(  # (h, w, C) -> (n, size² C), (shape, size, stride)
    f: Array, size: int = 3, stride: int = 1
) -> tuple[Array, tuple[tuple[int, ...], int, int]]:
    """Copy every patch of a map into a row of a matrix.

    Parameters
    ----------
    f : (h, w, C) array
        At least `size` values a side; a patch does not reach beyond the map.
    size : int
        Side of a patch.
    stride : int
        Distance from one patch to the next, down and across.

    Returns
    -------
    patches : (n, size² C) array
        The patches in reading order.
    cache : (tuple of int, int, int)
        The shape of `f`, the size and the stride.

    See Also
    --------
    patches_backward : Its adjoint.

    Examples
    --------
    >>> import numpy as np
    >>> patches, cache = patches_forward(np.arange(6.0).reshape(2, 3, 1), size=2)
    >>> patches
    array([[0., 1., 3., 4.],
           [1., 2., 4., 5.]])
    """
    h, w, C = f.shape
    if min(h, w) < size:
        raise HandstyleError(
            f"a map of {w} x {h} has no patch of {size} x {size}: take a larger picture or a layer before"
        )
    slices = [f[i : h - size + i + 1 : stride, j : w - size + j + 1 : stride] for i, j in np.ndindex(size, size)]
    return namespace(f).concatenate(slices, axis=2).reshape(-1, size * size * C), (f.shape, size, stride)


def patches_backward(dpatches: Array, cache: tuple[tuple[int, ...], int, int]) -> Array:  # (n, size² C) -> (h, w, C)
    """Add the gradient of every patch at the positions of its values: the adjoint of `patches_forward`.

    Parameters
    ----------
    dpatches : (n, size² C) array
        The gradient at the patches.
    cache : (tuple of int, int, int)
        From `patches_forward`.

    Returns
    -------
    (h, w, C) array

    See Also
    --------
    patches_forward : The forward function.

    Examples
    --------
    >>> import numpy as np
    >>> _, cache = patches_forward(np.zeros((2, 3, 1)), size=2)
    >>> patches_backward(np.ones((2, 4)), cache)[..., 0]  # in how many patches each value is
    array([[1., 2., 1.],
           [1., 2., 1.]])
    """
    (h, w, C), size, stride = cache
    parts = dpatches.reshape(*patch_grid(h, w, size, stride), size * size, C)
    df: Array = namespace(dpatches).zeros((h, w, C), dpatches.dtype)
    for k, (i, j) in enumerate(np.ndindex(size, size)):
        df[i : h - size + i + 1 : stride, j : w - size + j + 1 : stride] += parts[:, :, k]  # book: patch-overlap
    return df


def patch_grid(h: int, w: int, size: int, stride: int) -> tuple[int, int]:
    """Return the numbers of patches down and across a map of h x w values; see `patches_forward`.

    Examples
    --------
    >>> patch_grid(8, 10, size=3, stride=1), patch_grid(8, 10, size=3, stride=2)
    ((6, 8), (3, 4))
    """
    return max(0, (h - size) // stride + 1), max(0, (w - size) // stride + 1)


def nearest(  # (n, D), (m, D) -> (n,) of 0 to m − 1
    patches: Array, bank: Array, guides: tuple[Array, Array] | None = None
) -> Array:
    """Return, for each patch, the row of the bank with the largest normalized cross-correlation.

    Parameters
    ----------
    patches : (n, D) array
        The patches of the picture.
    bank : (m, D) array
        The patches of the painting.
    guides : ((n, E) array, (m, E) array), optional
        The patches of semantic maps, which are compared together with the features.

    Returns
    -------
    (n,) array of int
        Rows of `bank`; of equally similar ones the first.

    Notes
    -----
    Li and Wand (2016, eq. 3): ``argmax ⟨p, q⟩ / (|p| |q|)``. The length of `p` is the same for all its partners.

    Examples
    --------
    >>> import numpy as np
    >>> bank = np.array([[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    >>> nearest(np.array([[9.0, 1.0], [2.0, 2.0]]), bank)
    array([0, 2])
    """
    xp = namespace(patches)
    square = xp.einsum("ij,ij->i", bank, bank)
    if guides is not None:
        square = square + xp.einsum("ij,ij->i", guides[1], guides[1])
    length = xp.where(square > 0, xp.sqrt(square), 1).astype(patches.dtype)
    alike = patches @ bank.T
    if guides is not None:
        alike = alike + guides[0] @ guides[1].T
    return (alike / length).argmax(axis=1)


@dataclass(frozen=True)
class PatchTerm:
    """The squared distance of each patch of features to its partner in a painting.

    Parameters
    ----------
    tap : str
        The name of a layer; relu3_1 and relu4_1 in Li and Wand.
    painting : (h, w, C) array or sequence of them
        The features of the painting at the layer, or of several paintings, whose patches are then all candidates.
    weight : float
        Weight of the term in the objective.
    scale : float, optional
        Factor of the distance; by default it makes the error relative: 1 / (mean squared length of the painting's
        patches × number of the picture's patches).
    guides : (array, array or sequence of arrays), optional
        Semantic maps (Champandard 2016) of the picture, (H, W, G), and of each painting, (h, w, G), at the size of the
        layer's map and in the units of the features. They influence the choice of partners, not the distance.
    name : str
        The name of the term; by default ``patches`` and the tap.
    size, stride : int
        Side of a patch, and distance from one patch to the next, in values of the layer.
    mask : (H, W, 1) array, optional
        The weight of each value of the picture's map; the weight of a patch is the mean of those of its values.
    inside : sequence of (h, w, 1) arrays or None, optional
        For each painting the weight of each value; patches with a mean below one half are not candidates.

    Raises
    ------
    HandstyleError
        If the guides do not fit the maps, a map has no patch, or only a part of a map is measured: patches across its
        border would be missing.

    References
    ----------
    Li and Wand 2016, *Combining Markov random fields and convolutional neural networks for image synthesis*, CVPR,
    arXiv 1601.04589, eqs. 2 and 3. Champandard 2016, *Semantic style transfer and turning two-bit doodles into fine
    artworks*, arXiv 1603.01768.

    Examples
    --------
    >>> import numpy as np
    >>> painting = np.random.default_rng(0).uniform(0, 1, (6, 6, 4))
    >>> term = PatchTerm("relu3_1", painting)
    >>> value, ds = term.loss(term.measure(painting[1:, 2:]))  # every patch of which is in the painting
    >>> float(value), float(abs(term.spread(ds, painting[1:, 2:])).max())
    (0.0, 0.0)
    """

    tap: str
    painting: Array | Sequence[Array]
    weight: float = 1.0
    scale: float | None = None
    guides: tuple[Array, Array | Sequence[Array]] | None = None
    name: str = ""
    size: int = 3
    stride: int = 1
    mask: Array | None = None
    inside: Sequence[Array | None] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"patches {self.tap}")
        if self.guides is not None:
            for painting, guide in zip(self._paintings, _as_tuple(self.guides[1]), strict=True):
                if guide.shape[:2] != painting.shape[:2]:
                    raise HandstyleError(
                        f"{self.name}: a guide of shape {guide.shape} for a painting of {painting.shape}"
                    )

    @property
    def _paintings(self) -> tuple[Array, ...]:  # (h, w, C) each
        """The features of each painting."""
        return _as_tuple(self.painting)

    @cached_property
    def bank(self) -> Array:  # -> (m, size² C)
        """The paintings' patches, in reading order, without those that `inside` excludes.

        Examples
        --------
        >>> import numpy as np
        >>> left = np.zeros((3, 5, 1))
        >>> left[:, :3] = 1.0
        >>> painting = np.zeros((3, 5, 4))  # has three patches of 3 x 3
        >>> PatchTerm("relu3_1", painting).bank.shape, PatchTerm("relu3_1", painting, inside=[left]).bank.shape
        ((3, 36), (2, 36))
        """
        bank = self._candidates(self._paintings)
        if not len(bank):
            raise HandstyleError(
                f"{self.name}: no patch of the painting lies where it is measured: take a larger picture or mask"
            )
        return bank

    @cached_property
    def _guide_bank(self) -> Array:  # -> (m, size² G)
        """The guides at the paintings' patches."""
        assert self.guides is not None
        return self._candidates([guide.astype(self.bank.dtype) for guide in _as_tuple(self.guides[1])])

    def _candidates(self, maps: Sequence[Array]) -> Array:  # (h, w, G) each -> (m, size² G)
        parts = []
        for f, inside in zip(maps, self.inside or [None] * len(maps), strict=True):
            patches = patches_forward(f, self.size, self.stride)[0]
            parts.append(patches if inside is None else patches[self._share(inside) >= 0.5])
        return parts[0] if len(parts) == 1 else namespace(parts[0]).concatenate(parts)

    def _share(self, mask: Array) -> Array:  # (h, w, 1) -> (n,)
        return patches_forward(mask, self.size, self.stride)[0].mean(axis=1)

    @cached_property
    def _energy(self) -> float:
        """The mean squared length of the paintings' patches."""
        energy = float((self.bank * self.bank).sum(dtype="float64")) / len(self.bank)
        if energy == 0:
            raise HandstyleError(f"{self.name}: the painting's features are zero everywhere: choose another layer")
        return energy

    def counts(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return how many patches features of a shape have, how many the paintings, and the numbers of a patch.

        Examples
        --------
        >>> import numpy as np
        >>> PatchTerm("relu3_1", [np.zeros((4, 4, 2)), np.zeros((3, 3, 2))]).counts((3, 5, 2))  # 3; 4 and 1; 3 · 3 · 2
        (3, 5, 18)
        """
        shapes = [*(f.shape for f in self._paintings), shape]
        grids = [patch_grid(h, w, self.size, self.stride) for h, w, _ in shapes]
        *bank, own = (down * across for down, across in grids)
        return own, sum(bank), self.size**2 * shape[2]

    @property
    def bank_bytes(self) -> int:
        """The bytes of the paintings' patches, all of which may lie where the style is measured.

        Examples
        --------
        >>> import numpy as np
        >>> PatchTerm("relu3_1", np.zeros((4, 4, 2), np.float32)).bank_bytes  # 4 patches of 18 numbers of 4 bytes
        288
        """
        _, patches, values = self.counts(self._paintings[0].shape)
        return patches * values * self._paintings[0].itemsize

    def measure(self, f: Array, where: Window = WHOLE) -> Matches:  # (h, w, C) -> distance, (n,)
        """Return the squared distance of all patches to their partners, and the partners.

        Examples
        --------
        >>> import numpy as np
        >>> term = PatchTerm("relu3_1", np.array([[[1.0, 0.0], [0.0, 1.0]]]), size=1)
        >>> matches = term.measure(np.array([[[0.0, 3.0]]]))  # one pixel, more like the second of the painting
        >>> matches.partner, float(matches.distance)
        (array([1]), 4.0)
        """
        if where != WHOLE:
            raise HandstyleError(f"{self.name}: patches need the whole map, which tiles do not give")
        patches, guides = self.patches_of(f)
        return self.matches(patches, nearest(patches, self.bank, guides))  # book: patch-match

    def patches_of(self, f: Array) -> tuple[Array, tuple[Array, Array] | None]:  # (h, w, C) -> (n, size² C), guides
        """Return the patches of the features, and those of the semantic maps of picture and paintings, if any.

        Examples
        --------
        >>> import numpy as np
        >>> painting = np.zeros((4, 4, 2))
        >>> term = PatchTerm("relu3_1", painting, guides=(np.zeros((3, 5, 1)), np.zeros((4, 4, 1))))
        >>> patches, guides = term.patches_of(np.zeros((3, 5, 2)))
        >>> patches.shape, [one.shape for one in guides]
        ((3, 18), [(3, 9), (4, 9)])
        """
        patches, guides = patches_forward(f, self.size, self.stride)[0], None
        if self.guides is not None:
            if self.guides[0].shape[:2] != f.shape[:2]:
                raise HandstyleError(f"{self.name}: a guide of shape {self.guides[0].shape} for features of {f.shape}")
            guides = patches_forward(self.guides[0].astype(f.dtype), self.size, self.stride)[0], self._guide_bank
        return patches, guides

    def matches(self, patches: Array, partner: Array) -> Matches:  # (n, size² C), (n,) -> distance, (n,)
        """Return the squared distance of patches to their partners, with the partners.

        Examples
        --------
        >>> import numpy as np
        >>> term = PatchTerm("relu3_1", np.array([[[1.0, 0.0], [0.0, 1.0]]]), size=1)
        >>> float(term.matches(np.array([[0.0, 3.0]]), partner=np.array([0])).distance)  # (0 − 1)² + (3 − 0)²
        10.0
        """
        difference = patches - self.bank[partner]
        squares = (difference * difference).sum(axis=1, dtype="float64")
        if self.mask is not None:
            squares = self._share(self.mask) * squares
        return Matches(squares.sum(), partner)  # book: patch-loss

    def loss(self, s: Matches) -> tuple[Array, Matches]:  # -> (), gradient at the distance
        """Return ``scale · distance`` and its gradient, the scale, with the partners that it holds for.

        Examples
        --------
        >>> import numpy as np
        >>> term = PatchTerm("relu3_1", np.array([[[2.0, 0.0], [0.0, 2.0]]]), size=1)
        >>> value, ds = term.loss(Matches(np.float64(4.0), np.array([1])))
        >>> float(value), float(ds.distance)  # relative to one patch of squared length 2²
        (1.0, 0.25)
        """
        scale = 1 / (len(s.partner) * self._energy) if self.scale is None else self.scale
        return scale * s.distance, Matches(namespace(s.distance).full_like(s.distance, scale), s.partner)

    def spread(self, ds: Matches, f: Array, where: Window = WHOLE) -> Array:  # -> (h, w, C)
        """Return the gradient at the features: ``2 ds (patch − partner)``, added up where patches overlap.

        Examples
        --------
        >>> import numpy as np
        >>> term, f = PatchTerm("relu3_1", np.zeros((1, 2, 1)), size=1), np.array([[[1.0], [3.0]]])
        >>> term.spread(Matches(np.float64(0.5), np.array([0, 1])), f).ravel()
        array([1., 3.])
        """
        patches, cache = patches_forward(f, self.size, self.stride)
        pull = 2 * namespace(f).asarray(ds.distance, dtype=f.dtype)
        if self.mask is not None:
            pull = pull * self._share(self.mask)[:, None].astype(f.dtype)
        return patches_backward(pull * (patches - self.bank[ds.partner]), cache)  # book: patch-gradient


def _as_tuple(maps: Array | Sequence[Array]) -> tuple[Array, ...]:
    return tuple(maps) if isinstance(maps, Sequence) else (maps,)
