"""How much memory an evaluation takes on a GPU, found out without one.

The engine itself is run, on a device that hands out addresses and computes nothing: what it asks for and lets go is
then what it will ask for and let go on a GPU, for any picture, on any machine. The places that these arrays then get
on a GPU (``cuda_room.py``) are given here already, so what they take is known to the byte.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from handstyle.kernels.cuda_convolution import SCRATCH
from handstyle.kernels.cuda_dry import DryDevice, rehearse
from handstyle.kernels.cuda_engine import CudaEngine
from handstyle.kernels.cuda_room import places
from handstyle.network.sequence import Layer

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
