"""The device that runs the CUDA kernels: compiled by NVRTC, launched on CuPy's stream, products by cuBLAS.

The only file beside ``foundations/backend.py`` that imports CuPy. What the engine asks for stands in `Device`; the
tests give the same engine a device that runs the kernels, compiled as C++, on the processor.
"""

import math
from functools import cache
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import CUPY_HELP, Array, choose_backend
from handstyle.foundations.errors import HandstyleError, OutOfMemoryError
from handstyle.kernels.cuda_arguments import Finish, Source, pack
from handstyle.kernels.cuda_source import files, source

# cublasComputeType_t and cudaDataType_t, from cublas_api.h and library_types.h.
COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F = 68, 77, 70
CUDA_R_32F, CUDA_R_64F = 0, 1
DEFAULT_ALGORITHM = -1

Grid = tuple[int, ...]


class Device(Protocol):
    """What an engine needs of the machine that runs its kernels."""

    xp: Any
    precision: str

    @property
    def products(self) -> str:
        """How matrices are multiplied, in words."""

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array."""

    def free_memory(self) -> int:
        """Return the bytes that can still be had."""

    def launch(self, kernel: str, grid: Grid, block: Grid, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Run a kernel. Numbers are passed as C's int unless they are NumPy's own scalars."""

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0) -> None:
        """Put ``a @ b + beta out`` into `out`, for matrices or stacks of them, of any strides that BLAS knows."""


class CupyDevice:
    """CuPy's current device.

    Parameters
    ----------
    precision : {"float32", "tf32"}
        How products of float32 matrices are computed: truly, or with factors rounded to 10 bits. float64 stays true.

    Raises
    ------
    HandstyleError
        If there is no CuPy, or no GPU, or an unknown precision.
    """

    def __init__(self, precision: str = "float32") -> None:
        if precision not in ("float32", "tf32"):
            raise HandstyleError(f"unknown precision {precision!r} on a GPU: use float32 or tf32")
        self._backend = choose_backend("cupy")
        self.xp = self._backend.xp
        self.precision = precision
        self._cublas = _cublas()
        if self._cublas is None and precision == "tf32":
            raise HandstyleError(
                f"precision tf32: cuBLAS is not to be had from CuPy {self.xp.__version__} as it is from CuPy 14, and "
                "CuPy's own products of stacks are never TF32's; use float32"
            )

    @property
    def products(self) -> str:
        """How matrices are multiplied, in words, for the report."""
        if self._cublas is None:
            return "products by CuPy's matmul, for its cuBLAS is not to be had"
        return "products by cuBLAS, factors of 10 bits" if self.precision == "tf32" else "products by cuBLAS"

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array, from CuPy's pool."""
        try:
            made: Array = self.xp.empty(shape, dtype)
        except MemoryError as error:  # CuPy's own is one
            raise OutOfMemoryError(
                f"the GPU's memory is full, at {math.prod(shape) * np.dtype(dtype).itemsize / 2**20:.0f} MiB more: "
                f"paint at a smaller --size, or with --backend numpy ({error})"
            ) from None
        return made

    def free_memory(self) -> int:
        """Return the bytes that can still be had, from the GPU or from CuPy's pool."""
        return self._backend.free_memory()

    def launch(self, kernel: str, grid: Grid, block: Grid, *arguments: Any, dtype: DTypeLike, tile: int = 4) -> None:
        """Compile the kernel on its first use, and launch it."""
        if 0 in grid:
            return
        passed = [self._argument(argument) for argument in arguments]
        _compiled(kernel, np.dtype(dtype).name, tile)(grid, block, tuple(passed))

    def _argument(self, argument: Any) -> Any:
        if isinstance(argument, (Source, Finish)):
            return pack(argument, lambda a: 0 if a is None else int(a.data.ptr))  # type: ignore[attr-defined]
        return np.int32(argument) if isinstance(argument, int) else argument

    def gemm(self, a: Array, b: Array, out: Array, beta: float = 0.0) -> None:
        """Multiply by ``cublasGemmStridedBatchedEx``; by CuPy's own routines where that cannot be had."""
        if self._cublas is None:
            product = self.xp.matmul(a, b)
            out[...] = product if beta == 0 else product + beta * out
            return
        cublas, handle = self._cublas
        compute = COMPUTE_32F if self.precision == "float32" else COMPUTE_32F_FAST_TF32
        if out.dtype == np.float64:
            compute = COMPUTE_64F
        gemm_strided(cublas, handle(), a, b, out, beta, compute, lambda array: int(array.data.ptr))


def gemm_strided(
    cublas: Any, handle: int, a: Array, b: Array, out: Array, beta: float, compute: int, pointer: Any
) -> None:
    """Put a product of row-major matrices, or of stacks of them, to cuBLAS, which thinks in columns.

    Parameters
    ----------
    cublas : module
        With ``gemmStridedBatchedEx``.
    handle : int
        Of cuBLAS.
    a, b, out : (..., M, K), (..., K, N), (..., M, N) arrays
        At most one leading axis. One of the last two strides of each factor must be one item, the last of `out`; rows
        may be apart, or overlap.
    beta : float
        What `out` is multiplied by before the product is added.
    compute : int
        cublasComputeType_t.
    pointer : callable
        Returns an array's address.

    Raises
    ------
    ValueError
        If shapes or strides do not fit.

    Notes
    -----
    A row-major matrix is its transpose in columns, so ``outᵀ = bᵀ aᵀ`` is asked for.
    """
    batch = out.shape[0] if out.ndim == 3 else 1
    M, N = out.shape[-2:]
    K = a.shape[-1]
    expected = [(M, K), (K, N), (M, N)]
    for array, shape in zip((a, b, out), expected, strict=True):
        stacked = array.ndim == 3 and array.shape[0] == batch
        if array.shape[-2:] != shape or not (array.ndim == 2 or stacked) or array.dtype != out.dtype:
            raise ValueError(f"gemm: {a.shape} {a.dtype} @ {b.shape} {b.dtype} -> {out.shape} {out.dtype}")
    item = out.dtype.itemsize
    if out.strides[-1] != item or (M > 1 and out.strides[-2] < N * item):
        raise ValueError(f"gemm: the result's rows must be whole: strides {out.strides} of {out.shape}")
    operands = []
    for array in (b, a):
        turned = array.strides[-1] != item and array.shape[-1] > 1
        near, far = (array.strides[-2], array.strides[-1]) if turned else (array.strides[-1], array.strides[-2])
        if near != item and array.shape[-2 if turned else -1] > 1:
            raise ValueError(f"gemm: neither axis is contiguous: strides {array.strides} of {array.shape}")
        length = array.shape[-2] if turned else array.shape[-1]
        lead = max(far // item, length)
        if lead * item != far and array.shape[-1 if turned else -2] > 1:
            raise ValueError(f"gemm: rows may not overlap: strides {array.strides} of {array.shape}")
        operands.append((int(turned), pointer(array), lead, array.strides[0] // item if array.ndim == 3 else 0))
    (tb, pb, ldb, sb), (ta, pa, lda, sa) = operands
    scalars = np.array([1.0, beta], np.float64 if compute == COMPUTE_64F else np.float32)
    kind = CUDA_R_64F if out.dtype == np.float64 else CUDA_R_32F
    ldc = max(out.strides[-2] // item, N) if M > 1 else N
    cublas.gemmStridedBatchedEx(
        handle,
        tb,
        ta,
        N,
        M,
        K,
        scalars.ctypes.data,
        pb,
        kind,
        ldb,
        sb,
        pa,
        kind,
        lda,
        sa,
        scalars.ctypes.data + scalars.itemsize,
        pointer(out),
        kind,
        ldc,
        out.strides[0] // item if out.ndim == 3 else 0,
        batch,
        compute,
        DEFAULT_ALGORITHM,
    )


def _cublas() -> Any:
    # The bindings are not part of CuPy's documented interface: where they have moved, the slower documented one serves.
    try:
        libraries = import_module("cupy_backends.cuda.libs")
        # Asked for as an attribute, CuPy 14 first finds cuBLAS' own file among the installed wheels; imported by its
        # name, it would look only where the system's loader does.
        cublas = getattr(libraries, "cublas", None) or import_module("cupy_backends.cuda.libs.cublas")
        get_cublas_handle = import_module("cupy.cuda.device").get_cublas_handle
    except (ImportError, AttributeError):
        return None
    return (cublas, get_cublas_handle) if hasattr(cublas, "gemmStridedBatchedEx") else None


@cache
def _compiled(kernel: str, dtype: str, tile: int) -> Any:
    return _module(files()[kernel], dtype, tile).get_function(kernel)


@cache
def _module(file: str, dtype: str, tile: int) -> Any:
    import cupy

    try:
        # CuPy keeps the binary in its own cache on disk; a module of code, not a kernel, so that helpers come along.
        return cupy.RawModule(code=source(file, dtype, tile), options=("--std=c++17",))
    except Exception as error:  # compile errors have no common base class
        first = " ".join(str(error).split())[:200]
        raise HandstyleError(f"{file}.cu does not compile for this GPU ({first}); {CUPY_HELP}") from None
