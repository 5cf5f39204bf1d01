"""The problem that several figures and chapters share: a small town in the style of the strokes, as an objective."""

from contextlib import ExitStack
from dataclasses import replace
from unittest.mock import patch

from fig.common import network, painting, photograph
from handstyle.foundations.image import preprocess_forward
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.optimize.adam import minimize_adam
from handstyle.optimize.objective import Objective

STYLE_TAPS, CONTENT_TAP = ("relu1_1", "relu2_1", "relu3_1"), "relu3_1"


def town(height=48, width=64, dtype="float64", style=10.0, content=1.0, variation=1e-4):
    """Return the objective and its start, the photograph as a flat vector."""
    net, photo, art = network(dtype), photograph(height, width), painting(height, width)
    x, y = (preprocess_forward(p.astype(dtype), net.convention) for p in (photo, art))
    wanted = net.forward(x, [CONTENT_TAP])[0][CONTENT_TAP]
    manner, _ = net.forward(y, STYLE_TAPS)
    terms = [StyleTerm(tap, moments_forward(manner[tap]), style) for tap in STYLE_TAPS]
    terms += [ContentTerm(CONTENT_TAP, wanted, content), VariationTerm(variation)]
    return Objective(net, terms, photo.shape), photo.ravel().copy()


def painted(replacements=(), steps=40, size=(144, 192), convention=None, **options):  # -> (H, W, 3)
    """Return the town painted by Adam, which does not look at the value, with parts of the package replaced.

    `replacements` are triples of module, name and function; `options` are those of the network.
    """
    net = network("float32", kernels="reference" if replacements else "auto", **options)
    if convention is not None:
        net = replace(net, convention=convention)
    photo, art = photograph(*size), painting(*size)
    with ExitStack() as patched:
        for module, name, function in replacements:
            patched.enter_context(patch.object(module, name, function))
        taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
        x, y = (preprocess_forward(p.astype("float32"), net.convention) for p in (photo, art))
        wanted, manner = net.forward(x, ["relu4_1"])[0], net.forward(y, taps)[0]
        terms = [StyleTerm(tap, moments_forward(manner[tap]), 10.0) for tap in taps]
        terms += [ContentTerm("relu4_1", wanted["relu4_1"], 3.0), VariationTerm(1e-4)]
        objective = Objective(net, terms, photo.shape)
        return minimize_adam(objective, photo.ravel().copy(), steps, 8.0).v.reshape(photo.shape)
