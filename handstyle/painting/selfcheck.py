"""What ``handstyle check`` runs: the gradient checks, on the reader's own network, device, dtype and kernels.

Every layer is put to the adjoint test as a network of one, through the engine that will paint. A rectifier or a pool
is not linear, but it is linear in pieces that meet at zero, so ``f(u) = J(u) u`` and ``<f(u), v> = <u, J(u)* v>`` must
hold all the same. The gradient of the whole objective is compared with differences in float64; in float32, where
differences mean nothing, with the gradient in float64.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.gradcheck import Report, check_adjoint, check_projection, check_taylor
from handstyle.foundations.image import preprocess_backward, preprocess_forward
from handstyle.network.sequence import Cache, Convolution, Layer, Pool, ReLU, sequence_forward
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Objective
from handstyle.painting.config import StyleConfig
from handstyle.painting.targets import build_terms

DEFAULT = StyleConfig()

# How far a float32 gradient of the whole objective may stray from the float64 one. A rectifier whose input is zero
# within rounding may fall to either side, so the bound is that of a few flipped bits, far above rounding itself.
FLOAT32_BOUND = 5e-3


class Row(NamedTuple):
    """One line of the table: what was checked, and the report."""

    subject: str
    report: Report


def self_check(network: Network, size: int = 32, seed: int = 0) -> Iterator[Row]:
    """Check the gradients of a network and of the objective built on it, one row at a time.

    Parameters
    ----------
    network : Network
        In the dtype, on the device and with the kernels to be checked.
    size : int
        Side of the random picture, pixels; at least 16.
    seed : int
        Of the picture and of the directions.

    Yields
    ------
    Row
        For each kind of layer the adjoint test at its real width; for the objective its gradient.
    """
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 255, (size, size, 3))
    x = network.backend.asarray(p, dtype=network.dtype)
    zero, convention = preprocess_forward(0 * x, network.convention), network.convention
    adjoint = check_adjoint(
        lambda u: preprocess_forward(u, convention) - zero, lambda v: preprocess_backward(v, convention), x
    )
    yield Row("preprocess", adjoint)
    yield from _layer_rows(network, rng)
    if network.dtype != np.float64:
        yield Row("objective", _against_float64(network, p, seed))
        return
    objective = _objective(network, p, np.random.default_rng(seed))
    _, gradient = objective(p.ravel())

    def f(v: Array) -> float:
        return objective(v)[0]

    def signature(v: Array) -> Array:
        device = network.backend.asarray(v.reshape(p.shape))
        return to_numpy(_signature(network, objective.taps, device))

    yield Row("objective", check_projection(f, gradient, p.ravel(), step=1e-6, signature=signature))
    yield Row("objective", check_taylor(f, gradient, p.ravel(), steps=(1e-5, 3e-6, 1e-6, 3e-7), signature=signature))


def _layer_rows(network: Network, rng: np.random.Generator) -> Iterator[Row]:
    C = 3
    for layer in network.layers:
        x = network.backend.asarray(rng.standard_normal((12, 13, C)), dtype=network.dtype)  # one side is odd
        yield Row(layer.name, _check_layer(replace(network, layers=(layer,)), x))
        C = layer.w.shape[3] if isinstance(layer, Convolution) else C


def _check_layer(alone: Network, x: Array) -> Report:
    (layer,) = alone.layers
    caches: Cache = None

    def forward(u: Array) -> Array:
        nonlocal caches
        features, caches = alone.forward(u, [layer.name])
        y = features[layer.name]
        return y - layer.b if isinstance(layer, Convolution) else y

    return check_adjoint(forward, lambda v: alone.backward({layer.name: v}, caches), x, draws=2)


def _objective(network: Network, p: Array, rng: np.random.Generator) -> Objective:
    taps = [name for name in DEFAULT.style_layers if name in network.names] or [network.names[-1]]
    content = [name for name in DEFAULT.content_layers if name in network.names] or [network.names[-1]]
    config = replace(DEFAULT, style_layers=tuple(taps), content_layers=tuple(content))
    other, painting = rng.uniform(0, 255, p.shape), rng.uniform(0, 255, p.shape)
    return Objective(network, build_terms(network, config, other, [painting]), p.shape)


def _signature(network: Network, taps: tuple[str, ...], p: Array) -> Array:
    """Return every rectifier's bits and every pool's choices on the way to the taps, in one vector."""
    _, caches = sequence_forward(network.layers, preprocess_forward(p, network.convention), taps)
    kinks = [cache for layer, cache in zip(network.layers, caches, strict=False) if isinstance(layer, ReLU)]
    kinks += [cache[0] for layer, cache in zip(network.layers, caches, strict=False) if is_max_pool(layer)]
    joined: Array = namespace(p).concatenate([kink.ravel() for kink in kinks])
    return joined


def is_max_pool(layer: Layer) -> bool:
    """Return whether a layer is a max pool, whose choices are kinks."""
    return isinstance(layer, Pool) and layer.kind == "max"


def _against_float64(network: Network, p: Array, seed: int) -> Report:
    single = _objective(network, p, np.random.default_rng(seed))(p.ravel())[1]
    exact = network.astype("float64").with_kernels("reference")
    double = _objective(exact, p, np.random.default_rng(seed))(p.ravel())[1]
    error = float(np.linalg.norm(single - double) / np.linalg.norm(double))
    norms = [(float(np.linalg.norm(single)), float(np.linalg.norm(double)))]
    return Report("against float64", error <= FLOAT32_BOUND, error, FLOAT32_BOUND, norms)
