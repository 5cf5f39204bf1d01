"""How Winograd's convolution is cut up: which tiles go together, who works on them, and how much room they take."""

from dataclasses import dataclass

from handstyle.kernels.cost import CACHED_KERNELS
from handstyle.kernels.grid import Grid, ceil_div

# Tiles that a thread takes through all steps, while the kernels are few. The interpreter runs one thread at a time
# between the steps, and handing it over costs tens of microseconds: fewer, larger steps are worth more than tiles that
# stay in the second-level cache. A small map is cut into about PARTS blocks, so that there is one for each core.
FEWEST_TILES, MOST_TILES, PARTS = 64, 128, 8
PHASE_BYTES = 40 << 20  # of transformed tiles and their products at a time, or the maps' size, where they do not fit,
GROUP_BYTES = 20 << 20  # of transformed kernels at a time, where a map is one phase,
SHARED_BLOCK = 32  # and tiles that a thread transforms at a time then


@dataclass(frozen=True)
class Plan:
    """How a convolution is cut up: what `convolve` does and what `scratch` counts."""

    grid: Grid
    C: int
    K: int
    shared: bool  # all threads work at a phase together
    together: int  # blocks of a phase
    group: int  # rows of the n x n points whose kernels are transformed at a time
    kept: bool  # the transformed kernels are there already

    @classmethod
    def of(cls, H: int, W: int, C: int, K: int, m: int, itemsize: int, kept: bool = False) -> "Plan":
        """Decide by the size of the transformed kernels."""
        kernels = (m + 2) ** 2 * C * K * itemsize
        tiles = ceil_div(H, m) * ceil_div(W, m)
        if kernels <= CACHED_KERNELS:
            most = min(MOST_TILES, max(FEWEST_TILES, tiles // PARTS))
            return cls(Grid.cut(H, W, m, C, K, most), C, K, False, 1, m + 2, kept)
        grid = Grid.cut(H, W, m, C, K, min(SHARED_BLOCK, max(1, tiles // 4)))
        room = max(PHASE_BYTES, H * W * (C + K) * itemsize)
        most = max(1, room // ((m + 2) ** 2 * (C + K) * itemsize))
        together = ceil_div(grid.count, ceil_div(tiles, most))  # equal phases
        # Kernels that serve one phase are transformed some points at a time and forgotten; those that serve many are
        # kept. Points, not channels: the tiles of a point, and the products, are then moved once.
        group = m + 2
        if together == grid.count and not kept:
            group = max(1, min(group, group * GROUP_BYTES // kernels))
        return cls(grid, C, K, True, together, group, kept)

    @property
    def most_tiles(self) -> int:
        """The tiles of the largest phase."""
        tiles = [self.grid.tiles(block) for block in range(self.grid.count)]
        return max(sum(tiles[i : i + self.together]) for i in range(0, len(tiles), self.together))

    def scratch(self, threads: int) -> int:
        """Return how many values the convolution works with, beside the maps it reads and writes."""
        points, grid = (self.grid.m + 2) ** 2, self.grid
        first, second = strip_sizes(self, grid.rows, grid.across)
        tiles = 0 if self.shared else grid.rows * grid.across
        own = max(sum(first), sum(second)) + points * tiles * self.K
        rows = (self.grid.m + 2) * self.group
        kernels = 0 if self.kept else rows * self.C * self.K * (1 if self.shared else 2)  # the adjoint turns them
        return kernels + min(threads, grid.count) * own + self.shared * points * self.most_tiles * (self.C + self.K)


def strip_sizes(plan: Plan, rows: int, across: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the values of R and V, and of Z and Y, which take their place, for a block of `rows` x `across` tiles."""
    m, n, tiles = plan.grid.m, plan.grid.m + 2, rows * across
    inputs = rows * n * (m * across + 2) * plan.C, 0 if plan.shared else n * n * tiles * plan.C
    return inputs, (n * m * tiles * plan.K, m * m * tiles * plan.K)
