"""Compute matrix products in one thread, in pieces of the size at which OpenBLAS is fastest."""

from functools import cache

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.kernels.cpu.threads import blas_architectures

# For products of fewer multiplications than this, OpenBLAS uses special kernels on some processors. They do not copy
# their operands first, and are three times as fast for a transform (interface/gemm.c and
# kernel/x86_64/sgemm_small_kernel_permit_skylakex.c of OpenBLAS 0.3.31).
SMALL_PRODUCT = 1_000_000
HAVE_SMALL_KERNELS = frozenset(("SkylakeX", "Cooperlake", "SapphireRapids"))
MIN_ROWS = 16  # the fewest rows of a piece that is worth a call of its own
# Columns of a piece of a product with a small matrix on the left: few enough that input and output fit the
# second-level cache together, and enough that the overhead of the interpreter is small.
MIN_COLUMNS, MAX_COLUMNS = 2048, 8192


@cache
def has_small_kernels() -> bool:
    """Return whether this machine's OpenBLAS has special kernels for small products, as it has for AVX-512.

    Examples
    --------
    .. code-block:: python

        has_small_kernels()  # True on a processor with AVX-512
    """
    return not HAVE_SMALL_KERNELS.isdisjoint(blas_architectures())


def rows_times(x: Array, w: Array, out: Array) -> None:  # (…, T, C), (…, C, K), (…, T, K)
    """Write ``x @ w`` to `out`, a few rows at a time if this machine has kernels for small products.

    With these kernels small pieces are a third faster. Without them OpenBLAS would copy `w` again for each piece, so
    there is one call for all rows.

    Parameters
    ----------
    x : (…, T, C) array
        Rows of pixels or tiles, in NumPy.
    w : (…, C, K) array
        Weights.
    out : (…, T, K) array
        Receives the result.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.empty((2, 1))
    >>> rows_times(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones((2, 1)), out)
    >>> out.ravel()
    array([3., 7.])
    """
    T, C = x.shape[-2:]
    K = w.shape[-1]
    rows = 1 << max(1, SMALL_PRODUCT // (C * K)).bit_length() - 1
    # Of a transposed matrix the small kernels would read columns.
    in_pieces = rows >= MIN_ROWS and w.strides[-1] == w.itemsize and has_small_kernels()
    whole = T // rows * rows if in_pieces else 0
    if whole:
        pieces = (*x.shape[:-2], whole // rows, rows)
        np.matmul(
            x[..., :whole, :].reshape(*pieces, C), w[..., None, :, :], out=out[..., :whole, :].reshape(*pieces, K)
        )
    if whole < T:
        np.matmul(x[..., whole:, :], w, out=out[..., whole:, :])


def times_columns(A: Array, x: Array, out: Array) -> None:  # (p, n), (…, n, L), (…, p, L)
    """Write ``A @ x`` to `out`, in pieces of some thousand columns.

    Parameters
    ----------
    A : (p, n) array
        A small matrix, in NumPy.
    x : (…, n, L) array
        Matrices with long rows; the stride along a row must be one value.
    out : (…, p, L) array
        Receives the result.

    Examples
    --------
    >>> import numpy as np
    >>> out = np.empty((1, 3))
    >>> times_columns(np.array([[1.0, -1.0]]), np.array([[5.0, 6.0, 7.0], [1.0, 2.0, 3.0]]), out)
    >>> out
    array([[4., 4., 4.]])
    """
    L = x.shape[-1]
    # Pieces of equal length, in whole cache lines.
    step = -(-L // -(-L // MAX_COLUMNS) // 16) * 16
    whole = L // step * step
    if whole:
        np.matmul(A, _split_columns(x, whole, step), out=_split_columns(out, whole, step))
    if whole < L:
        np.matmul(A, x[..., whole:], out=out[..., whole:])


def _split_columns(x: Array, whole: int, step: int) -> Array:  # (…, n, L) -> (…, whole / step, n, step), a view
    return x[..., :whole].reshape(*x.shape[:-1], whole // step, step).swapaxes(-3, -2)
