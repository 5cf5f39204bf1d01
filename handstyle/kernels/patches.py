"""Search the partners of some patches at a time, since the similarities of all take more memory than the features."""

from handstyle.foundations.backend import Array, namespace
from handstyle.losses.patches import PatchTerm, nearest
from handstyle.losses.terms import Statistic, Term

PRODUCTS_AT_ONCE = 1 << 22  # similarities that are in memory at a time
PATCH_MAPS = 3  # arrays of the size of all patches that a term allocates: patches, nearest patches, their difference


def working_values(term: PatchTerm, shape: tuple[int, ...]) -> int:
    """Return how many values a patch term's temporary arrays have, for features of a shape.

    Examples
    --------
    >>> import numpy as np
    >>> term = PatchTerm("relu1_1", [np.zeros((8, 8, 4))])
    >>> working_values(term, (8, 8, 4)) > 36 * 36  # at least the products of 6 x 6 patches with as many others
    True
    """
    own, bank, values = term.counts(shape)
    return PATCH_MAPS * own * values + 2 * min(own * bank, PRODUCTS_AT_ONCE)


def measure_map(term: Term, f: Array) -> Statistic:  # (h, w, C) -> statistic
    """Return a term's statistic of a whole map; of a `PatchTerm`, some patches at a time.

    Examples
    --------
    >>> import numpy as np
    >>> painting = np.random.default_rng(0).uniform(0, 1, (6, 6, 4))
    >>> measure_map(PatchTerm("relu3_1", painting), painting[1:5, 1:5]).partner  # of four rows with four patches
    array([ 5,  6,  9, 10])
    """
    if type(term) is not PatchTerm:
        return term.measure(f)
    patches, guides = term.patches_of(f)
    step = max(1, PRODUCTS_AT_ONCE // len(term.bank))
    cuts = [slice(top, top + step) for top in range(0, len(patches), step)]
    parts = [nearest(patches[cut], term.bank, guides and (guides[0][cut], guides[1])) for cut in cuts]
    return term.matches(patches, namespace(f).concatenate(parts))
