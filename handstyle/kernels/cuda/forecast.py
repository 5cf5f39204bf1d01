"""How much memory an evaluation takes on a GPU, found out without one.

The engine itself runs on a dry device, which hands out addresses and computes nothing: what it allocates and frees
there is what it allocates and frees on a GPU, for any picture, on any machine. The places that these arrays then get on
a GPU (``memory_plan.py``) are given here already, so what they take is known to the byte.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.dry_device import DryDevice, bare_layers
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.losses import content, gram, total_variation
from handstyle.kernels.cuda.memory_plan import MemoryPlan, Request, places
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, MomentsTerm, StyleTerm
from handstyle.losses.terms import PICTURE, Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.sequence import Layer
from handstyle.network.vgg import Network
from handstyle.optimize.objective import Shape, taps_of

# Held beside the sweep's arrays: the picture and its place in the graph, the network's view of it, the gradient and its
# copy, and what is made on the way from one to the next.
PICTURES = 7
# Beside what a sweep takes to measure a painting: it, the network's view of it, and what is made on the way there.
MEASURED_PICTURES = 4
# Moments are summed in float64 over strips of so many values (see ``painting/targets.py``): a strip, its product with
# the mask, and what is left of those of the tap before, where its sums still lie.
STRIP_VALUES, STRIPS = 1 << 21, 3
DIFFERENCES = 6  # pictures: differences of neighbors, and the gradient at the picture


def evaluation_requests(engine: CudaEngine, network: Network, terms: Sequence[Term], shape: Shape) -> list[Request]:
    """Return the allocations of one evaluation, from a dry run of it."""
    from handstyle.kernels.cuda.evaluation import TermGradients, sweep_network

    class DryGradients(TermGradients):
        def _gradient(self, term: Term, f: Array, spare: bool) -> tuple[Array, Array]:
            return dry_gradient(self.device, term, f, spare)

    dtype = network.dtype
    device = DryDevice(engine.device.precision)
    dry = engine.with_scratch(engine.workspace, device)
    picture = DryDevice().empty(shape, dtype)
    if taps := taps_of(terms):
        gradients = DryGradients(device, terms, {}, {}, [None] * len(terms))
        sweep_network(dry, bare_layers(network.layers, dtype), picture, taps, gradients)
    for term in terms:
        if term.tap == PICTURE and isinstance(term, VariationTerm):
            total_variation(device, picture)
    return device.requests


def dry_gradient(device: Device, term: Term, f: Array, spare: bool) -> tuple[Array, Array]:
    """Allocate what a term's value and gradient take.

    Any function of the moments stands as a style term, and a term of an unknown kind as a content term: they allocate
    at least as much. The target is of the features' shape, and takes no memory.
    """
    if isinstance(term, MomentsTerm):
        C = f.shape[2]
        return gram(device, f, StyleTerm(term.tap, Moments(1.0, np.zeros(C), np.zeros((C, C))), scale=1.0), 1.0, spare)
    return content(device, f, ContentTerm(term.tap, f, scale=1.0))


def evaluation_bytes(engine: CudaEngine, network: Network, terms: Sequence[Term], shape: Shape) -> int:
    """Return the bytes that one evaluation takes at most, its targets included and the weights not.

    Of the optimizer's vectors and of CUDA's own context nothing is counted.
    """
    height, width, _ = shape
    vector = 3 * height * width * network.dtype.itemsize
    sweep = places(evaluation_requests(engine, network, terms, shape))[1] + PICTURES * vector
    of_picture = any(term.tap == PICTURE for term in terms)
    return max(sweep, (DIFFERENCES if of_picture else 2) * vector) + target_bytes(terms, network.dtype.itemsize)


def target_bytes(terms: Sequence[Term], itemsize: int) -> int:
    """Return the bytes of the terms' targets and masks; two statistics for each style, one of them on its way."""
    total = 0
    for term in terms:
        mask: Any = getattr(term, "mask", None)
        total += 0 if mask is None else mask.size * itemsize
        if isinstance(term, ContentTerm):
            total += term.target.size * itemsize
        elif isinstance(term, MomentsTerm):
            C = channels_of(term)
            total += 2 * 8 * C * (C + 1)
    return total


def channels_of(term: Any) -> int:
    """Return the channels of a style term's target, as far as it tells."""
    if hasattr(term, "target"):
        return len(term.target.outer)
    found = [part.keywords["target"] for _, part in term.losses if hasattr(part, "keywords") and part.keywords]
    return max((len(target.sums) if hasattr(target, "sums") else len(target.mean) for target in found), default=0)


def measuring_bytes(engine: CudaEngine, network: Network, terms: Sequence[Term], shape: Shape) -> int:
    """Return the bytes that measuring the features at the terms' taps takes, one tap after another."""
    sizes = [0]
    for term in terms:
        if term.tap != PICTURE:
            plan, values = planned_forward(engine.lean(), network.layers, shape, term.tap, network.dtype)
            strips = STRIPS * 8 * min(values, STRIP_VALUES)
            sizes.append(plan.size + (strips if isinstance(term, MomentsTerm) else values * network.dtype.itemsize))
    return max(sizes) + MEASURED_PICTURES * math.prod(shape) * network.dtype.itemsize


def planned_forward(
    engine: CudaEngine, layers: tuple[Layer, ...], shape: tuple[int, ...], tap: str, dtype: DTypeLike
) -> tuple[MemoryPlan, int]:
    """Return the memory plan of a forward sweep to one tap, its result included, and the number of the map's values."""
    device = DryDevice(engine.device.precision)
    picture = DryDevice().empty(tuple(shape), dtype)
    features, stages = engine.with_scratch(engine.workspace, device).forward(bare_layers(layers, dtype), picture, [tap])
    plan = MemoryPlan(device.requests)  # while the map and what a backward sweep would need are still held
    del stages
    return plan, features[tap].size
