"""Objectives to descend: two with known answers, and a real one, small."""

import numpy as np

from handstyle.foundations.backend import choose_backend, namespace
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Evaluable, Objective

NUMPY = choose_backend("numpy")


class Plain(Evaluable):
    """A function of a vector, dressed as an objective."""

    def __init__(self, f):
        self.f, self.terms, self.calls = f, {}, 0

    def __call__(self, v):
        self.calls += 1
        value, gradient = self.f(v)
        self.terms = {"f": value}
        return value, gradient


def quadratic(n=200, condition=1e4, seed=0):
    rng = np.random.default_rng(seed)
    scales = np.geomspace(1, condition, n)
    center = rng.standard_normal(n)

    def f(v):
        xp = namespace(v)
        r = v - xp.asarray(center, dtype=v.dtype)
        g = xp.asarray(scales, dtype=v.dtype) * r
        return 0.5 * float((g * r).sum(dtype=xp.float64)), g

    return Plain(f), center


def rosenbrock(n=20):
    def f(v):
        xp = namespace(v)
        a, b = v[:-1], v[1:]
        r = b - a * a
        g = xp.zeros_like(v)
        g[:-1] = -400 * a * r - 2 * (1 - a)
        g[1:] += 200 * r
        return float((100 * r * r + (1 - a) ** 2).sum(dtype=xp.float64)), g

    return Plain(f)


def painting(side=48, dtype="float32", device=NUMPY, seed=0, kernels="reference", change=lambda network: network):
    """Return an objective on a slim network, with a content, a style and a total variation term, and a start."""
    rng = np.random.default_rng(seed)
    network = build_network(random_weights(seed=seed)).astype(dtype).to(device)
    pictures = [device.asarray(rng.uniform(0, 255, (side, side, 3)), dtype=dtype) for _ in range(2)]
    pictures[1] = (pictures[1] + device.xp.roll(pictures[1], 1, axis=0)) / 2
    taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    content, style = (network.forward(p - 120, (*taps, "relu4_1"))[0] for p in pictures)
    terms = [StyleTerm(tap, moments_forward(style[tap])) for tap in taps]
    terms += [ContentTerm("relu4_1", content["relu4_1"]), VariationTerm(1e-5)]
    objective = Objective(change(network).with_kernels(kernels), terms, (side, side, 3))
    return objective, rng.uniform(0, 255, side * side * 3)
