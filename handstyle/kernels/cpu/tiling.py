"""How Winograd's convolution is cut up: which tiles go together, who works on them, and how much room they take."""

from dataclasses import dataclass

from handstyle.kernels.counting import CACHED_KERNELS
from handstyle.kernels.cpu.strips import Grid, ceil_div

# Tiles that a thread takes through all steps, while the kernels are few. The interpreter runs one thread at a time
# between the steps, and handing it over costs tens of microseconds: fewer, larger steps are worth more than tiles that
# stay in the second-level cache.
BLOCK_PIXELS = 2048  # outputs, a channel
# Where the kernels are many, all threads share a phase:
PHASE_BYTES = 24 << 20  # transformed tiles and their products, or half the maps, where that is more;
GROUP_BYTES = 16 << 20  # transformed kernels at a time, where a map is one phase;
SHARED_BLOCK = 32  # tiles that a thread transforms at a time


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
        n, tiles = m + 2, ceil_div(H, m) * ceil_div(W, m)
        kernels, tile = n * n * C * K * itemsize, n * n * (C + K) * itemsize  # bytes
        if kernels <= CACHED_KERNELS:
            return cls(Grid.cut(H, W, m, C, K, BLOCK_PIXELS // m**2), C, K, False, 1, n, kept)
        grid = Grid.cut(H, W, m, C, K, min(SHARED_BLOCK, max(1, tiles // 4)))
        room = max(PHASE_BYTES, H * W * (C + K) * itemsize // 2)
        # Kernels that serve one phase are transformed some points at a time and forgotten; those that serve many are
        # kept. Points, not channels: the tiles of a point, and the products, are then moved once.
        group = ceil_div(n, ceil_div(kernels, GROUP_BYTES))  # equal parts, of the least number
        alone = tiles * tile + (not kept) * kernels * group // n
        if alone <= 1.25 * ((not kept) * kernels + room):
            return cls(grid, C, K, True, grid.count, n if kept else group, kept)
        phases = ceil_div(tiles * tile, room)
        return cls(grid, C, K, True, ceil_div(grid.count, phases), n, kept)  # equal phases

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
