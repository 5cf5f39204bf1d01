"""Counting: the operations and the bytes of every layer, and the kernel that a count favours.

A processor has two speeds, that of its arithmetic and that of its memory, and a layer takes at least as long as
the slower of its two demands. What is counted here are four demands: multiplications and additions in large matrix
products; the same in the small products of Winograd's transforms, which run slower; bytes that pass between the
caches and the core; and bytes that pass between memory and the caches. The estimate adds them up, which overlapping
makes an upper bound. The counts are exact, and the rates belong to a machine.
"""

from dataclasses import dataclass
from typing import NamedTuple

# Fewer channels than this leave nothing to gain in Winograd's products.
FEWEST_CHANNELS = 8
# From so many channels on a map has so few values that rounding may decide more of them.
MANY_CHANNELS = 256
# Transformed kernels up to this many bytes are read again for each block of tiles, from the second-level cache or near
# it; larger ones once for all.
CACHED_KERNELS = 5 << 20

# What a small product costs beside its arithmetic, in columns: one of 64 columns takes three times as long as a stretch
# of 64 in a product of thousands, one of 256 half as long again. (OpenBLAS 0.3.31 with AVX2, on an EPYC of 2021.)
SHORT_PRODUCT = 128

# A picture of so many pixels or fewer keeps all its transformed kernels from one evaluation to the next.
FEW_PIXELS = 320 * 320


class Tile(NamedTuple):
    """The outputs that Winograd's convolution makes together: `down` the column and `across` the row."""

    down: int
    across: int

    def __str__(self) -> str:
        """Return the name of the kernel that works with such tiles."""
        return f"winograd {self.down}x{self.across}" if self.down else "im2col"


LOWERED = Tile(0, 0)  # no tiles: the convolution as one product, by lowering


def ceil_div(a: int, b: int) -> int:
    """Return a / b, rounded up."""
    return -(-a // b)


@dataclass(frozen=True)
class Cost:
    """What a piece of work demands; costs add up.

    Parameters
    ----------
    products, transforms : int
        Multiplications and additions, in large and in small matrix products.
    cached, moved : int
        Bytes read and written, in the caches and in memory.
    """

    products: int = 0
    transforms: int = 0
    cached: int = 0
    moved: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """Return the cost of both."""
        return Cost(
            self.products + other.products,
            self.transforms + other.transforms,
            self.cached + other.cached,
            self.moved + other.moved,
        )


@dataclass(frozen=True)
class Machine:
    """The rates of a machine, all cores together: operations and bytes a second.

    The default is one core of a server processor of 2023 with AVX-512 (Xeon, 2.6 GHz) in round numbers, one
    thread: `measure_rates` in ``rates.py`` measures the machine at hand. The choice of kernels uses the default
    everywhere, so that it depends on the shape alone and a run can be repeated elsewhere.
    """

    products: float = 120e9
    transforms: float = 40e9
    cached: float = 30e9
    moved: float = 8e9

    def seconds(self, cost: Cost) -> float:
        """Return how long a cost takes, nothing overlapping."""
        return (
            cost.products / self.products  # book: counting-sum
            + cost.transforms / self.transforms
            + cost.cached / self.cached
            + cost.moved / self.moved
        )


def convolution_cost(H: int, W: int, C: int, K: int, tile: Tile, itemsize: int, kept: bool = False) -> Cost:
    """Count a 3x3 convolution of a (H, W, C) map to K channels, bias and rectifier included.

    Parameters
    ----------
    H, W, C, K : int
        The map, and the channels that come out.
    tile : Tile
        Of m x m outputs or of m x 1; `LOWERED` for lowering (im2col).
    itemsize : int
        Bytes of a value.
    kept : bool
        Whether the transformed kernels are there already.

    Returns
    -------
    Cost

    Notes
    -----
    The adjoint costs what the convolution from K to C channels does. Lowered, an output takes 9 C multiplications. With
    tiles of m x m and n = m + 2 it takes n²/m² C (Lavin and Gray, arXiv 1509.09308, §4), plus, a tile, the
    transforms: n x n matrices times the input's m new columns and then its n columns, the transposed way for the
    output. With tiles of m x 1 it takes 3 n/m C, and a column of pixels one transform each way.
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
    # Along columns of the tile a product has no more columns than there are channels.
    transforms = n * n * (m * C + n * (C + SHORT_PRODUCT)) + n * m * (n * K + m * (K + SHORT_PRODUCT))
    transforms = 2 * tiles * transforms + (not kept) * 2 * 9 * n * n * C * K
    values = tiles * (n * (m + 2 * n) * C + (2 * n * n + 2 * n * m + 2 * m * m) * K)
    kernels = itemsize * n * n * C * K
    moved = maps
    if kernels > CACHED_KERNELS:  # then kernels and transformed tiles go out to memory and come back
        moved += (1 if kept else 2) * kernels + itemsize * n * n * tiles * (C + K)
    return Cost(2 * n * n * tiles * C * K, transforms, itemsize * values + 2 * kernels, moved)


def pool_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Count 2x2 pooling of a map that is in the cache, or its adjoint: some four passes, and a quarter written."""
    return Cost(cached=4 * itemsize * H * W * C, moved=itemsize * H * W * C // 4)


def moments_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Count the moments of a map and the gradient from them: a symmetric product, half the work, and a full one."""
    return Cost(3 * H * W * C * C, 0, 0, 3 * itemsize * H * W * C)


def content_cost(H: int, W: int, C: int, itemsize: int) -> Cost:
    """Count the squared distance of two maps and its gradient: ten passes over memory."""
    return Cost(moved=10 * itemsize * H * W * C)


def choose_kernel(H: int, W: int, C: int, K: int, adjoint: bool) -> Tile:
    """Return the tile of a convolution, or `LOWERED`: what the counts say is fastest.

    Larger tiles multiply less and round more. The first blocks have tiles of at most 4 x 4 on the way forward, because
    rounding decides which rectifier or pool near a tie goes the other way (see ``winograd.py``), and they have most of
    them; 6 x 1 rounds as 4 x 4 does. The deep blocks, and the adjoint, which is linear, may have 6 x 6.
    """
    if min(C, K) < FEWEST_CHANNELS:
        return LOWERED
    machine = Machine()
    tiles = [LOWERED, Tile(2, 2), Tile(4, 4), Tile(4, 1), Tile(6, 1)]
    if adjoint or C >= MANY_CHANNELS:
        tiles.append(Tile(6, 6))
    kept = H * W <= FEW_PIXELS >> 8  # so small a map is the fifth block's of a small picture
    return min(tiles, key=lambda tile: machine.seconds(convolution_cost(H, W, C, K, tile, 4, kept)))
