"""Forecast the memory of an evaluation on a GPU; no GPU is needed.

The engine does a dry run on a `DryDevice`, which records allocations and computes nothing. The allocations are the same
as on a GPU. The memory plan (``memory_plan.py``) is computed from them too, so that the forecast is exact to the byte.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.counting import STRIP_VALUES, target_bytes
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.dry_device import DryDevice, bare_layers
from handstyle.kernels.cuda.losses import content, moments_gradient, total_variation
from handstyle.kernels.cuda.memory_plan import MemoryPlan, Request, place_requests
from handstyle.kernels.cuda.passes import CudaPasses
from handstyle.kernels.gradients import TermGradients
from handstyle.kernels.patches import working_values
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import Moments, MomentsTerm, StyleTerm
from handstyle.losses.patches import PatchTerm
from handstyle.losses.terms import PICTURE, Term
from handstyle.losses.total_variation import VariationTerm
from handstyle.network.sequence import Features, Layer
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Shape, taps_of

# Arrays of the picture's size in addition to those of the memory plan: the picture and its buffer in the graph, the
# preprocessed picture, the gradient and its copy, and temporary arrays.
PICTURES = 7
# Arrays of the picture's size while a painting is measured: the painting, the preprocessed one, and temporary arrays.
MEASURED_PICTURES = 4
# Arrays of `STRIP_VALUES` in float64 while moments are summed: a strip, its product with the mask, and one of the layer
# before, whose memory is not free because the sums are in it.
STRIPS = 3
DIFFERENCES = 6  # arrays of the picture's size: differences of neighbors, and the gradient


def evaluation_requests(engine: CudaPasses, network: Network, terms: Sequence[Term], shape: Shape) -> list[Request]:
    """Return all allocations of one evaluation in order, from a dry run.

    Examples
    --------
    >>> from handstyle.kernels.cuda.engine import CudaEngine
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, term = build_network(random_weights()), ContentTerm("relu1_1", np.ones((64, 64, 16), np.float32))
    >>> requests = evaluation_requests(CudaEngine(DryDevice()), network, [term], (64, 64, 3))
    >>> 4 * 64 * 64 * 16 in {request.size for request in requests}  # the bytes of the features
    True
    """
    device, picture = DryDevice(engine.device.precision), DryDevice().empty(shape, network.dtype)
    if taps := taps_of(terms):
        gradients = TermGradients(partial(dry_gradient, device), terms, {}, {}, [None] * len(terms))
        dry, layers = engine.with_scratch(engine.workspace, device), bare_layers(network.layers, network.dtype)
        dry.sweep(layers, picture, taps, gradients)
    for term in terms:
        if term.tap == PICTURE and isinstance(term, VariationTerm):
            total_variation(device, picture)
    return device.requests


def dry_gradient(device: Device, term: Term, f: Array, overwrite: bool) -> tuple[Array, Array]:
    """Allocate the arrays of a term's value and gradient, and compute nothing.

    Any term of moments is treated as a style term, and a term of an unknown class as a content term, which allocate at
    least as much. Targets are not allocated.

    Examples
    --------
    >>> device = DryDevice()
    >>> f = device.empty((8, 8, 16), "float32")
    >>> value, df = dry_gradient(device, ContentTerm("relu1_1", np.ones((8, 8, 16))), f, overwrite=False)
    >>> df.shape
    (8, 8, 16)
    """
    if isinstance(term, PatchTerm):
        held = device.empty((working_values(term, f.shape),), f.dtype)
        made = content(device, f, ContentTerm(term.tap, f, scale=1.0))
        del held
        return made
    if isinstance(term, MomentsTerm):
        C = f.shape[2]
        target = Moments(1.0, np.zeros(C), np.zeros((C, C)))
        return moments_gradient(device, f, StyleTerm(term.tap, target, scale=1.0), 1.0, overwrite)
    return content(device, f, ContentTerm(term.tap, f, scale=1.0))


def evaluation_bytes(engine: CudaPasses, network: Network, terms: Sequence[Term], shape: Shape) -> int:
    """Return the peak memory of one evaluation in bytes, with its targets and without the weights.

    The optimizer's vectors and CUDA's own context are not counted.

    Examples
    --------
    >>> from handstyle.kernels.cuda.engine import CudaEngine
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, engine = build_network(random_weights()), CudaEngine(DryDevice())
    >>> term = ContentTerm("relu1_1", np.ones((64, 64, 16), np.float32))
    >>> evaluation_bytes(engine, network, [term], (64, 64, 3)) > 2 * 64 * 64 * 16 * 4  # the features and the target
    True
    """
    vector = math.prod(shape) * network.dtype.itemsize
    sweep = place_requests(evaluation_requests(engine, network, terms, shape))[1] + PICTURES * vector
    of_picture = any(term.tap == PICTURE for term in terms)
    channels = {row.name: row.shape[2] for row in summary(network, *shape[:2])}
    of_moments = [channels.get(term.tap, 3) for term in terms if isinstance(term, MomentsTerm)]
    measured = sum(8 * C * (C + 1) for C in of_moments)
    return max(sweep, (DIFFERENCES if of_picture else 2) * vector) + target_bytes(terms) + measured


def measuring_bytes(engine: CudaPasses, network: Network, terms: Sequence[Term], shape: Shape) -> int:
    """Return the peak memory in bytes of measuring the terms' targets, one layer after another.

    Examples
    --------
    >>> from handstyle.kernels.cuda.engine import CudaEngine
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network, engine = build_network(random_weights()), CudaEngine(DryDevice())
    >>> term = ContentTerm("relu1_1", np.ones((64, 64, 16), np.float32))
    >>> measuring_bytes(engine, network, [term], (64, 64, 3)) > 64 * 64 * 16 * 4  # the features
    True
    """
    sizes = [0]
    for term in terms:
        if term.tap != PICTURE:
            plan, values = planned_forward(engine.with_least_scratch(), network.layers, shape, term.tap, network.dtype)
            strips = STRIPS * 8 * min(values, STRIP_VALUES)
            sizes.append(plan.size + (strips if isinstance(term, MomentsTerm) else values * network.dtype.itemsize))
    return max(sizes) + MEASURED_PICTURES * math.prod(shape) * network.dtype.itemsize


def planned_forward(
    engine: CudaPasses, layers: tuple[Layer, ...], shape: tuple[int, ...], tap: str, dtype: DTypeLike
) -> tuple[MemoryPlan, int]:
    """Return the memory plan of a forward pass to the layer `tap`, and the number of values of its features.

    Examples
    --------
    >>> from handstyle.kernels.cuda.engine import CudaEngine
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = build_network(random_weights()).layers
    >>> plan, values = planned_forward(CudaEngine(DryDevice()), layers, (64, 64, 3), "relu1_1", "float32")
    >>> values  # 64 * 64 * 16
    65536
    """
    device, picture = DryDevice(engine.device.precision), DryDevice().empty(tuple(shape), dtype)
    dry, features = engine.with_scratch(engine.workspace, device), Features()
    stages = dry.run_forward(bare_layers(layers, dtype), picture, [tap], features)
    plan = MemoryPlan(device.requests)  # made while the features and the caches of the backward pass are still in use
    del stages
    return plan, features[tap].size
