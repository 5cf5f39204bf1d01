"""Matrix products in one thread, in the sizes in which OpenBLAS is fastest."""

import numpy as np

from handstyle.foundations.backend import Array

# Products of fewer multiplications than this go through OpenBLAS' kernels for small matrices, which do not copy their
# operands first: three times as fast for a transform (interface/gemm.c and
# kernel/x86_64/sgemm_small_kernel_permit_skylakex.c of OpenBLAS 0.3.31). Elsewhere the bound does no harm.
SMALL_PRODUCT = 1_000_000
FEWEST_ROWS = 64  # of a piece that is worth cutting off


def rows_times(x: Array, w: Array, out: Array) -> None:  # (…, T, C), (…, C, K), (…, T, K)
    """Write ``x @ w`` to `out`: a few rows at a time where that is a small product, a third faster than the whole.

    Parameters
    ----------
    x : (…, T, C) array
        Of NumPy. Rows of pixels or tiles.
    w : (…, C, K) array
        Weights.
    out : (…, T, K) array
        For the result.
    """
    T, C = x.shape[-2:]
    K = w.shape[-1]
    rows = 1 << max(1, SMALL_PRODUCT // (C * K)).bit_length() - 1
    whole = T // rows * rows if rows >= FEWEST_ROWS else 0
    if whole:
        pieces = (*x.shape[:-2], whole // rows, rows)
        np.matmul(
            x[..., :whole, :].reshape(*pieces, C), w[..., None, :, :], out=out[..., :whole, :].reshape(*pieces, K)
        )
    if whole < T:
        np.matmul(x[..., whole:, :], w, out=out[..., whole:, :])
