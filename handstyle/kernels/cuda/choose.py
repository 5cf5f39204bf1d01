"""Which way a convolution goes on a GPU: counted, by shape.

A GPU that does one kernel after another takes, for each, the time of its arithmetic or of its bytes, whichever is
longer, and some microseconds to begin. What the six ways of ``cuda_convolution.py`` ask for is counted here. The rates
are those of an H200, fitted to every way on every shape of VGG-19 at 256 and 512 px (``benchmarks/gpu``, section
``layers``): what is then chosen takes 0.5 % longer than the best choice in true float32 and 2.5 % in TF32, on average
(``python benchmarks/gpu/report.py benchmarks/results/2026-11-27-gpu.json``). They are the same on every machine, so
that a run can be repeated elsewhere; the benchmark names what another GPU would choose otherwise.
"""

from dataclasses import dataclass
from functools import cache

from handstyle.kernels.counting import ceil_div

# With factors of ten bits F(4x4)'s largest error is near 1 % of its outputs' spread, a plain product's 0.14 %, and
# F(2x2)'s hardly larger.
METHODS_OF = {
    "float32": ("winograd4", "winograd2", "mec", "im2col", "residue"),
    "tf32": ("tensor", "winograd2", "mec", "im2col", "residue"),
}
LOWERED = ("mec", "im2col", "residue")  # one long product for each strip, where Winograd has a stack of short ones


@dataclass(frozen=True)
class Rates:
    """What a GPU does in a second, and how long a kernel takes to begin.

    Parameters
    ----------
    products : float
        Operations of cuBLAS's products, in true float32.
    stacks, lowered : float
        The same with factors of ten bits: of stacks of products, and of the long ones that a lowering leads to.
    tensor : float
        Operations of our own kernel on tensor cores.
    half : float
        The length of that kernel's sums at which half of its rate is reached.
    processors : int
        Multiprocessors: blocks of that kernel that run at once.
    read : float
        Bytes that products read and write, in part from the cache.
    moved : float
        Bytes that other kernels do.
    begin : float
        Seconds from one kernel's end to the next one's start, within a graph.
    """

    products: float = 39e12
    stacks: float = 190e12
    lowered: float = 80e12
    tensor: float = 157e12
    half: float = 24.0
    processors: int = 132
    read: float = 4.5e12
    moved: float = 2.2e12
    begin: float = 2.3e-6


@dataclass(frozen=True)
class Work:
    """What a way of convolving asks for: operations of products, their bytes, other kernels' bytes, kernels.

    `depth` is the length of the products' sums; `blocks`, of our own kernel, into how many pieces it is cut.
    """

    method: str
    products: float
    gemm_bytes: float
    moved: float
    kernels: int
    depth: int
    blocks: int = 0

    def seconds(self, rates: Rates, precision: str) -> float:
        """Return how long it takes, one kernel after another."""
        rate = rates.products
        if self.method == "tensor":  # the last round of blocks takes as long as a full one
            full = ceil_div(self.blocks, rates.processors) * rates.processors
            rate = rates.tensor * self.blocks / full / (1 + rates.half / self.depth)
        elif precision == "tf32":
            rate = rates.lowered if self.method in LOWERED else rates.stacks
        products = max(self.products / rate, self.gemm_bytes / rates.read)
        return products + self.moved / rates.moved + self.kernels * rates.begin


def method_work(method: str, H: int, W: int, C: int, K: int, workspace: int, itemsize: int = 4) -> Work:
    """Count one convolution to an output (H, W, K) from C channels.

    Parameters
    ----------
    method : str
        A name in `METHODS_OF`.
    H, W, C, K : int
        Of the output, and the channels in and out; for an adjoint, those of the adjoint.
    workspace : int
        Bytes of scratch, which decides how many strips there are.
    itemsize : int
        Bytes of a value.

    Returns
    -------
    Work
    """
    pixels, kernel = H * W, 9 * C * K
    x, y, w = (itemsize * n for n in (pixels * C, pixels * K, kernel))

    def strips(scratch: float) -> int:  # of the whole output
        return ceil_div(int(scratch), workspace)

    if method in ("winograd2", "winograd4"):
        m = int(method[-1])
        tiles, n2 = ceil_div(H, m) * ceil_div(W, m), (m + 2) ** 2
        V, M, U = (itemsize * n2 * n for n in (tiles * C, tiles * K, C * K))
        count = strips(V + M)
        # Input read once (its overlap comes from the cache), V written; M read, y written; the kernel transformed.
        return Work(method, 2 * n2 * tiles * C * K, V + M + count * U, x + V + M + y + w + U, 1 + 3 * count, C)
    if method == "tensor":
        blocks = ceil_div(H, 16) * ceil_div(W, 16) * ceil_div(K, 64)
        return Work(method, 2.0 * kernel * pixels, 1.4 * x + y + w, 2 * w, 2, 9 * C, blocks)
    flops, finish = 2.0 * kernel * pixels, 2 * y  # the epilogue reads the product and writes the result
    if method == "im2col":
        count = strips(9 * x)
        return Work(method, flops, 9 * x + y + count * w, x + 9 * x + finish, 1 + 2 * count, 9 * C)
    if method == "mec":
        count = strips(3 * x)
        rows = (H + 2 * count) / max(H, 1)  # two rows of every strip belong to the next one too
        # A product for each row of the output, which cuBLAS cuts into pieces of 64 pixels at least.
        flops *= ceil_div(W, 64) * 64 / max(W, 1)
        return Work(method, flops, 3 * x * rows + y + count * w, x + 3 * x * rows + finish, 1 + 2 * count, 9 * C)
    if method == "residue":
        waste = (W + 2) / max(W, 1)
        # Each of nine products reads the whole map; the result is written once and then read and written twice.
        return Work(method, flops * waste, (9 * x + 5 * y) * waste + w, 2 * x * waste + finish * waste, 12, 3 * C)
    raise ValueError(f"no count for {method}")


@cache
def choose_method(
    H: int,
    W: int,
    C: int,
    K: int,
    precision: str,
    workspace: int,
    plain: bool = True,
    rates: Rates = Rates(),
    tensor: bool = False,
) -> str:
    """Return the way that a count favours.

    Parameters
    ----------
    H, W, C, K : int
        Of the output, and the channels in and out.
    precision : str
        ``tf32``, or else true products.
    workspace : int
        Bytes of scratch. ``residue``, which cannot go in strips, is left out where it would take more.
    plain : bool
        Whether the source is a map with a border of one pixel: only then can ``residue`` be used.
    rates : Rates
        Of the GPU.
    tensor : bool
        Whether our own kernel on tensor cores fits.

    Returns
    -------
    str
        A name in `METHODS_OF`.
    """
    fits = plain and workspace >= 4 * (H + 2) * (W + 2) * (C + K)
    allowed = {"residue": fits, "tensor": tensor}
    ways = [method for method in METHODS_OF["tf32" if precision == "tf32" else "float32"] if allowed.get(method, True)]
    return min(ways, key=lambda method: method_work(method, H, W, C, K, workspace).seconds(rates, precision))
