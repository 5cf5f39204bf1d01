"""Solutions to chapter 9."""

import numpy as np

from handstyle.network.convolution import conv3x3_forward
from handstyle.network.pooling import average_pool_forward
from handstyle.network.sequence import Convolution, ReLU, sequence_backward


def one_sweep_a_tap(layers, dfeatures, caches):
    """Return the gradient at the input by a sweep of its own for each tap: what one sweep saves."""
    names = [layer.name for layer in layers]
    sweeps = [sequence_backward(layers, {tap: df}, caches[: names.index(tap) + 1]) for tap, df in dfeatures.items()]
    return sum(sweeps)


def tangent(layers, x, u, tap):
    """Return how the features at `tap` change, to first order, if `x` moves along `u`: the chain rule forward.

    For networks of convolutions, rectifiers and average poolings.
    """
    for layer in layers:
        if isinstance(layer, Convolution):
            u, _ = conv3x3_forward(u, layer.w, np.zeros_like(layer.b), layer.padding)
        elif isinstance(layer, ReLU):
            u = np.where(x > 0, u, 0)
        else:
            u, _ = average_pool_forward(u, layer.rounding)
        x, _ = layer.forward(x)
        if layer.name == tap:
            return u
    raise ValueError(f"no layer {tap}")


def cache_bytes(layers, caches):
    """Return the bytes that a forward sweep must keep for each layer: arrays that are not the network's own weights."""

    def size(cache):
        if isinstance(cache, tuple):
            return sum(size(part) for part in cache)
        return getattr(cache, "nbytes", 0)

    pairs = zip(layers, caches, strict=False)
    return {layer.name: 0 if isinstance(layer, Convolution) else size(cache) for layer, cache in pairs}
