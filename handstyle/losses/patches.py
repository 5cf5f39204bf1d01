"""Style by patches: every 3x3 patch of the features is drawn to the painting's patch that is most like it.

A Gram matrix keeps how often features occur together and forgets where. A Markov random field keeps small
neighborhoods whole (Li and Wand 2016). Which patch of the painting is the nearest is found anew at each evaluation and
held fixed in the gradient: between two changes of partner the loss is a sum of squares, and that is its gradient.
"""

from dataclasses import dataclass
from functools import cached_property

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.losses.terms import WHOLE, Window

AT_ONCE = 1 << 22  # similarities that are held at a time


@dataclass(frozen=True)
class Matches:
    """The statistic of `PatchTerm`: how far the patches of a map are from their partners, and who these are.

    Parameters
    ----------
    distance : () array of float64
        The sum of squared distances, or the gradient at it.
    partner : (n,) array of int
        The row of each patch's partner.
    """

    distance: Array
    partner: Array


def patches_forward(f: Array) -> tuple[Array, tuple[int, ...]]:  # (h, w, C) -> ((h−2)(w−2), 9 C), shape
    """Lay every 3x3 patch of a map out as a row.

    Parameters
    ----------
    f : (h, w, C) array
        At least 3 x 3; a patch does not reach beyond the map.

    Returns
    -------
    patches : ((h − 2) (w − 2), 9 C) array
    shape : tuple of int
        Of `f`.
    """
    h, w, C = f.shape
    if min(h, w) < 3:
        raise HandstyleError(f"a map of {w} x {h} has no patch of 3 x 3: take a larger picture or a layer before")
    slices = [f[i : i + h - 2, j : j + w - 2] for i in range(3) for j in range(3)]
    return namespace(f).concatenate(slices, axis=2).reshape(-1, 9 * C), f.shape


def patches_backward(dpatches: Array, shape: tuple[int, ...]) -> Array:  # ((h−2)(w−2), 9 C), shape -> (h, w, C)
    """Add every patch's gradient where its values came from: the adjoint of `patches_forward`.

    Parameters
    ----------
    dpatches : ((h − 2) (w − 2), 9 C) array
        The gradient at the patches.
    shape : tuple of int
        Of the map.

    Returns
    -------
    (h, w, C) array
    """
    h, w, C = shape
    parts = dpatches.reshape(h - 2, w - 2, 9, C)
    df: Array = namespace(dpatches).zeros(shape, dpatches.dtype)
    for k in range(9):
        i, j = divmod(k, 3)
        df[i : i + h - 2, j : j + w - 2] += parts[:, :, k]
    return df


def nearest(patches: Array, bank: Array) -> Array:  # (n, D), (m, D) -> (n,) of 0 to m − 1
    """Return, for each patch, the row of the bank with the largest normalized cross-correlation.

    Parameters
    ----------
    patches : (n, D) array
        Of the picture.
    bank : (m, D) array
        Of the painting.

    Returns
    -------
    (n,) array of int
        Of equals the first.

    Notes
    -----
    Li and Wand (2016, eq. 3): ``argmax ⟨p, q⟩ / (|p| |q|)``. The length of `p` is the same for all its partners.
    """
    xp = namespace(patches)
    length = xp.sqrt((bank * bank).sum(axis=1))
    unit = bank / xp.where(length > 0, length, 1)[:, None]
    rows = max(1, AT_ONCE // len(bank))
    tops = range(0, len(patches), rows)
    found: Array = xp.concatenate([(patches[top : top + rows] @ unit.T).argmax(axis=1) for top in tops])
    return found


@dataclass(frozen=True)
class PatchTerm:
    """The squared distance of each 3x3 patch of features to its partner in a painting.

    Parameters
    ----------
    tap : str
        The name of a layer; Li and Wand have relu3_1 and relu4_1.
    painting : (h, w, C) array
        The painting's features there.
    weight : float
        Of the term in the objective.
    scale : float, optional
        By default one over the energy that as many patches of the painting have on average: a relative error.
    guides : (array, array), optional
        Semantic maps (Champandard 2016) of the picture, (H, W, G), and of the painting, (h, w, G), on the layer's grid,
        in the units of the features: like goes to like. They choose partners, and are not part of the distance.
    name : str
        By default ``patches`` and the tap.

    Raises
    ------
    HandstyleError
        If the guides do not fit the maps, a map has no patch, or only a part of a map is given: a patch may have its
        partner anywhere, but not its own values.

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
    painting: Array
    weight: float = 1.0
    scale: float | None = None
    guides: tuple[Array, Array] | None = None
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"patches {self.tap}")
        if self.guides is not None and self.guides[1].shape[:2] != self.painting.shape[:2]:
            raise HandstyleError(
                f"{self.name}: a guide of shape {self.guides[1].shape} for a painting of {self.painting.shape}"
            )

    @cached_property
    def bank(self) -> Array:  # -> (m, 9 C)
        """The painting's patches."""
        return patches_forward(self.painting)[0]

    @cached_property
    def guided_bank(self) -> Array:  # -> (m, 9 (C + G))
        """The painting's patches with its guide beside the features."""
        return self.bank if self.guides is None else patches_forward(_beside(self.painting, self.guides[1]))[0]

    def measure(self, f: Array, where: Window = WHOLE) -> Matches:  # (h, w, C) -> distance, (n,)
        """Return the squared distance of all patches to their partners, and the partners."""
        if where != WHOLE:
            raise HandstyleError(f"{self.name}: patches need the whole map, which tiles do not give")
        patches, guided = patches_forward(f)[0], f
        if self.guides is not None:
            if self.guides[0].shape[:2] != f.shape[:2]:
                raise HandstyleError(f"{self.name}: a guide of shape {self.guides[0].shape} for features of {f.shape}")
            guided = _beside(f, self.guides[0])
        partner = nearest(patches if guided is f else patches_forward(guided)[0], self.guided_bank)  # book: patch-match
        difference = patches - self.bank[partner]
        return Matches((difference * difference).sum(dtype="float64"), partner)  # book: patch-loss

    def loss(self, s: Matches) -> tuple[Array, Matches]:  # -> (), gradient at the distance
        """Return ``scale · distance`` and its gradient, the scale, with the partners that it holds for."""
        scale = self.scale
        if scale is None:
            energy = float((self.bank * self.bank).sum(dtype="float64")) / len(self.bank)
            if energy == 0:
                raise HandstyleError(f"{self.name}: the painting's features are zero everywhere: choose another layer")
            scale = 1 / (len(s.partner) * energy)
        return scale * s.distance, Matches(namespace(s.distance).full_like(s.distance, scale), s.partner)

    def spread(self, ds: Matches, f: Array, where: Window = WHOLE) -> Array:  # -> (h, w, C)
        """Return the gradient at the features: ``2 ds (patch − partner)``, added up where patches overlap."""
        patches, shape = patches_forward(f)
        distance = namespace(f).asarray(ds.distance, dtype=f.dtype)
        return patches_backward(2 * distance * (patches - self.bank[ds.partner]), shape)  # book: patch-gradient


def _beside(f: Array, guide: Array) -> Array:  # (h, w, C), (h, w, G) -> (h, w, C + G)
    both: Array = namespace(f).concatenate([f, namespace(f).asarray(guide, dtype=f.dtype)], axis=2)
    return both
