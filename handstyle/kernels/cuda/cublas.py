"""Compute matrix products by cuBLAS, through its C interface.

CuPy loads cuBLAS and has bindings for it, but they are not part of its documented interface and cannot be captured in a
graph (CuPy's issue 6290). The C interface has been the same for years.
"""

import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError

# cublasComputeType_t and cudaDataType_t, from cublas_api.h and library_types.h.
COMPUTE_32F, COMPUTE_32F_FAST_TF32, COMPUTE_64F = 68, 77, 70
CUDA_R_32F, CUDA_R_64F = 0, 1
DEFAULT_ALGORITHM = -1
WORKSPACE = 1 << 25  # bytes: the size that NVIDIA recommends for its GPUs since 2022

LIBRARY_NAMES = ("libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll")
INT, LONG, POINTER = ctypes.c_int, ctypes.c_longlong, ctypes.c_void_p


class CuBlas:
    """A handle, with its own workspace, to the cuBLAS that CuPy has loaded.

    Parameters
    ----------
    library : ctypes.CDLL
        The loaded library.
    workspace : array
        Memory on the device for cuBLAS, so that it allocates none while a CUDA graph is captured.
    stream : callable
        Returns the address of the current CUDA stream.

    Examples
    --------
    On a machine with a GPU:

    .. code-block:: python

        import cupy

        blas = load_cublas(cupy)
        gemm_strided(blas, a, b, out)  # out = a @ b
    """

    def __init__(self, library: ctypes.CDLL, workspace: Array, stream: Callable[[], int]) -> None:
        self.library, self.workspace, self.stream = library, workspace, stream
        self.handle, self.current = POINTER(), -1
        matrix: list[Any] = [POINTER, INT, INT, LONG]  # address, type, leading dimension, stride
        sizes: list[Any] = [INT] * 5  # transpositions of the two factors; rows, columns, depth
        library.cublasGemmStridedBatchedEx.argtypes = [
            POINTER,
            *sizes,
            POINTER,
            *matrix,
            *matrix,
            POINTER,
            *matrix,
            INT,
            INT,
            INT,
        ]
        self._call("cublasCreate_v2", ctypes.byref(self.handle))

    def address(self, a: Any) -> int:
        """Return the address of an array's data on the device.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> array = SimpleNamespace(data=SimpleNamespace(ptr=4096))  # in place of CuPy's
        >>> CuBlas.address(None, array)
        4096
        """
        return int(a.data.ptr)

    def multiply(self, *arguments: int) -> None:
        """Call ``cublasGemmStridedBatchedEx`` on CuPy's current stream.

        `arguments` are all of that function's arguments except the handle, in the order of cuBLAS's documentation;
        addresses are integers. `gemm_strided` computes them from arrays.

        Examples
        --------
        The product of an (M, K) and a (K, N) matrix of float32, as the transposed product of cuBLAS:

        .. code-block:: python

            scalars = np.array([1, 0], np.float32)
            one, zero = scalars.ctypes.data, scalars.ctypes.data + 4
            B, A, C = ((blas.address(m), CUDA_R_32F, m.shape[1], 0) for m in (b, a, out))
            blas.multiply(0, 0, N, M, K, one, *B, *A, zero, *C, 1, COMPUTE_32F, DEFAULT_ALGORITHM)
        """
        stream = self.stream()
        if stream != self.current:
            self._call("cublasSetStream_v2", self.handle, POINTER(stream))
            place = POINTER(self.address(self.workspace)), ctypes.c_size_t(self.workspace.nbytes)
            self._call("cublasSetWorkspace_v2", self.handle, *place)
            self.current = stream
        self._call("cublasGemmStridedBatchedEx", self.handle, *arguments)

    def _call(self, function: str, *arguments: Any) -> None:
        if status := getattr(self.library, function)(*arguments):
            raise HandstyleError(f"cuBLAS: {function} returned {status}; see cublasStatus_t in its documentation")


def load_cublas(cupy: Any) -> CuBlas | None:
    """Return the cuBLAS that CuPy has loaded, or None if its name is not in `LIBRARY_NAMES`.

    Examples
    --------
    .. code-block:: python

        import cupy

        blas = load_cublas(cupy)  # on a machine with a GPU
    """
    one = cupy.ones((1, 1), "float32")
    one @ one  # CuPy finds the library and loads it for its first product
    for name in LIBRARY_NAMES:
        with suppress(OSError):
            library = ctypes.CDLL(name, mode=getattr(os, "RTLD_NOLOAD", 0) | ctypes.DEFAULT_MODE)
            return CuBlas(library, cupy.empty((WORKSPACE,), "uint8"), lambda: int(cupy.cuda.get_current_stream().ptr))
    return None


def gemm_strided(blas: CuBlas, a: Array, b: Array, out: Array, beta: float = 0.0, tf32: bool = False) -> None:
    """Compute ``out = a @ b + beta out`` by cuBLAS, for row-major matrices or stacks of them.

    Parameters
    ----------
    blas : CuBlas
        cuBLAS, or another object with its two methods.
    a, b, out : (..., M, K), (..., K, N), (..., M, N) arrays
        Factors and result, with at most one leading axis. One of the last two axes of each factor must be contiguous,
        and the last axis of `out`. Rows may be padded, and matrices of a stack may overlap.
    beta : float
        The factor of `out` before the product is added; 0 overwrites it.
    tf32 : bool
        Whether float32 factors are rounded to 10 bits of mantissa.

    Raises
    ------
    ValueError
        If shapes or strides do not fit.

    Notes
    -----
    The matrices of cuBLAS are column-major, the transposes of row-major ones, so it is called for ``outᵀ = bᵀ aᵀ``.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> def show(*arguments):
    ...     print("transposed:", arguments[:2], "rows, columns, depth:", arguments[2:5])
    >>> blas = SimpleNamespace(address=lambda array: array.ctypes.data, multiply=show)
    >>> gemm_strided(blas, np.ones((4, 5)), np.ones((6, 5)).T, np.empty((4, 6)))
    transposed: (1, 0) rows, columns, depth: (6, 4, 5)
    """
    (M, N), K = out.shape[-2:], a.shape[-1]
    batch, item = out.shape[0] if out.ndim == 3 else 1, out.dtype.itemsize
    if out.strides[-1] != item and N > 1:
        raise ValueError(f"gemm: the result's rows must be whole: strides {out.strides} of {out.shape}")
    single = COMPUTE_32F_FAST_TF32 if tf32 else COMPUTE_32F
    kind, compute = (CUDA_R_64F, COMPUTE_64F) if out.dtype == np.float64 else (CUDA_R_32F, single)
    operands = []
    for array, shape in (b, (K, N)), (a, (M, K)), (out, (M, N)):  # book: cuda-lowered
        stacked = array.ndim == 3 and array.shape[0] == batch
        if array.shape[-2:] != shape or not (array.ndim == 2 or stacked) or array.dtype != out.dtype:
            raise ValueError(f"gemm: {a.shape} {a.dtype} @ {b.shape} {b.dtype} -> {out.shape} {out.dtype}")
        turned = array.strides[-1] != item and array.shape[-1] > 1
        rows = array.swapaxes(-1, -2) if turned else array
        (count, length), (far, near) = rows.shape[-2:], rows.strides[-2:]
        if near != item and length > 1:
            raise ValueError(f"gemm: neither axis is contiguous: strides {array.strides} of {array.shape}")
        lead = max(far // item, length)
        if lead * item != far and count > 1:
            raise ValueError(f"gemm: rows may not overlap: strides {array.strides} of {array.shape}")
        stride = array.strides[0] // item if array.ndim == 3 else 0
        operands.append((int(turned), (blas.address(array), kind, lead, stride)))
    (tb, B), (ta, A), (_, C) = operands
    scalars = np.array([1.0, beta], out.dtype)
    one, factor = scalars.ctypes.data, scalars.ctypes.data + scalars.itemsize
    blas.multiply(tb, ta, N, M, K, one, *B, *A, factor, *C, batch, compute, DEFAULT_ALGORITHM)
