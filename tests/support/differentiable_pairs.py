"""Every differentiable pair of the package in one table, and how a checker looks at it.

The gradient tests run down this table, and the mutants are put in a pair's place. `linear` is the map that the adjoint
test transposes: the pair itself where it is linear (less its constant), and where it is linear only in pieces, the
piece around a given point, written here a second time without the package.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.image import CONVENTIONS, preprocess_backward, preprocess_forward
from handstyle.kernels.winograd_matrices import POINTS
from handstyle.kernels.winograd_plain import winograd_backward, winograd_forward
from handstyle.losses.gram import Moments, moments_backward, moments_forward
from handstyle.losses.patches import patches_backward, patches_forward
from handstyle.losses.terms import Term
from handstyle.network.convolution import conv3x3_backward, conv3x3_forward
from handstyle.network.l2_pooling import l2_pool_backward, l2_pool_forward
from handstyle.network.padding import pad_backward, pad_forward
from handstyle.network.pooling import (
    average_pool_backward,
    average_pool_forward,
    max_pool_backward,
    max_pool_forward,
)
from handstyle.network.relu import relu_backward, relu_forward
from handstyle.network.weight_gradients import conv3x3_bias_gradient, conv3x3_weight_gradient
from handstyle.optimize.precondition import Spectrum

Forward = Callable[[Array], tuple[Array, Any]]
Backward = Callable[[Array, Any], Array]


def loss_of(term: Term) -> Callable[[Array], tuple[Array, Array]]:
    """Return a term's three steps as one function: ``f -> value, gradient``, without its weight."""

    def loss(f: Array) -> tuple[Array, Array]:
        value, ds = term.loss(term.measure(f))
        return value, term.spread(ds, f)

    return loss


@dataclass(frozen=True)
class Pair:
    """A forward and a backward function, and what the checks need to know of them.

    `at(x)` returns the linear map around `x`, by default ``u -> forward(u) - forward(0)``. `signature(cache)` returns
    what must not change between two points for the function to be smooth between them.
    """

    name: str
    shape: tuple[int, ...]
    forward: Forward
    backward: Backward
    at: Callable[[Array], Callable[[Array], Array]] | None = None
    signature: Callable[[Any], Array] | None = None


def linear(pair: Pair, x: Array) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Return the linear map of `pair` around `x`, and what the pair says is its adjoint."""
    _, cache = pair.forward(x)
    if pair.at is not None:
        return pair.at(x), lambda v: pair.backward(v, cache)
    constant = pair.forward(0 * x)[0]
    return lambda u: pair.forward(u)[0] - constant, lambda v: pair.backward(v, cache)


def half_square(pair: Pair, target: Array) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
    """Return ``½‖forward(x) − target‖²`` and its gradient by the pair, which makes a scalar of any pair."""

    def f(x: Array) -> float:
        difference = pair.forward(x)[0] - target
        return 0.5 * float((difference * difference).sum())

    def gradient(x: Array) -> Array:
        y, cache = pair.forward(x)
        return pair.backward(y - target, cache)

    return f, gradient


def signature_of(pair: Pair) -> Callable[[Array], Array] | None:
    """Return ``x -> signature`` for the checks that compare two points."""
    return None if pair.signature is None else lambda x: pair.signature(pair.forward(x)[1])


def relu_at(x: Array) -> Callable[[Array], Array]:
    """Return the rectifier's linear piece around `x`."""
    return lambda u: u * (x > 0)


def max_pool_at(rounding: str) -> Callable[[Array], Callable[[Array], Array]]:
    """Return ``x -> piece``: which pixel each block of `x` takes, found by a loop, read off `u`."""

    def at(x: Array) -> Callable[[Array], Array]:
        host, xp = to_numpy(x), namespace(x)
        up = rounding == "up"
        h, w = (host.shape[0] + up) // 2, (host.shape[1] + up) // 2
        taken = np.zeros((h, w, host.shape[2], 2), int)
        for r, s, c in product(range(h), range(w), range(host.shape[2])):
            block = [(i, j) for i in (2 * r, 2 * r + 1) for j in (2 * s, 2 * s + 1)]
            block = [(i, j) for i, j in block if i < host.shape[0] and j < host.shape[1]]
            taken[r, s, c] = max(block, key=lambda pixel, c=c: host[(*pixel, c)])  # of equals the first
        rows, columns = xp.asarray(taken[..., 0]), xp.asarray(taken[..., 1])
        return lambda u: u[rows, columns, xp.arange(u.shape[2])]

    return at


def l2_pool_at(rounding: str) -> Callable[[Array], Callable[[Array], Array]]:
    """Return ``x -> piece``: d ‖b‖ = b · db / ‖b‖ for each block b of `x`, by a loop."""

    def at(x: Array) -> Callable[[Array], Array]:
        host, xp = to_numpy(x).astype(np.float64), namespace(x)
        up = rounding == "up"
        h, w = (host.shape[0] + up) // 2, (host.shape[1] + up) // 2

        def piece(u: Array) -> Array:
            moved = to_numpy(u).astype(np.float64)
            y = np.zeros((h, w, host.shape[2]))
            for r, s in product(range(h), range(w)):
                b, db = (a[2 * r : 2 * r + 2, 2 * s : 2 * s + 2] for a in (host, moved))
                y[r, s] = 0.78 * (b * db).sum(axis=(0, 1)) / np.sqrt((b * b).sum(axis=(0, 1)))
            return xp.asarray(y, dtype=u.dtype)

        return piece

    return at


def moments_pair(weight: Array | None, backward: Callable[..., Array] = moments_backward) -> Pair:
    """Return the moments as one flat vector, the sums above the products, so that they are a pair like the rest."""
    C = 4

    def pack(moments: Moments) -> Array:
        return namespace(moments.outer).concatenate([moments.sums, moments.outer.ravel()])

    def w(f: Array) -> Array | None:
        return None if weight is None else namespace(f).asarray(weight, dtype=f.dtype)

    def unpack_and_pull(v: Array, f: Array) -> Array:
        return backward(Moments(0.0, v[:C], v[C:].reshape(C, C)), f, w(f))

    def at(f: Array) -> Callable[[Array], Array]:  # d Σ w f = Σ w u,  d Σ w f fᵀ = Σ w (u fᵀ + f uᵀ)
        def piece(u: Array) -> Array:
            F, U = f.reshape(-1, C), u.reshape(-1, C)
            wU, wF = (U, F) if weight is None else (w(f).reshape(-1, 1) * U, w(f).reshape(-1, 1) * F)
            return namespace(f).concatenate([wU.sum(axis=0), (wU.T @ F + wF.T @ U).ravel()])

        return piece

    name = "moments" if weight is None else "moments under a mask"
    return Pair(name, (5, 6, C), lambda f: (pack(moments_forward(f, w(f))), f), unpack_and_pull, at)


def _array(x: Array, *shape: int, seed: int = 7) -> Array:
    """Return weights like `x` in library and dtype: normal, the same on every call."""
    host = np.random.default_rng(seed).standard_normal(shape)
    return namespace(x).asarray(host, dtype=x.dtype)


def convolution_pair(padding: str, shape: tuple[int, ...] = (5, 7, 3), K: int = 4) -> Pair:
    """Return the convolution as a function of its input."""
    C = shape[2]
    return Pair(
        f"convolution, {padding}",
        shape,
        lambda x: conv3x3_forward(x, _array(x, 3, 3, C, K), _array(x, K), padding),
        conv3x3_backward,
    )


def winograd_pair(m: int, shape: tuple[int, ...] = (5, 7, 3), K: int = 4) -> Pair:
    """Return the plain Winograd convolution as a function of its input; no side is a multiple of the tile's."""
    C = shape[2]
    return Pair(
        f"Winograd's convolution, {m} x {m}",
        shape,
        lambda x: winograd_forward(x, _array(x, 3, 3, C, K), _array(x, K), m),
        winograd_backward,
    )


def weight_pair(padding: str) -> Pair:
    """Return the convolution as a function of its weights."""
    return Pair(
        f"convolution's weights, {padding}",
        (3, 3, 3, 4),
        lambda w: (conv3x3_forward(_array(w, 5, 7, 3), w, _array(w, 4), padding)[0], _array(w, 5, 7, 3)),
        lambda dy, x: conv3x3_weight_gradient(dy, x, padding),
    )


def bias_pair() -> Pair:
    """Return the convolution as a function of its bias."""
    return Pair(
        "convolution's bias",
        (4,),
        lambda b: (conv3x3_forward(_array(b, 5, 7, 3), _array(b, 3, 3, 3, 4), b)[0], None),
        lambda dy, _: conv3x3_bias_gradient(dy),
    )


def preprocess_pair(convention: str) -> Pair:
    """Return the way into a network's convention."""
    c = CONVENTIONS[convention]
    return Pair(
        f"preprocess, {convention}",
        (5, 7, 3),
        lambda p: (preprocess_forward(p, c), None),
        lambda dx, _: preprocess_backward(dx, c),
    )


def spectrum_pair(backward: Callable[[Spectrum, Array], Array] = Spectrum.backward, exponent: float = 0.5) -> Pair:
    """Return the map from scaled cosine coefficients to the picture."""

    def forward(z: Array) -> tuple[Array, Spectrum]:
        spectrum = Spectrum.of((5, 7, 3), exponent, z)
        return spectrum.forward(z), spectrum

    return Pair("spectrum", (5, 7, 3), forward, lambda dp, spectrum: backward(spectrum, dp))


MASK = np.random.default_rng(8).uniform(0, 2, (5, 6, 1)) * (np.arange(6) > 1)[:, None]

PAIRS = [
    *(
        Pair(
            f"padding, {mode}",
            (5, 7, 3),
            lambda x, mode=mode: pad_forward(x, mode),
            pad_backward,
        )
        for mode in ("zero", "reflect", "replicate")
    ),
    *(convolution_pair(mode) for mode in ("zero", "reflect", "replicate")),
    *(winograd_pair(m) for m in POINTS),
    *(weight_pair(mode) for mode in ("zero", "reflect", "replicate")),
    bias_pair(),
    Pair("rectifier", (5, 7, 3), relu_forward, relu_backward, relu_at, lambda bits: bits),
    *(
        Pair(
            f"max pooling, {rounding}",
            (5, 7, 3),
            lambda x, rounding=rounding: max_pool_forward(x, rounding),
            max_pool_backward,
            max_pool_at(rounding),
            lambda cache: cache[0],
        )
        for rounding in ("down", "up")
    ),
    *(
        Pair(
            f"average pooling, {rounding}",
            (5, 7, 3),
            lambda x, rounding=rounding: average_pool_forward(x, rounding),
            average_pool_backward,
        )
        for rounding in ("down", "up")
    ),
    *(
        Pair(
            f"l2 pooling, {rounding}",
            (5, 7, 3),
            lambda x, rounding=rounding: l2_pool_forward(x, rounding),
            l2_pool_backward,
            l2_pool_at(rounding),
        )
        for rounding in ("down", "up")
    ),
    preprocess_pair("caffe"),
    preprocess_pair("torchvision"),
    moments_pair(None),
    moments_pair(MASK),
    spectrum_pair(),
    Pair("patches", (5, 7, 3), patches_forward, patches_backward),
    Pair("patches, stride 2", (6, 7, 3), lambda f: patches_forward(f, 2, 2), patches_backward),
]
