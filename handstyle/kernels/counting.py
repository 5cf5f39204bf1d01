"""Count the operations and the bytes of every layer, and choose the method of each convolution from the counts.

A processor is limited by the speed of its arithmetic and by that of its memory, and a layer takes at least as long as
the slower of the two needs. Four quantities are counted: multiplications and additions in large matrix products;
those in the small products of Winograd's transforms, which run slower; bytes between the caches and the core; and bytes
between memory and the caches. The estimated time is the sum of the times of all four. It is an upper bound, since some
of them overlap. The counts are exact; the rates are properties of a machine.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, NamedTuple

from handstyle.foundations.backend import Array
from handstyle.losses.patches import PatchTerm
from handstyle.losses.terms import Term

# With fewer channels than this, Winograd's convolution saves nothing.
MIN_CHANNELS = 8
# From this many channels on, the forward pass may use 6 x 6 tiles: such a map has few values, so rounding rarely
# changes which input of a pool is the largest, or whether a value is positive.
MANY_CHANNELS = 256
# Transformed kernels of at most this many bytes are read again for each block of tiles, from the second-level cache or
# near it; larger ones are read from memory once for all blocks.
CACHED_KERNELS = 5 << 20

# The overhead of a small matrix product, expressed in columns. Measured: with AVX2, on an EPYC of 2021, 128 (a product
# of 64 columns takes three times as long as 64 of the columns of a product of thousands); with the special kernels for
# AVX-512, on an EPYC of 2024, none from 32 columns on (OpenBLAS 0.3.31). This value serves both: the choices are the
# fastest with AVX-512, and where they are not with AVX2, a layer takes at most 11 % longer there by the counts.
SHORT_PRODUCT = 32

STRIP_VALUES = 1 << 21  # features that are copied in float64 at a time while a target is measured

# For pictures of at most this many pixels, all transformed kernels are kept from one evaluation to the next.
FEW_PIXELS = 320 * 320


class Tile(NamedTuple):
    """The size of a tile of Winograd's convolution: the number of outputs in a column and in a row.

    Examples
    --------
    >>> str(Tile(4, 4)), str(Tile(6, 1)), str(LOWERED)
    ('winograd 4x4', 'winograd 6x1', 'im2col')
    """

    down: int
    across: int

    def __str__(self) -> str:
        """Return the name of the convolution method with tiles of this size."""
        return f"winograd {self.down}x{self.across}" if self.down else "im2col"


LOWERED = Tile(0, 0)  # stands for convolution by lowering (im2col), which has no tiles


def ceil_div(a: int, b: int) -> int:
    """Return a / b, rounded up.

    Examples
    --------
    >>> ceil_div(7, 2), ceil_div(8, 2)
    (4, 4)
    """
    return -(-a // b)


@dataclass(frozen=True)
class Cost:
    """The number of operations and bytes that a computation takes; costs can be added.

    Parameters
    ----------
    products, transforms : int
        Multiplications and additions in large matrix products, and in small ones.
    cached, moved : int
        Bytes read from and written to the caches, and to memory.

    Examples
    --------
    >>> Cost(2, moved=3) + Cost(1)
    Cost(products=3, transforms=0, cached=0, moved=3)
    """

    products: int = 0
    transforms: int = 0
    cached: int = 0
    moved: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the sum of two costs."""
        return Cost(
            self.products + other.products,
            self.transforms + other.transforms,
            self.cached + other.cached,
            self.moved + other.moved,
        )


@dataclass(frozen=True)
class Machine:
    """The rates of a machine with all cores: operations and bytes per second, for each quantity of `Cost`.

    The default values are those of one core of a server processor of 2023 with AVX-512 (Xeon, 2.6 GHz) in round
    numbers. `measure_rates` in ``rates.py`` measures the machine at hand. The method of a convolution is always chosen
    with the default values, so that it depends on the shape alone and a run can be repeated on another machine.

    Examples
    --------
    >>> f"{Machine().products:g} operations and {Machine().moved:g} bytes a second"
    '1.2e+11 operations and 8e+09 bytes a second'
    """

    products: float = 120e9
    transforms: float = 40e9
    cached: float = 30e9
    moved: float = 8e9

    def seconds(self, cost: Cost) -> float:
        """Return the seconds that a cost takes if nothing overlaps.

        Examples
        --------
        >>> Machine(products=1e9, moved=1e8).seconds(Cost(products=3_000_000_000, moved=100_000_000))  # 3 s + 1 s
        4.0
        """
        return (
            cost.products / self.products  # book: counting-sum
            + cost.transforms / self.transforms
            + cost.cached / self.cached
            + cost.moved / self.moved
        )


def convolution_cost(H: int, W: int, C: int, K: int, tile: Tile, itemsize: int, kept: bool = False) -> Cost:
    """Return the cost of a 3x3 convolution of a (H, W, C) map to K channels, with bias and rectifier.

    Parameters
    ----------
    H, W, C, K : int
        The height, width and channels of the map, and the channels of the result.
    tile : Tile
        Size of a tile, m x m or m x 1 outputs; `LOWERED` for lowering (im2col).
    itemsize : int
        Bytes of a value.
    kept : bool
        Whether the transformed kernels were kept from an earlier call.

    Returns
    -------
    Cost

    Notes
    -----
    The adjoint has the cost of the convolution from K to C channels. By lowering, each output takes 9 C
    multiplications. With tiles of m x m and n = m + 2, each output takes n²/m² C (Lavin and Gray, arXiv 1509.09308,
    §4), and each tile is transformed: the input by an n x n matrix, along the m columns that the tile does not share
    with its neighbor and then along n rows; the output likewise, with an m x n matrix. With tiles of m x 1, each output
    takes 3 n/m C, and each column of a tile is transformed once before the products and once after them.

    Examples
    --------
    >>> direct, tiles = (convolution_cost(64, 64, 32, 32, tile, itemsize=4) for tile in (LOWERED, Tile(4, 4)))
    >>> direct.products / tiles.products
    4.0
    """
    maps = itemsize * (H * W * (C + K) + 9 * C * K)
    m = tile.down
    n = m + 2
    if tile == LOWERED:
        return Cost(2 * 9 * H * W * C * K, 0, itemsize * H * W * (2 * 9 * C + 3 * K), maps)  # book: counting-conv
    if tile.across == 1:
        bands = ceil_div(H, m)
        transforms = 2 * bands * W * n * (n * C + m * K) + 2 * 9 * n * C * K
        values = 2 * bands * W * (n * C + (n + m) * K)
        kernels = itemsize * 3 * n * C * K
        cost = Cost(2 * 3 * n * bands * W * C * K, transforms, itemsize * values, maps)
        return cost + (Cost(moved=bands * kernels) if kernels > CACHED_KERNELS else Cost(cached=bands * kernels))
    tiles = ceil_div(H, m) * ceil_div(W, m)
    # A product along a tile's columns has only as many columns as there are channels: the overhead is added.
    transforms = n * n * (m * C + n * (C + SHORT_PRODUCT)) + n * m * (n * K + m * (K + SHORT_PRODUCT))
    transforms = 2 * tiles * transforms + (not kept) * 2 * 9 * n * n * C * K
    values = tiles * (n * (m + 2 * n) * C + (2 * n * n + 2 * n * m + 2 * m * m) * K)
    kernels = itemsize * n * n * C * K
    moved = maps
    if kernels > CACHED_KERNELS:  # kernels and transformed tiles are then written to memory and read again
        moved += (1 if kept else 2) * kernels + itemsize * n * n * tiles * (C + K)
    return Cost(2 * n * n * tiles * C * K, transforms, itemsize * values + 2 * kernels, moved)


def pool_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Return the cost of 2x2 pooling of a (H, W, C) map that is in the cache, or of its adjoint.

    Examples
    --------
    >>> pool_cost(4, 4, 8, itemsize=4).moved  # a quarter of the map: 4 * 4 * 8 * 4 / 4 bytes
    128
    """
    # four passes over the map in the cache; a quarter of its size is written to memory
    return Cost(cached=4 * itemsize * H * W * C, moved=itemsize * H * W * C // 4)


def moments_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Return the cost of the moments (sums and Gram matrix) of a (H, W, C) map and of their gradient.

    The Gram matrix is symmetric, so its product takes half the operations of the gradient's. The matrices of C² values
    in float64 are read or written about twelve times, however small the map is (measured).

    Examples
    --------
    >>> moments_cost(10, 10, 8, itemsize=4).products  # 2 H W C² for the gradient, half as many for the Gram matrix
    19200
    """
    return Cost(3 * H * W * C * C, 0, 0, 3 * itemsize * H * W * C + 12 * 8 * C * C)


def patches_cost(n: int, m: int, values: int, itemsize: int) -> Cost:
    """Return the cost of finding the nearest of m patches to each of n patches, of `values` numbers each.

    Examples
    --------
    >>> patches_cost(n=100, m=50, values=9, itemsize=4).products  # 2 * 100 * 50 * 9
    90000
    """
    # one matrix product, and eight passes over the n patches
    return Cost(2 * n * m * values, 0, 4 * itemsize * n * m, itemsize * (8 * n + m) * values)


def content_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Return the cost of the squared distance of two (H, W, C) maps and of its gradient.

    Examples
    --------
    >>> content_cost(4, 4, 8, itemsize=4).moved  # ten times 4 * 4 * 8 * 4 bytes
    5120
    """
    # ten passes over memory
    return Cost(moved=10 * itemsize * H * W * C)


@cache
def choose_kernel(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    """Return the tile size with which a convolution takes the least time by the counts, or `LOWERED`.

    Larger tiles need fewer multiplications but have larger rounding errors. These can change whether a value is
    positive, or which value of a pool is the largest (see ``winograd.py``). So in the forward pass of the first blocks,
    which have most of the values, tiles have at most 4 x 4 outputs, or 6 x 1, which round no more. The deep blocks may
    have 6 x 6, and so may the adjoint, which is linear.

    Examples
    --------
    >>> [str(choose_kernel(128, 128, C, 64, adjoint=False)) for C in (3, 64)]
    ['im2col', 'winograd 6x1']
    """
    if min(C, K) < MIN_CHANNELS:
        return LOWERED
    machine = Machine()
    tiles = [LOWERED, Tile(2, 2), Tile(4, 4), Tile(4, 1), Tile(6, 1)]
    if adjoint or C >= MANY_CHANNELS:
        tiles.append(Tile(6, 6))
    kept = H * W <= FEW_PIXELS >> 8  # a map this small is that of the fifth block of a small picture
    return min(tiles, key=lambda tile: machine.seconds(convolution_cost(H, W, C, K, tile, 4, kept)))


def target_bytes(terms: Iterable[Term]) -> int:
    """Return the bytes of what terms hold before an evaluation: targets, masks, and patches of paintings.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.losses.content import ContentTerm
    >>> target = np.zeros((4, 4, 2))
    >>> target_bytes([ContentTerm("relu1_1", target), ContentTerm("relu1_2", target)])  # an array counts once
    256
    """
    terms = tuple(terms)
    arrays = {id(array): array.nbytes for array in _arrays_in(terms)}
    return sum(arrays.values()) + sum(term.bank_bytes for term in terms if isinstance(term, PatchTerm))


def _arrays_in(thing: Any) -> Iterator[Array]:
    """Yield the arrays in the fields of a term, and those in lists, tuples and partial functions there."""
    if getattr(thing, "ndim", 0):
        yield thing
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield from _arrays_in([getattr(thing, field.name) for field in fields(thing)])
    elif isinstance(thing, partial):
        yield from _arrays_in([*thing.args, *thing.keywords.values()])
    elif isinstance(thing, list | tuple):
        for part in thing:
            yield from _arrays_in(part)
