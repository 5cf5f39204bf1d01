"""Choose the method of each convolution on a GPU, by counting operations and bytes for its shape.

A GPU kernel takes the time of its arithmetic or of its memory traffic, whichever is longer, and some microseconds to
start. The operations and bytes of the six methods of ``convolution.py`` are counted here. The rates are
those of an H200, fitted to every method on every shape of VGG-19 at 256 and 512 px (``benchmarks/gpu``, section
``layers``): the methods chosen take, on average, 0.5 % longer than the fastest in true float32 and 2.5 % in TF32
(``python benchmarks/gpu/report.py benchmarks/results/2026-11-27-gpu.json``). The rates are the same on every machine,
so that a run can be repeated elsewhere; the benchmark lists the methods that are faster on another GPU.
"""

from dataclasses import dataclass
from functools import cache

from handstyle.kernels.counting import ceil_div

# TF32 has no F(4x4): with factors of ten bits its largest error is near 1 % of the standard deviation of its outputs.
# That of a direct product is 0.14 %, and that of F(2x2) hardly larger.
METHODS_OF = {
    "float32": ("winograd4", "winograd2", "mec", "im2col", "residue"),
    "tf32": ("tensor", "winograd2", "mec", "im2col", "residue"),
}
HWCK = tuple[int, int, int, int]  # height and width of a convolution's output, channels of its input and output
LOWERING_METHODS = ("mec", "im2col", "residue")  # these have one long product for each strip, Winograd many short ones


@dataclass(frozen=True)
class Rates:
    """The rates of a GPU: operations and bytes per second, and the time to start a kernel.

    Parameters
    ----------
    products : float
        Operations per second of cuBLAS's matrix products, in true float32.
    stacks, lowered : float
        Operations per second of cuBLAS's products with factors of ten bits (TF32): of batches of short products, and of
        the long products of lowering methods.
    tensor : float
        Operations per second of this package's own kernel for tensor cores.
    half : float
        The length of sums at which that kernel reaches half of its rate.
    processors : int
        Number of multiprocessors, each of which runs one block of that kernel at a time.
    read : float
        Bytes per second that matrix products read and write, in part in the cache.
    moved : float
        Bytes per second that other kernels read and write.
    launch : float
        Seconds from the end of a kernel to the start of the next, within a CUDA graph.

    Examples
    --------
    >>> round(Rates().products / Rates().read, 1)  # with fewer operations a byte, memory limits a product
    8.7
    """

    products: float = 39e12
    stacks: float = 190e12
    lowered: float = 80e12
    tensor: float = 157e12
    half: float = 24.0
    processors: int = 132
    read: float = 4.5e12
    moved: float = 2.2e12
    launch: float = 2.3e-6


@dataclass(frozen=True)
class Work:
    """The number of operations, bytes and kernels that a convolution takes by one method.

    Parameters
    ----------
    method : str
        A name in `METHODS_OF`.
    products : float
        Operations of its matrix products.
    gemm_bytes : float
        Bytes that the products read and write.
    moved : float
        Bytes that its other kernels read and write.
    kernels : int
        Number of kernels started.
    depth : int
        Length of the sums in the products.
    blocks : int
        Number of blocks of this package's own kernel.

    Examples
    --------
    >>> work = method_work("im2col", (64, 64, 32, 32), workspace=1 << 26)
    >>> work.depth, work.kernels  # sums of 9 * 32 products; a lowering, a product and an epilogue
    (288, 3)
    """

    method: str
    products: float
    gemm_bytes: float
    moved: float
    kernels: int
    depth: int
    blocks: int = 0

    def seconds(self, rates: Rates, precision: str) -> float:
        """Return the seconds that the convolution takes if its kernels run one after another.

        `precision` is that of the products: ``tf32`` for factors of ten bits, else true float32.

        Examples
        --------
        >>> work = Work("im2col", products=39e12, gemm_bytes=4.5e12, moved=2.2e12, kernels=0, depth=576)
        >>> work.seconds(Rates(), "float32")  # one for the products, one for the other kernels
        2.0
        """
        rate = rates.products
        if self.method == "tensor":  # if the last round of blocks is not full, it takes as long
            full = ceil_div(self.blocks, rates.processors) * rates.processors
            rate = rates.tensor * self.blocks / full / (1 + rates.half / self.depth)
        elif precision == "tf32":
            rate = rates.lowered if self.method in LOWERING_METHODS else rates.stacks
        products = max(self.products / rate, self.gemm_bytes / rates.read)
        return products + self.moved / rates.moved + self.kernels * rates.launch


def method_work(method: str, shape: HWCK, workspace: int, itemsize: int = 4) -> Work:
    """Count the operations, bytes and kernels of a convolution from C channels to an output (H, W, K).

    Parameters
    ----------
    method : str
        A name in `METHODS_OF`.
    shape : (int, int, int, int)
        Height and width of the output, and channels of input and output. The adjoint of a layer is counted as a
        convolution too, with the layer's output channels as its input channels.
    workspace : int
        Bytes of temporary memory, which determine the number of strips.
    itemsize : int
        Bytes of a value.

    Returns
    -------
    Work

    Examples
    --------
    >>> lowered, tiles = (method_work(name, (64, 64, 32, 32), workspace=1 << 26) for name in ("im2col", "winograd4"))
    >>> tiles.products / lowered.products, lowered.products == 2 * 9 * 64 * 64 * 32 * 32
    (0.25, True)
    """
    H, W, C, K = shape
    pixels, kernel = H * W, 9 * C * K
    x, y, w = (itemsize * n for n in (pixels * C, pixels * K, kernel))

    def strips(scratch: float) -> int:  # number of strips, given the scratch for the whole output
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
    flops, y2 = 2.0 * kernel * pixels, 2 * y  # the epilogue reads the product and writes the result
    if method == "im2col":
        count = strips(9 * x)
        return Work(method, flops, 9 * x + y + count * w, x + 9 * x + y2, 1 + 2 * count, 9 * C)
    if method == "mec":
        count = strips(3 * x)
        rows = (H + 2 * count) / max(H, 1)  # two rows of every strip are lowered again for the next
        # A product for each row of the output; cuBLAS computes it in tiles of 64 pixels, the last one filled up.
        flops *= ceil_div(W, 64) * 64 / max(W, 1)
        return Work(method, flops, 3 * x * rows + y + count * w, x + 3 * x * rows + y2, 1 + 2 * count, 9 * C)
    if method == "residue":
        waste = (W + 2) / max(W, 1)
        # Each of nine products reads the map; the result is written once, and twice read and written again.
        return Work(method, flops * waste, (9 * x + 5 * y) * waste + w, 2 * x * waste + y2 * waste, 12, 3 * C)
    raise ValueError(f"no count for {method}")


@cache
def choose_method(
    shape: HWCK, precision: str, workspace: int, plain: bool = True, rates: Rates = Rates(), tensor: bool = False
) -> str:
    """Return the name of the method that takes the least time by the counts.

    Parameters
    ----------
    shape : (int, int, int, int)
        Height and width of the output, channels of input and output.
    precision : str
        ``tf32``; any other value stands for products in true float32.
    workspace : int
        Bytes of temporary memory. ``residue``, which cannot be divided into strips, is left out if it needs more.
    plain : bool
        Whether the source is a map with a border of one pixel, which ``residue`` needs.
    rates : Rates
        The GPU's rates.
    tensor : bool
        Whether this package's own kernel for tensor cores can be used for these channels.

    Returns
    -------
    str
        A name in `METHODS_OF`.

    Examples
    --------
    >>> choose_method((256, 256, 128, 128), "float32", workspace=1 << 26)
    'winograd4'
    >>> choose_method((256, 256, 128, 128), "tf32", workspace=1 << 26, tensor=True)
    'tensor'
    """
    H, W, C, K = shape
    fits = plain and workspace >= 4 * (H + 2) * (W + 2) * (C + K)
    allowed = {"residue": fits, "tensor": tensor}
    names = METHODS_OF["tf32" if precision == "tf32" else "float32"]
    methods = [name for name in names if allowed.get(name, True)]
    return min(methods, key=lambda method: method_work(method, shape, workspace).seconds(rates, precision))
