"""The gradient at the weights: the same chain rule, with each convolution's input kept.

While a picture is painted the weights are constant and no inputs are needed. Here they are trained, so the forward
sweep keeps the inputs, and the backward sweep calls `conv3x3_weight_gradient` and `conv3x3_bias_gradient`.
"""

from collections.abc import Mapping

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.network.sequence import Cache, Convolution, Layer
from handstyle.network.weight_gradients import conv3x3_bias_gradient, conv3x3_weight_gradient
from weights_tools.distill.match import match_backward, match_forward

Parameters = dict[str, Array]  # conv1_1/w, conv1_1/b, … and relu1_1/decoder, …
Kept = list[tuple[Array | None, Cache]]  # each layer's input, where it is a convolution, and its cache


def _network_forward(layers: tuple[Layer, ...], x: Array, taps: tuple[str, ...]) -> tuple[dict[str, Array], Kept]:
    """Run all layers and keep the input of each convolution, which the gradients of the weights need."""
    features: dict[str, Array] = {}
    caches: Kept = []
    for layer in layers:
        y, cache = layer.forward(x)
        caches.append((x if isinstance(layer, Convolution) else None, cache))
        x = y
        if layer.name in taps:
            features[layer.name] = x
    return features, caches


def _network_backward(layers: tuple[Layer, ...], dfeatures: Mapping[str, Array], caches: Kept) -> Parameters:
    """Sweep back from the last layer and return the gradient at every kernel and bias."""
    gradients: Parameters = {}
    dx = np.zeros_like(dfeatures[layers[-1].name])
    for layer, (x, cache) in zip(reversed(layers), reversed(caches), strict=True):
        if layer.name in dfeatures:
            dx = dx + dfeatures[layer.name]
        if isinstance(layer, Convolution):
            assert x is not None
            gradients[f"{layer.name}/w"] = conv3x3_weight_gradient(dx, x, layer.padding)
            gradients[f"{layer.name}/b"] = conv3x3_bias_gradient(dx)
            if layer is layers[0]:
                break  # the gradient at the picture is not needed
        dx = layer.backward(dx, cache)
    return gradients


def picture_gradient(  # (H, W, C), {tap: (h, w, c)} -> value, {tap: (features, Gram)}, {name: array}
    layers: tuple[Layer, ...], parameters: Parameters, x: Array, targets: Mapping[str, Array], gram_weight: float
) -> tuple[float, dict[str, tuple[float, float]], Parameters]:
    """Return the distillation loss of one picture and its gradient at the parameters.

    Parameters
    ----------
    layers : tuple of Layer
        The layers to train: the first is a convolution, the last a tap.
    parameters : dict of str to array
        Only the decoders are used; the kernels are in the layers.
    x : (H, W, C) array
        The input of the first layer.
    targets : mapping of str to (h, w, c) array
        The teacher's features at the taps among them.
    gram_weight : float
        See `match_forward`.

    Returns
    -------
    value : float
        The loss.
    terms : dict of str to (float, float)
        The errors of features and of Gram matrix at each tap.
    gradients : dict of str to array
        The gradient at each kernel, bias and decoder.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers, rng = build_network(random_weights(deepest="conv1_1")).layers, np.random.default_rng(0)
    >>> parameters = {"relu1_1/decoder": rng.random((16, 64))}
    >>> targets = {"relu1_1": rng.random((8, 8, 64))}
    >>> value, terms, gradients = picture_gradient(layers, parameters, rng.random((8, 8, 3)), targets, gram_weight=1.0)
    >>> {name: g.shape for name, g in gradients.items()}
    {'conv1_1/w': (3, 3, 3, 16), 'conv1_1/b': (16,), 'relu1_1/decoder': (16, 64)}
    """
    decoders = {tap: parameters[f"{tap}/decoder"] for tap in targets}
    features, caches = _network_forward(layers, x, tuple(targets))
    targets = {tap: target.astype(x.dtype) for tap, target in targets.items()}
    value, terms, cache = match_forward(features, targets, decoders, gram_weight)
    dfeatures, ddecoders = match_backward(cache, decoders)
    gradients = _network_backward(layers, dfeatures, caches)
    gradients.update({f"{tap}/decoder": d for tap, d in ddecoders.items()})
    return value, terms, gradients
