"""How much memory an evaluation takes on a GPU, found out without one.

The engine itself is run, on a device that hands out addresses and computes nothing: what it asks for and lets go is
then what it will ask for and let go on a GPU, for any picture, on any machine. The places that these arrays then get
on a GPU (``cuda_room.py``) are given here already, so what they take is known to the byte.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.kernels.cuda.convolution import SCRATCH
from handstyle.kernels.cuda.dry_device import DryDevice, bare, rehearse
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.memory_plan import Room, places
from handstyle.network.sequence import Layer
from handstyle.network.vgg import Network

# Held beside the sweep's arrays: the picture and its place in the graph, the network's view of it, the gradient and its
# copy, and what is made on the way from one to the next.
PICTURES = 8


@dataclass(frozen=True)
class DryRun:
    """What an evaluation asks of a GPU: bytes at most, and each convolution's method."""

    peak: int
    chosen: dict[str, str]


def dry_run(
    layers: tuple[Layer, ...],
    shape: tuple[int, int],
    taps: Iterable[str],
    content: Iterable[str] = (),
    dtype: DTypeLike = np.float32,
    precision: str = "float32",
    workspace: int = SCRATCH,
) -> DryRun:
    """Run one evaluation on a device that computes nothing.

    Parameters
    ----------
    layers, shape, dtype
        As of `rehearse`.
    taps : iterable of str
        The layers that losses look at.
    content : iterable of str
        Those of them where a content loss does, and not a style loss.
    precision : {"float32", "tf32"}
        Of the products, which decides how a convolution is done.
    workspace : int
        Bytes of scratch a convolution may use; see `CudaEngine`.

    Returns
    -------
    DryRun
        Its peak holds picture, features, masks, gradients and scratch. Not the weights, the targets of content losses,
        the optimiser's vectors, or CUDA's own context.
    """
    device = DryDevice(precision)
    engine = CudaEngine(device, workspace=workspace)
    wanted, at_content = tuple(taps), frozenset(content)
    losses = {tap: ["content"] if tap in at_content else ["style"] for tap in wanted}
    rehearse(engine, layers, shape, losses, dtype)
    pictures = PICTURES * 3 * shape[0] * shape[1] * np.dtype(dtype).itemsize
    return DryRun(places(device.requests)[1] + pictures, engine.chosen)


def evaluation_memory(layers: tuple[Layer, ...], shape: tuple[int, int], taps: Iterable[str], **options: Any) -> int:
    """Return the bytes that one evaluation takes at most on a GPU; see `dry_run`."""
    return dry_run(layers, shape, taps, **options).peak


def measuring_room(
    engine: CudaEngine, layers: tuple[Layer, ...], shape: tuple[int, int], tap: str, dtype: DTypeLike
) -> Room:
    """Return the room that a forward sweep to one tap takes, its result included; without a GPU."""
    dry = DryDevice(engine.device.precision)
    picture = DryDevice().empty((*shape, 3), dtype)
    CudaEngine(dry, engine.method, engine.workspace).forward(bare(layers, dtype), picture, [tap])
    return Room(dry.requests)


def feature_alone(engine: CudaEngine, layers: tuple[Layer, ...], x: Array, tap: str) -> Array:  # (H, W, 3) -> (h, w, C)
    """Return the features at one tap, having taken as little memory as can be.

    All maps that a style looks at take more together than painting does: sweeps are short on a GPU, and memory is not
    long.

    Parameters
    ----------
    engine : CudaEngine
        On any device; only one that can place arrays has them placed beforehand.
    layers : tuple of Layer
        The network's.
    x : (H, W, 3) array
        In the network's convention.
    tap : str
        A layer's name.

    Returns
    -------
    (h, w, C) array
        As long as it lives, so does the room that the sweep took.
    """
    within = getattr(engine.device, "within", None)
    room = measuring_room(engine, layers, x.shape[:2], tap, x.dtype) if within else None
    with within(room) if within else nullcontext():
        return engine.forward(layers, x, [tap])[0][tap]


def features_of(network: Network, x: Array, taps: Sequence[str]) -> Callable[[str], Array]:
    """Return what gives the features at each tap, once: on a GPU by a sweep for each, see `feature_alone`.

    Parameters
    ----------
    network : Network
        Ready to run.
    x : (H, W, 3) array
        In the network's convention, on its device.
    taps : sequence of str
        The layers.

    Returns
    -------
    callable
        ``feature(tap)`` is an (h, w, C) array.
    """
    if isinstance(network.engine, CudaEngine):
        return partial(feature_alone, network.engine, network.layers, x)
    return network.forward(x, taps)[0].pop


def largest(need: Callable[[int], int], available: int, step: int = 16) -> int:
    """Return the largest side, in steps, whose need does not exceed what is available; 0 if not even one step's.

    Parameters
    ----------
    need : callable
        Of the side: bytes, which grow with it.
    available : int
        Bytes.
    step : int
        Pixels.
    """
    low, high = 0, 1
    while need(step * high) <= available:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(step * middle) <= available else (low, middle)
    return step * low


def largest_side(layers: tuple[Layer, ...], taps: Iterable[str], available: int, **options: Any) -> int:
    """Return the side, in steps of 16 px, of the largest square picture whose evaluation fits `available` bytes.

    Parameters
    ----------
    layers, taps, **options
        As in `dry_run`.
    available : int
        Bytes; leave out what the weights, targets and the optimiser will take.

    Returns
    -------
    int
        0 if not even 16 px fit.
    """
    wanted = tuple(taps)
    return largest(lambda side: evaluation_memory(layers, (side, side), wanted, **options), available)
