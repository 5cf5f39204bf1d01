"""Compute 3x3 convolutions on a GPU by six methods; most consist of a lowering, a matrix product and an epilogue.

All compute ``y[h, w] = Σ_ij x[h + i − offset, w + j − offset] w[i, j]`` for an output of any size: the convolution, its
adjoint (each kernel turned by 180 degrees, its channels exchanged), and the adjoint on a map with a border (offset 2).
The output is computed in strips of rows whose scratch fits a given number of bytes, so that scratch does not grow with
the picture.

``first``     direct, for three channels of input; its adjoint by a product and a gather.
``im2col``    lowering to nine times the input's memory, then one product.
``residue``   no lowering but a border: three neighboring pixels are contiguous, so nine products read the map in place,
              each with a third of the rows and three times the depth of the reference's nine shifted products.
``mec``       lowering in width only (Cho and Brand 2017, arXiv 1706.06873): a third of im2col's memory.
``tensor``    no lowering: each block keeps a patch of the map in shared memory, and tensor cores multiply it by the
              nine weights in turn, with factors of ten bits.
``winograd``  F(4×4, 3×3) or F(2×2, 3×3) (Lavin and Gray 2016, arXiv 1509.09308): 1/4 or 4/9 of the multiplications.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.device import Device, Grid
from handstyle.kernels.cuda.source import BLOCKS
from handstyle.kernels.cuda.structs import Epilogue, Source

METHODS = ("first", "im2col", "residue", "mec", "tensor", "winograd2", "winograd4")
SCRATCH = 1 << 26  # bytes: four times as much makes 1024 px a tenth faster, for that much more memory
MIN_BLOCKS = 100  # blocks of the tensor-core kernel: about one for each multiprocessor of a large GPU
LANES = (32, 8)  # threads of a block: channels, and tiles or groups of pixels


@dataclass(frozen=True)
class Convolver:
    """The convolutions of this module on a device, with a limit for their temporary memory.

    Parameters
    ----------
    device : Device
        The device.
    dtype : dtype
        float32 or float64.
    workspace : int
        Bytes of temporary memory that a method may use; but a strip has at least one row of tiles.

    Examples
    --------
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> Convolver(DryDevice(), "float32").workspace >> 20  # MiB
    64
    """

    device: Device
    dtype: DTypeLike
    workspace: int = SCRATCH

    def convolve(self, method: str, source: Source, w: Array, epilogue: Epilogue, offset: int, adjoint: bool) -> None:
        """Convolve `source` with `w` (3, 3, C, K), or apply the adjoint, and write the result through `epilogue`.

        Parameters
        ----------
        method : str
            A name in `METHODS`.
        source : Source
            The input: for the adjoint, the gradient at the layer's output.
        w : (3, 3, C, K) array
            The layer's kernel, for both directions.
        epilogue : Epilogue
            Where the result is written, and what is done to it before; its `H`, `W`, `K` are the shape of the result.
        offset : int
            1 for a result of the input's height and width, 2 for one with a border of one pixel around.
        adjoint : bool
            Whether to apply the adjoint.

        Raises
        ------
        HandstyleError
            If the method cannot be applied to this input.

        Examples
        --------
        >>> from handstyle.kernels.cuda.dry_device import DryDevice
        >>> device = DryDevice()  # it records allocations and computes nothing
        >>> x, w, y = (device.empty(shape, "float32") for shape in ((16, 16, 32), (3, 3, 32, 64), (16, 16, 64)))
        >>> epilogue = Epilogue(y=y, H=16, W=16, K=64)
        >>> Convolver(device, "float32").convolve("winograd4", Source.of(x), w, epilogue, 1, adjoint=False)
        >>> [request.size for request in device.requests[3:]]  # kernels of 36 values, 16 tiles, 16 products
        [294912, 73728, 147456]
        """
        if method == "first":
            if w.shape[2] != 3:
                raise HandstyleError("first: only for three channels in")
            (self._first_backward if adjoint else self._first_forward)(source, w, epilogue, offset)
        elif method.startswith("winograd"):
            self._winograd(int(method[-1]), source, w, epilogue, offset, adjoint)
        elif method == "tensor":
            self._tensor(source, w, epilogue, offset, adjoint)
        else:
            if adjoint:
                w = self.device.xp.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))
            if method == "residue":
                self._residue(source, w, epilogue, offset)
            else:
                self._lowered(method, source, w, epilogue, offset)

    def _lowered(self, method: str, source: Source, w: Array, epilogue: Epilogue, offset: int) -> None:
        raw, beta = epilogue.y, 0.0
        if raw is None:
            # half for the lowering, half for its product
            replace(self, workspace=max(self.workspace // 2, 1))._pooled_only(method, source, w, epilogue, offset)
            return
        if raw is epilogue.relu_gradient:  # the product is added to what its array holds
            beta, epilogue = 1.0, replace(epilogue, relu_gradient=None)
        self._multiply(method, source, w, raw, offset, beta)
        self.epilogue(Source.of(raw), epilogue)

    def _pooled_only(self, method: str, source: Source, w: Array, epilogue: Epilogue, offset: int) -> None:
        # Only the pooled values are kept, so the product is scratch too: strips of whole pairs of rows.
        rows = self._strip(epilogue.H, epilogue.W * epilogue.K)
        rows = min(rows + rows % 2, epilogue.H)
        raw = self._empty((rows, epilogue.W, epilogue.K))
        for begin in range(0, epilogue.H, rows):
            end = min(begin + rows, epilogue.H)
            self._multiply(method, source, w, raw[: end - begin], offset, 0.0, begin)
            self.epilogue(Source.of(raw[: end - begin]), rows_of(epilogue, begin, end))

    def epilogue(self, source: Source, epilogue: Epilogue) -> None:
        """Apply `epilogue` to `source` by a kernel that does nothing else; the two may share memory.

        Examples
        --------
        Add a bias to a map, and apply the rectifier:

        .. code-block:: python

            convolver = Convolver(CupyDevice(), "float32")
            H, W, K = x.shape
            convolver.epilogue(Source.of(x), Epilogue(bias=b, y=x, H=H, W=W, K=K, rectify=1))
        """
        self._lanes("epilogue", quads(epilogue), epilogue.K, source, epilogue)

    def fold(self, dxpad: Array, padding: str, epilogue: Epilogue) -> None:
        """Apply the adjoint of padding to `dxpad` (H+2, W+2, K), and write the result (H, W, K) through `epilogue`.

        `padding` is a key of ``structs.BORDERS``.

        Examples
        --------
        .. code-block:: python

            convolver = Convolver(CupyDevice(), "float32")
            convolver.fold(dxpad, "reflect", Epilogue(y=dx, H=H, W=W, K=K))
        """
        self._lanes("fold", quads(epilogue), epilogue.K, dxpad, Source.of(dxpad, padding).border, epilogue)

    def _winograd(self, m: int, source: Source, w: Array, epilogue: Epilogue, offset: int, adjoint: bool) -> None:
        n, C, K = m + 2, source.C, epilogue.K
        down, across = -(-epilogue.H // m), -(-epilogue.W // m)
        U = self._empty((n * n, *w.shape[2:]))
        self._linear("winograd_kernel", w.shape[2] * w.shape[3], w, U, *w.shape[2:], int(adjoint), tile=m)
        if adjoint:
            U = U.swapaxes(1, 2)
        rows = self._strip(down, n * n * across * (C + K))
        V, M = self._empty((n * n * rows * across * C,)), self._empty((n * n * rows * across * K,))
        for row in range(0, down, rows):
            tiles = min(rows, down - row) * across
            Vs, Ms = V[: n * n * tiles * C].reshape(-1, tiles, C), M[: n * n * tiles * K].reshape(-1, tiles, K)
            strip = row * across, tiles, across
            self._lanes("winograd_input", tiles, C, source, Vs, *strip, offset, tile=m)
            self.device.gemm(Vs, U, Ms)
            self._lanes("winograd_output", tiles, K, Ms, *strip, epilogue, tile=m)

    def _tensor(self, source: Source, w: Array, epilogue: Epilogue, offset: int, adjoint: bool) -> None:
        C, K = source.C, epilogue.K
        if not tensor_fits(C, K, self.dtype):
            raise HandstyleError("tensor: only for float32, 16 n channels in and 64 n out")
        B = self._empty((9 * C * K,))
        self._linear("implicit_kernel", B.size, w, B, C, K, int(adjoint))
        kernel = tensor_kernel(epilogue.H, epilogue.W, K, bool(source.unpool))
        down, across, channels, _ = BLOCKS[kernel]
        grid = -(-epilogue.H // down) * -(-epilogue.W // across) * (K // channels)
        name = kernel + ("_unpool" if source.unpool else "")
        self._launch(name, (grid,), (down * channels // 8,), source, B, offset, epilogue)

    def _multiply(
        self, method: str, source: Source, w: Array, raw: Array, offset: int, beta: float, begin: int = 0
    ) -> None:
        """Write the convolution to `raw`, in strips of rows: lower the input by im2col or mec, then multiply."""
        Ho, Wo, K = raw.shape
        C, item = source.C, raw.itemsize
        values, more = (3 * C, 2) if method == "mec" else (9 * C, 0)  # of a pixel; rows of a strip in addition
        rows = self._strip(Ho, Wo * values)
        L = self._empty((Wo * (rows + more) * values,))
        for row in range(0, Ho, rows):
            count = min(rows, Ho - row)
            pixels, y = Wo * (count + more), raw[row : row + count]
            A = L[: pixels * values]
            self._lanes(method, pixels, C, source, A, begin + row, count, Wo, offset)
            if method == "mec":
                # The inputs of output row h begin 3 C values after those of row h - 1: matrices that overlap.
                A = _as_strided(A, (count, Wo, 9 * C), (3 * C * item, (count + 2) * 3 * C * item, item))
            else:
                A, y = A.reshape(pixels, values), y.reshape(pixels, K)
            self.device.gemm(A, w.reshape(-1, K), y, beta)

    def _residue(self, source: Source, w: Array, epilogue: Epilogue, offset: int) -> None:
        C, K, pitch = source.C, epilogue.K, source.W + 2
        if offset != 1 or source.unpool:
            raise HandstyleError("residue: only for a map with a border of one pixel, not for a pooled gradient")
        # Three more pixels at the end: products that start at a later pixel read beyond the map.
        padded = self._empty(((source.H + 2) * pitch + 3, C))
        whole = padded[: (source.H + 2) * pitch]
        padded[len(whole) :] = 0
        self._lanes("pad", len(whole), C, source, whole)
        thirds = -(-epilogue.H * pitch // 3)
        y = self._empty((3 * thirds, K))
        for i in range(3):
            for r in range(3):
                first = i * pitch + r
                count = min(thirds, (len(padded) - first) // 3)
                A = padded[first : first + 3 * count].reshape(count, 3 * C)
                self.device.gemm(A, w[i].reshape(3 * C, K), y[r::3][:count], beta=float(i > 0))
        # rows of `pitch` pixels, the last two of which are not read
        self.epilogue(Source(y, None, epilogue.H, pitch, K), epilogue)

    def _first_forward(self, source: Source, w: Array, epilogue: Epilogue, offset: int) -> None:
        if offset != 1:
            raise HandstyleError("first: only for a map with a border of one pixel")
        blocks = -(-epilogue.H // 2) * -(-epilogue.W // 64)  # blocks of 2 x 64 pixels; see first.cu
        self._launch("first_forward", (blocks, -(-epilogue.K // 32)), (32, 4), source, w, epilogue)

    def _first_backward(self, source: Source, w: Array, epilogue: Epilogue, offset: int) -> None:
        dy = source.x
        if source.unpool:
            dy = self._empty((source.H, source.W, source.C))
            self.epilogue(source, Epilogue(y=dy, H=source.H, W=source.W, K=source.C))
        H, W, K = dy.shape
        dx = epilogue.y
        assert dx is not None
        shift = 2 - offset
        rows = self._strip(epilogue.H, W * 27)
        P = self._empty((rows + 2, W, 27))
        for row in range(0, epilogue.H, rows):
            count = min(rows, epilogue.H - row)
            begin, end = max(0, row + shift - 2), min(H, row + count + shift)
            Ps = P[: end - begin]
            self.device.gemm(dy[begin:end].reshape(-1, K), w.reshape(27, K).T, Ps.reshape(-1, 27))
            strip = begin, end - begin, W, row, count, epilogue.W, shift
            self._linear("first_gather", count * epilogue.W * 3, Ps, dx, *strip)
        if epilogue.has_backward:
            self.epilogue(Source.of(dx), epilogue)

    def _strip(self, rows: int, values: int) -> int:
        """Return the height of equal strips that fit the workspace, if a row takes `values` temporary values."""
        most = max(1, min(rows, self.workspace // (values * np.dtype(self.dtype).itemsize)))
        return math.ceil(rows / math.ceil(rows / most))

    def _empty(self, shape: tuple[int, ...]) -> Array:
        return self.device.empty(shape, self.dtype)

    def _launch(self, kernel: str, grid: Grid, block: Grid, *arguments: object, tile: int = 4) -> None:
        self.device.launch(kernel, grid, block, *arguments, dtype=self.dtype, tile=tile)

    def _linear(self, kernel: str, size: int, *arguments: object, tile: int = 4) -> None:
        self._launch(kernel, (-(-size // 256),), (256,), *arguments, tile=tile)

    def _lanes(self, kernel: str, groups: int, channels: int, *arguments: object, tile: int = 4) -> None:
        self._launch(kernel, (-(-groups // LANES[1]), -(-channels // 32)), LANES, *arguments, tile=tile)


def tensor_fits(C: int, K: int, dtype: DTypeLike) -> bool:
    """Return whether the method ``tensor`` can compute a convolution from C to K channels in this dtype.

    Examples
    --------
    >>> tensor_fits(64, 128, "float32"), tensor_fits(3, 64, "float32")
    (True, False)
    """
    return C % 16 == 0 and K % 64 == 0 and np.dtype(dtype) == np.float32


def tensor_kernel(H: int, W: int, K: int, unpool: bool) -> str:
    """Return the name of the fastest tensor-core kernel for an output (H, W, K).

    Two small blocks on a multiprocessor are faster than a large one, because one computes while the other waits. But
    with `unpool`, every block computes the gradient at the pool's input again for its own channels, so few large blocks
    are faster, as long as there is one for each multiprocessor (measured by ``benchmarks/gpu`` on an H200).

    Examples
    --------
    >>> tensor_kernel(512, 512, 128, unpool=True), tensor_kernel(64, 64, 128, unpool=True)
    ('implicit_tf32', 'implicit_tf32_half')
    """
    if K % 128 or not unpool:
        return "implicit_tf32_narrow"
    blocks = -(-H // 16) * -(-W // 16) * (K // 128)
    return "implicit_tf32" if blocks >= MIN_BLOCKS else "implicit_tf32_half"


def quads(epilogue: Epilogue) -> int:
    """Return the number of 2x2 blocks of an epilogue's map.

    Examples
    --------
    >>> quads(Epilogue(H=5, W=4))
    6
    """
    return -(-epilogue.H // 2) * -(-epilogue.W // 2)


def rows_of(epilogue: Epilogue, begin: int, end: int) -> Epilogue:
    """Return the part of an epilogue for the rows from `begin` to `end`; both are even, or `end` is the height.

    Examples
    --------
    >>> y, pooled = np.zeros((6, 4, 1)), np.zeros((3, 2, 1))
    >>> part = rows_of(Epilogue(y=y, pooled=pooled, H=6, W=4, K=1, ph=3, pw=2), 2, 6)
    >>> part.y.shape, part.pooled.shape, part.H, part.ph
    ((4, 4, 1), (2, 2, 1), 4, 2)
    """
    top, bottom = begin // 2, epilogue.ph if end == epilogue.H else end // 2
    maps = {name: a for name, a in vars(epilogue).items() if name != "bias" and not isinstance(a, int | None)}
    parts = {name: a[top:bottom] if name in ("pooled", "planes") else a[begin:end] for name, a in maps.items()}
    return replace(epilogue, **parts, H=end - begin, ph=max(bottom - top, 0))


def _as_strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    strided: Array = namespace(x).lib.stride_tricks.as_strided(x, shape, strides)
    return strided
