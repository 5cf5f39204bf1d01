"""Compute the matrices of Winograd's convolution from interpolation points.

A product of polynomials is found by evaluating both at enough points, multiplying the values and interpolating (Toom
1963, Cook 1966). A correlation is the transpose of that product: Winograd's minimal filtering (1980), as Lavin and Gray
(arXiv 1509.09308) use it. So the three matrices follow from the points; they are computed in exact rational arithmetic.
"""

from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array

# The finite points for each tile size; the last point, infinity, is not listed. They were chosen from small powers of
# two by measuring the error. The point at index `BIAS_POINT` must be 1: a bias is added there.
POINTS: dict[int, tuple[Fraction, ...]] = {
    2: tuple(map(Fraction, ("0", "1", "-1"))),
    4: tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2"))),
    6: tuple(map(Fraction, ("0", "1", "-1", "1/2", "-2", "2", "-1/2"))),
}
BIAS_POINT = 1


class Transforms(NamedTuple):
    """The matrices of F(m, 3): ``y = AT [(G w) * (BT x)]`` is the correlation of n = m + 2 inputs with 3 weights.

    Examples
    --------
    >>> [matrix.shape for matrix in transforms(4)]
    [(6, 6), (6, 3), (4, 6)]
    """

    BT: Array  # (n, n)  input
    G: Array  # (n, 3)  kernel
    AT: Array  # (m, n)  output


@cache
def transforms(m: int, dtype: DTypeLike = np.float64) -> Transforms:
    """Return the three matrices of F(m, 3) in one dimension; in two they are applied to columns and then to rows.

    Parameters
    ----------
    m : {2, 4, 6}
        Outputs along each side of a tile.
    dtype : dtype
        The dtype of the matrices, which are rounded once, from exact fractions.

    Returns
    -------
    Transforms

    Notes
    -----
    Let V(k) be the n x k matrix of the powers 0 … k-1 of the points (for infinity: of the leading coefficient). The
    product of polynomials with m and 3 coefficients is ``V(n)^-1 [(V(m) u) * (V(3) w)]``. Transposed with respect
    to ``u`` that is ``V(m)^T [(V(3) w) * (V(n)^-T x)]``. Row i of ``V(n)^-T`` is Lagrange's polynomial of
    point i, whose denominator ``prod_j (p_i - p_j)`` is moved to the matrix of the kernel: it is then applied once for
    each layer and not for each pixel.

    Examples
    --------
    >>> import numpy as np
    >>> BT, G, AT = transforms(2)
    >>> x, w = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 10.0, 100.0])
    >>> AT @ ((G @ w) * (BT @ x))  # 1 + 20 + 300, 2 + 30 + 400
    array([321., 432.])
    """
    points = POINTS[m]
    n = m + 2
    BT = [[Fraction(0)] * n for _ in range(n)]
    G = [[Fraction(0)] * 3 for _ in range(n)]
    AT = [[Fraction(0)] * n for _ in range(m)]
    for i, p in enumerate(points):
        others = [q for q in points if q != p]
        numerator = _from_roots(others)  # degree n - 2, as the row for infinity takes care of degree n - 1
        denominator = Fraction(1)
        for q in others:
            denominator *= p - q
        BT[i][: n - 1] = numerator
        G[i] = [p**k / denominator for k in range(3)]
        for k in range(m):
            AT[k][i] = p**k
    BT[n - 1] = _from_roots(list(points))
    G[n - 1][2] = AT[m - 1][n - 1] = Fraction(1)
    exact = (np.array([[float(v) for v in row] for row in matrix]) for matrix in (BT, G, AT))
    return Transforms(*(_read_only(matrix.astype(dtype)) for matrix in exact))


def _from_roots(roots: list[Fraction]) -> list[Fraction]:  # coefficients of prod (x - r), constant first
    coefficients = [Fraction(1)]
    for r in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [s - r * c for s, c in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients


def _read_only(matrix: Array) -> Array:
    matrix.flags.writeable = False
    return matrix
