"""Winograd's convolution F(m x m, 3 x 3) without optimizations: four short steps, forward and adjoint.

It is a step between the nine shifted products of ``network/convolution.py`` and the fast version in
``cpu/winograd.py``. A tile of m x m outputs needs n x n inputs, n = m + 2. Kernels and tiles are transformed,
multiplied point by point, and transformed back. That takes n² multiplications for each tile and pair of channels, where
the direct method takes 9 m². There are no threads and no blocks; every intermediate array is whole. Arrays may be
NumPy's or CuPy's, of any height and width, with channels last and zero padding.
"""

import numpy as np

from handstyle.foundations.backend import Array, namespace
from handstyle.kernels.winograd_matrices import Transforms, transforms

WinogradCache = tuple[Array, int]


def winograd_forward(  # (H, W, C), (3, 3, C, K), (K,) -> (H, W, K), cache
    x: Array, w: Array, b: Array, m: int = 4
) -> tuple[Array, WinogradCache]:
    """Convolve `x` with `w` and add `b`, tile by tile; the result is that of `conv3x3_forward` except for rounding.

    Parameters
    ----------
    x : (H, W, C) array
        The feature map; beyond its edge there are zeros.
    w : (3, 3, C, K) array
        The kernels: row, column, channel in, channel out.
    b : (K,) array
        The bias.
    m : {2, 4, 6}
        Outputs along each side of a tile.

    Returns
    -------
    y : (H, W, K) array
    cache : tuple
        The kernels and `m`, for `winograd_backward`.

    See Also
    --------
    winograd_backward : Its adjoint.
    handstyle.network.convolution.conv3x3_forward : The same by nine shifted products.

    Notes
    -----
    ``y = Aᵀ [(G w Gᵀ) * (Bᵀ x B)] A`` for each tile, summed over the input channels (Lavin and Gray, arXiv 1509.09308,
    eq. 8). Because of the sum, each of the n² points of all tiles together is one matrix product.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((3, 3, 1, 1))
    >>> w[1, 2] = 1.0  # the output reads the pixel to the right
    >>> y, _ = winograd_forward(np.array([[[1.0], [2.0], [3.0]]]), w, np.zeros(1), m=2)
    >>> y[..., 0].round(12)
    array([[2., 3., 0.]])
    """
    return correlate_tiles(x, w, m) + b, (w, m)


def winograd_backward(dy: Array, cache: WinogradCache) -> Array:  # (H, W, K), cache -> (H, W, C)
    """Return the gradient at the input of `winograd_forward`, from that at its output.

    The adjoint of a convolution with zero padding is a convolution too, with each kernel turned by 180 degrees and
    input and output channels exchanged. So it is computed by the same four steps.

    Parameters
    ----------
    dy : (H, W, K) array
        The gradient at the output.
    cache : tuple
        From the forward call.

    Returns
    -------
    (H, W, C) array

    See Also
    --------
    winograd_forward : The convolution.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((3, 3, 1, 1))
    >>> w[1, 2] = 1.0  # the output reads the pixel to the right
    >>> _, cache = winograd_forward(np.array([[[1.0], [2.0], [3.0]]]), w, np.zeros(1), m=2)
    >>> winograd_backward(np.array([[[5.0], [6.0], [7.0]]]), cache)[..., 0].round(12)
    array([[0., 5., 6.]])
    """
    w, m = cache
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2)  # book: winograd-turned
    return correlate_tiles(dy, turned, m)


def correlate_tiles(x: Array, w: Array, m: int) -> Array:  # (H, W, C), (3, 3, C, K) -> (H, W, K)
    """Return the correlation of a map with 3x3 kernels: cut into tiles, transform, multiply, transform back, join.

    Examples
    --------
    >>> x, w = np.ones((4, 4, 1)), np.ones((3, 3, 1, 1))
    >>> correlate_tiles(x, w, m=2)[..., 0].round(6).tolist()  # 4, 6 or 9 neighbors in the map
    [[4.0, 6.0, 6.0, 4.0], [6.0, 9.0, 9.0, 6.0], [6.0, 9.0, 9.0, 6.0], [4.0, 6.0, 6.0, 4.0]]
    """
    H, W, _ = x.shape
    BT, G, AT = transforms_for(x, m)
    U = on_both_sides(G, w)  # (n, n, C, K)
    V = on_both_sides(BT, cut_tiles(x, m))  # (n, n, tiles, C)
    M = V @ U  # (n, n, tiles, K), a product for each point  # book: winograd-points
    return join_tiles(on_both_sides(AT, M), H, W)


def on_both_sides(A: Array, X: Array) -> Array:  # (p, n), (n, n, ...) -> (p, p, ...)
    """Return ``A X Aᵀ`` for every matrix in the first two axes of `X`.

    Examples
    --------
    >>> A, X = np.array([[1.0, 1.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> on_both_sides(A, X[..., None]).ravel().tolist()  # the sum of all
    [10.0]
    """
    p, n = A.shape
    columns = (A @ X.reshape(n, -1)).reshape(p, n, -1)
    Y: Array = A @ columns  # and along the rows: the second axis  # book: winograd-sides
    return Y.reshape(p, p, *X.shape[2:])


def cut_tiles(x: Array, m: int) -> Array:  # (H, W, C) -> (n, n, tiles, C)
    """Cut a map into overlapping tiles of n x n inputs; zeros where a tile reaches beyond the map.

    Examples
    --------
    >>> tiles = cut_tiles(np.arange(16.0).reshape(4, 4, 1), m=2)
    >>> tiles.shape, tiles[:, :, 0, 0].tolist()  # the first tile, with a border of zeros
    ((4, 4, 4, 1), [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 2.0], [0.0, 4.0, 5.0, 6.0], [0.0, 8.0, 9.0, 10.0]])
    """
    (H, W, C), n = x.shape, m + 2
    down, across = -(-H // m), -(-W // m)  # tiles, rounded up
    xp = namespace(x)
    xpad = xp.zeros((m * down + 2, m * across + 2, C), x.dtype)
    xpad[1 : H + 1, 1 : W + 1] = x
    tiles: Array = xp.empty((n, n, down, across, C), x.dtype)
    for i, j in np.ndindex(n, n):
        tiles[i, j] = xpad[i : i + m * down : m, j : j + m * across : m]  # book: winograd-cut
    return tiles.reshape(n, n, down * across, C)


def join_tiles(tiles: Array, H: int, W: int) -> Array:  # (m, m, tiles, K) -> (H, W, K)
    """Join tiles of m x m outputs to a map, and crop it to H x W.

    Examples
    --------
    >>> tiles = np.arange(4.0).reshape(2, 2, 1, 1)  # one tile of 2 x 2 outputs
    >>> join_tiles(tiles, 2, 2)[..., 0].tolist(), join_tiles(tiles, 1, 2)[..., 0].tolist()
    ([[0.0, 1.0], [2.0, 3.0]], [[0.0, 1.0]])
    """
    m, _, _, K = tiles.shape
    down, across = -(-H // m), -(-W // m)
    rows_and_columns = tiles.reshape(m, m, down, across, K).transpose(2, 0, 3, 1, 4)
    return rows_and_columns.reshape(m * down, m * across, K)[:H, :W]


def transforms_for(x: Array, m: int) -> Transforms:
    """Return the three matrices of F(m, 3) on the device of `x` and in its dtype.

    Examples
    --------
    >>> [matrix.shape for matrix in transforms_for(np.zeros((4, 4, 1)), m=2)]
    [(4, 4), (4, 3), (2, 4)]
    """
    return Transforms(*(namespace(x).asarray(matrix) for matrix in transforms(m, x.dtype)))
