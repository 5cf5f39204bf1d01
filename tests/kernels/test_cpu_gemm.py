"""Products in pieces are the products, whichever kernels BLAS has; what is not asked for stays as it was."""

import numpy as np
import pytest

from handstyle.kernels.cpu import gemm
from handstyle.kernels.cpu.gemm import MAX_COLUMNS, rows_times, times_columns
from handstyle.kernels.cpu.threads import blas_architectures


@pytest.mark.parametrize("length", [1, 15, 16, 17, MAX_COLUMNS, MAX_COLUMNS + 1, 2 * MAX_COLUMNS + 40])
@pytest.mark.parametrize("shape", [(4, 6), (8, 8), (6, 0)], ids=str)
def test_a_small_matrix_times_long_rows(shape: tuple[int, int], length: int, rng: np.random.Generator) -> None:
    (p, n), gap = shape, 5
    A, wide = rng.normal(size=(p, n)), rng.normal(size=(2, n, length + gap))
    out = np.full((2, p, length + gap), np.nan)
    times_columns(A, wide[..., :length], out[..., :length])
    np.testing.assert_allclose(out[..., :length], A @ wide[..., :length], rtol=1e-13, atol=1e-13)
    assert np.isnan(out[..., length:]).all(), "it wrote beyond the columns it was given"


@pytest.mark.parametrize("small_kernels", [False, True])
@pytest.mark.parametrize("rows", [1, 63, 64, 130, 1000])
def test_rows_times_a_matrix(
    small_kernels: bool, rows: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gemm, "has_small_kernels", lambda: small_kernels)
    x, w = rng.normal(size=(3, rows, 96)), rng.normal(size=(3, 96, 64))
    out = np.full((3, rows, 64), np.nan)
    rows_times(x, w, out)
    np.testing.assert_allclose(out, x @ w, rtol=1e-12, atol=1e-12)


def test_the_architecture_of_blas_is_known() -> None:
    assert blas_architectures()
    assert gemm.has_small_kernels() == bool(blas_architectures() & gemm.HAVE_SMALL_KERNELS)
