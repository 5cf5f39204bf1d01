"""Prune a network in closed form: select channels, then fit the kernels by least squares.

Layer by layer, as in channel pruning (He, Zhang and Sun 2017, arXiv 1707.06168), it keeps the channels of the teacher
from which the others are best predicted linearly, then fits kernels that compute the kept channels from the small
network's own features, which include the errors of the layers below. As in Zhang et al. (2015, arXiv 1505.06798),
errors that the rectifier sets to zero do not count. No gradient descent is needed, and the result can already paint.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, preprocess_forward
from handstyle.network.padding import pad_forward
from handstyle.network.sequence import Convolution, Layer, Pool
from handstyle.network.vgg import Network, Weights, build_network

T = TypeVar("T")
U = TypeVar("U")

RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)  # relative to each unknown's own share of the squared error


class Map(Protocol):
    """A function that maps over pictures, on one thread or several, and returns the results in order."""

    def __call__(self, function: Callable[[T], U], items: Iterable[T], /) -> list[U]: ...  # noqa: D102


def _one_by_one(function: Callable[[T], U], items: Iterable[T], /) -> list[U]:
    """Map over pictures on the calling thread."""
    return [function(item) for item in items]


@dataclass(frozen=True)
class Pruned:
    """A small network, and its decoders: the linear maps to the large network's features.

    Parameters
    ----------
    layers : dict of str to (w, b)
        Kernels and biases.
    kept : dict of str to (K,) int array
        The teacher's channels that each layer stands for.
    decoders : dict of str to (K, C) array
        For each rectifier, the linear map from small features to the teacher's: least squares, or at full width a
        multiple of the identity.
    errors : dict of str to float
        For each rectifier, the relative squared error of that map on the pictures used.

    Examples
    --------
    >>> w, b = np.zeros((3, 3, 3, 2)), np.zeros(2)
    >>> pruned = Pruned({"conv1_1": (w, b)}, {"conv1_1": np.array([4, 9])}, {"relu1_1": np.ones((2, 64))}, {})
    >>> pruned.decoders["relu1_1"].shape  # from two channels to all of the teacher's
    (2, 64)
    """

    layers: dict[str, tuple[Array, Array]]
    kept: dict[str, Array]
    decoders: dict[str, Array]
    errors: dict[str, float]


def select_channels(second: Array, metric: Array, count: int) -> Array:  # (C, C), (C, C), count -> (count,)
    """Choose channels, one at a time, so that a linear map from them predicts all with the smallest error.

    Parameters
    ----------
    second : (C, C) array
        ``E[f fᵀ]``.
    metric : (C, C) array
        ``Q``: the error ``e`` of a prediction counts as ``eᵀ Q e``.
    count : int
        Number of channels to keep.

    Returns
    -------
    (count,) int array
        In increasing order.

    Notes
    -----
    This is a pivoted Cholesky factorization whose pivot is not the largest value of the diagonal but the channel ``j``
    that reduces the error most: with the residual ``R``, by ``R_jᵀ Q R_j / R_jj``.

    Examples
    --------
    >>> second = np.diag([4.0, 1.0, 2.0])  # uncorrelated: those of the largest variance are kept
    >>> select_channels(second, np.eye(3), count=2)
    array([0, 2])
    >>> select_channels(second, np.diag([0.1, 9.0, 1.0]), count=2)  # an error at the first hardly counts
    array([1, 2])
    """
    residual = np.array(second, np.float64)
    floor = 1e-9 * max(float(residual.diagonal().max()), 1e-300)
    chosen: list[int] = []
    for _ in range(count):
        variance = residual.diagonal()
        gain = np.where(
            variance > floor, ((metric @ residual) * residual).sum(axis=0) / np.maximum(variance, floor), -1
        )
        gain[chosen] = -2
        j = int(gain.argmax())
        chosen.append(j)
        if variance[j] > floor:
            residual = residual - np.outer(residual[:, j], residual[j]) / variance[j]
    return np.sort(np.array(chosen))


def prune(
    teacher: Weights,
    widths: dict[str, int],
    pictures: Sequence[Array],
    taps: Sequence[str],
    judges: int = 0,
    rows: int = 120_000,
    seed: int = 0,
    spread: Map = _one_by_one,
    report: Callable[[str], None] = lambda line: None,
) -> Pruned:
    """Prune a network to given widths in closed form.

    Parameters
    ----------
    teacher : Weights
        The large network.
    widths : dict of str to int
        Channels of each convolution of the small one, in order; the last named is its deepest.
    pictures : sequence of (H, W, 3) array
        The pictures on which features are compared.
    taps : sequence of str
        The rectifiers whose features are used by losses.
    judges : int
        Number of pictures at the end of `pictures` that are held out to choose the strength of the prior, which draws
        the kernels to the teacher's own. Their content should differ from the others'.
    rows : int
        Pixels for each layer, sampled from all pictures, on which the kernels are fitted.
    seed : int
        Seed of that sample.
    spread : callable, optional
        Maps a function over pictures, on one thread or several.
    report : callable, optional
        Called with a line for each layer.

    Returns
    -------
    Pruned

    Raises
    ------
    HandstyleError
        If all channels of a layer, the teacher's or those of the small network, are zero on all pictures.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> p = np.random.default_rng(0).uniform(0, 255, (16, 16, 3))
    >>> pruned = prune(random_weights(), {"conv1_1": 4, "conv1_2": 6}, [p], ["relu1_1"])
    >>> {name: w.shape for name, (w, b) in pruned.layers.items()}
    {'conv1_1': (3, 3, 3, 4), 'conv1_2': (3, 3, 4, 6)}
    """
    network = build_network(teacher)
    rng = np.random.default_rng(seed)
    large = spread(lambda p: preprocess_forward(p.astype(np.float32), CONVENTIONS[teacher.convention]), pictures)
    small, decoder = large, np.eye(3, dtype=np.float32)
    out = Pruned({}, {}, {}, {})
    for layer in network.layers:
        if isinstance(layer, Pool):
            large, small = spread(partial(_forward_layer, layer), large), spread(partial(_forward_layer, layer), small)
        elif isinstance(layer, Convolution):
            if layer.name not in widths:
                break
            name, rectifier = layer.name, layer.name.replace("conv", "relu")
            large = spread(partial(_forward_layer, layer), large)
            second = np.sum(spread(_second_moments, large), axis=0)
            if not second.any():
                raise HandstyleError(f"{name}: the teacher's channels are zero on all pictures; give other pictures")
            kept = select_channels(second, _metric(network, name, rectifier in taps, second), widths[name])
            places = [rng.choice(f.shape[0] * f.shape[1], _rows_per_picture(rows, f, len(large)), False) for f in large]
            rms = spread(_rectified_rms, large)
            z = np.concatenate(
                [f.reshape(-1, f.shape[2])[at][:, kept] / by for f, at, by in zip(large, places, rms, strict=True)]
            )
            x = np.concatenate([_patches(s, at, by) for s, at, by in zip(small, places, rms, strict=True)])
            composed = np.einsum("sc,ijck->ijsk", decoder, layer.w[..., kept], optimize=True)
            w, b, ridge, held_out_error = _fit_kernels(
                x, z, composed, layer.b[kept], sum(map(len, places[len(places) - judges :]))
            )
            student = Convolution(name, w, b)
            small = spread(_rectify, spread(partial(_forward_layer, student), small))
            large = spread(_rectify, large)
            # One scale a layer: features of unit mean square suit half precision and the descent that follows.
            square = np.mean([np.mean(np.square(s)) for s in small])
            if not square:
                raise HandstyleError(
                    f"{name}: its {widths[name]} channels are zero on all pictures; give it more channels"
                )
            scale = np.float32(1 / np.sqrt(square))
            small = spread(partial(np.multiply, scale), small)
            decoder, error = fit_decoder(small, large)
            if len(decoder) == decoder.shape[1]:
                # At full width the features themselves are to be the teacher's, up to the scale: losses compare the
                # Gram matrix of the features, not of what a map makes of them.
                decoder = np.eye(len(decoder), dtype=np.float32) / scale
            out.layers[name], out.kept[name] = (w * scale, b * scale), kept
            out.decoders[rectifier], out.errors[rectifier] = decoder, error
            report(
                f"{name}: {widths[name]} of {layer.w.shape[3]} channels, ridge {ridge:g}, "
                f"error of those kept {held_out_error:.3f} on pictures apart, of all {error:.3f}"
            )
    return out


def fit_decoder(small: Sequence[Array], large: Sequence[Array]) -> tuple[Array, float]:  # -> (K, C), relative error
    """Return the least-squares linear map from the small features to the large ones, and its relative squared error.

    The error of each picture is relative to the sum of squares of its features.

    Examples
    --------
    >>> s = np.array([[[1.0], [2.0]]])  # two pixels, one channel
    >>> decoder, error = fit_decoder([s], [np.concatenate([s, 3 * s], axis=2)])
    >>> decoder.round(3).tolist(), error < 1e-6
    ([[1.0, 3.0]], True)
    """
    ss, sf = np.zeros((small[0].shape[2],) * 2), np.zeros((small[0].shape[2], large[0].shape[2]))
    for s, f in zip(small, large, strict=True):
        S, F = s.reshape(-1, s.shape[2]), f.reshape(-1, f.shape[2])
        energy = max(float(np.vdot(F, F)), 1e-12) * len(small)
        ss += S.T @ S / energy
        sf += S.T @ F / energy
    decoder = np.linalg.solve(ss + 1e-5 * np.trace(ss) / len(ss) * np.eye(len(ss)), sf)
    error = 1 - 2 * (decoder * sf).sum() + ((ss @ decoder) * decoder).sum()
    return decoder.astype(np.float32), float(error)


def _forward_layer(layer: Layer, x: Array) -> Array:
    return layer.forward(x)[0]


def _rectify(x: Array) -> Array:
    y: Array = np.maximum(x, 0)
    return y


def _second_moments(z: Array) -> Array:  # (H, W, C) before the rectifier -> (C, C) after it
    f = np.maximum(z, 0).reshape(-1, z.shape[2])
    return (f.T @ f).astype(np.float64) / max(float(np.vdot(f, f)), 1e-12)


def _rows_per_picture(rows: int, f: Array, pictures: int) -> int:
    return int(min(f.shape[0] * f.shape[1], max(1, rows // pictures)))


def _metric(network: Network, name: str, tapped: bool, second: Array) -> Array:
    # The weight of an error at this layer: through the kernels of the next convolution, and at a tap also directly.
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    after = convolutions[[c.name for c in convolutions].index(name) + 1 :][:1]
    metric = np.zeros_like(second)
    if after:
        w = after[0].w.astype(np.float64)
        onward = np.einsum("ijck,ijdk->cd", w, w, optimize=True)
        metric += onward / (onward * second).sum()
    if tapped or not after:
        metric += np.eye(len(second)) / np.trace(second)
    return metric


def _rectified_rms(z: Array) -> Array:  # (H, W, C) before the rectifier -> () root mean square after it
    # Rows are divided by this, so that every picture has the same weight, as in the evaluation.
    rms: Array = np.maximum(np.sqrt(np.mean(np.square(np.maximum(z, 0)))), np.float32(1e-12))
    return rms


def _patches(s: Array, at: Array, rms: Array) -> Array:  # (H, W, C), (n,), () -> (n, 9 C + 1)
    # The pixel and its eight neighbors, and a constant for the bias, divided by the picture's root mean square.
    W = s.shape[1]
    (padded, _), y, x = pad_forward(s, "zero"), at // W, at % W
    one = np.ones((len(at), 1), s.dtype)
    return np.concatenate([*(padded[y + i, x + j] for i in range(3) for j in range(3)), one], axis=1) / rms


def _fit_kernels(x: Array, z: Array, w0: Array, b0: Array, judges: int) -> tuple[Array, Array, float, float]:
    # (n, 9 C + 1), (n, K), (3, 3, C, K), (K,) -> w, b, ridge, error. The prior is the teacher's own kernels composed
    # with the decoder. The ridge, its strength, is chosen on the last rows, which are of held-out pictures; without any
    # it is weak.
    prior = np.concatenate([w0.reshape(-1, w0.shape[3]), b0[None]]).astype(np.float64)
    normal = (x.T @ x).astype(np.float64)
    ridge, error = RIDGES[0], float("nan")
    if judges:
        other, fitted = x[-judges:], normal - (x[-judges:].T @ x[-judges:]).astype(np.float64)
        product = (x[:-judges].T @ z[:-judges]).astype(np.float64)
        errors = [_hidden_error(other, z[-judges:], _solve_ridge(fitted, product, prior, ridge)) for ridge in RIDGES]
        ridge, error = RIDGES[int(np.argmin(errors))], min(errors)
    v = _fit_rectified(x, normal, z, prior, ridge)
    return v[:-1].reshape(w0.shape).astype(np.float32), v[-1].astype(np.float32), ridge, error


def _solve_ridge(normal: Array, product: Array, prior: Array, ridge: float) -> Array:
    # (m, m), (m, K), (m, K) -> (m, K). Least squares with a ridge to the prior, by the normal equations.
    share = normal.diagonal()
    ridge_weight = np.where(share > 0, ridge * share, 1)  # an input that is always zero keeps the prior
    v: Array = np.linalg.solve(normal + np.diagflat(ridge_weight), product + ridge_weight[:, None] * prior)
    return v


def _fit_rectified(x: Array, normal: Array, z: Array, prior: Array, ridge: float, sweeps: int = 5) -> Array:
    # (n, m), (m, m), (n, K), (m, K) -> (m, K). Least squares for max(x v, 0) ≈ max(z, 0) with a ridge to the prior.
    # Where both sides are below zero there is no error, so the present prediction is the target there. Each sweep
    # lowers a majorant of the error.
    v, target = prior, z
    for _ in range(sweeps):
        v = _solve_ridge(normal, (x.T @ target).astype(np.float64), prior, ridge)
        target = np.where(z > 0, z, np.minimum(x @ v.astype(x.dtype), 0))
    return v


def _hidden_error(x: Array, z: Array, v: Array) -> float:
    f = np.maximum(z, 0)
    return float(np.sum(np.square(np.maximum(x @ v.astype(x.dtype), 0) - f)) / np.sum(np.square(f)))
