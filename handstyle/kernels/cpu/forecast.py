"""Forecast the memory and the time of an evaluation on a CPU, before anything is allocated.

The memory is that of a dry run. The time follows from the counts of ``counting.py`` and the rates of a nominal machine.
"""

import math
from collections.abc import Sequence

from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import Cost, Machine, target_bytes
from handstyle.kernels.cpu.dry_run import dry_run
from handstyle.kernels.cpu.passes import CpuPasses
from handstyle.losses.terms import Term
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Forecast, Shape, taps_of

# Memory of each thread outside the arena: the part of its BLAS buffer that is written to, and the strips of
# `arena.Scratch`. It is THREAD_BYTES and the largest map together, but at most CHANNEL_BYTES for each of that map's
# channels. Measured with OpenBLAS 0.3.31 on two threads.
THREAD_BYTES, CHANNEL_BYTES = 1 << 20, 1 << 17
# Seconds that a layer takes however small its map is: for calls of NumPy. It is the processor time of one thread with
# the embedded network at 64 px, where it is half of the total.
LAYER_SECONDS = 0.4e-3


def forecast_evaluation(
    engine: CpuPasses, network: Network, terms: Sequence[Term], shape: Shape, gradient: bool = True
) -> Forecast:
    """Return the memory and the time that one evaluation will take, from a dry run.

    Parameters
    ----------
    engine : CpuPasses
        The engine that will run the evaluation.
    network : Network
        The network; of its weights only the shapes are used.
    terms : sequence of Term
        The terms; of their targets and masks only the shapes are used.
    shape : (H, W, 3)
        The picture's shape.
    gradient : bool
        If False, the forecast is for the forward pass only, which measures the targets.

    Returns
    -------
    Forecast
        The time is that of a nominal machine: it compares sizes and engines; `handstyle.painting.trial` measures.

    Raises
    ------
    HandstyleError
        If a picture of this shape is too small for the network.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.cpu.engine import im2col_engine
    >>> from handstyle.losses.content import ContentTerm
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> terms = [ContentTerm("relu1_1", np.zeros((32, 32, 16), np.float32), scale=1.0)]
    >>> forecast_evaluation(im2col_engine(), network, terms, (32, 32, 3)).operations  # 2 · 9 H W · 3 · 16, twice
    1769472
    """
    check_not_too_small(network, taps_of(terms), shape)
    dry = dry_run(engine, network, terms, shape, gradient)
    rows = summary(network, *shape[:2])
    largest = max(rows, key=lambda row: row.values)
    strips = min(THREAD_BYTES + largest.values * network.dtype.itemsize, CHANNEL_BYTES * largest.shape[2])
    outside = strips * engine.team.threads + sum(dry.kept.values())
    targets = target_bytes(terms) if gradient else 0
    taken = max(dry.peak, dry.arena.touched) + outside + targets
    cost = sum((row.cost for row in dry.rows), Cost())
    seconds = Machine().seconds(cost) + LAYER_SECONDS * len(dry.rows)
    return Forecast(taken, network.weight_bytes, seconds, cost.products + cost.transforms, cost.moved)


def check_not_too_small(network: Network, taps: Sequence[str], shape: Shape) -> None:
    """Raise `HandstyleError` if the output of a layer up to the deepest of `taps` has no values for this picture.

    Examples
    --------
    >>> from handstyle.foundations.errors import HandstyleError
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> try:
    ...     check_not_too_small(build_network(random_weights()), ["relu5_1"], (8, 8, 3))
    ... except HandstyleError as error:
    ...     print(error)
    a picture of 8 x 8 px has nothing left at pool4
    """
    for row in summary(network, *shape[:2]):
        if taps and not math.prod(row.shape):
            raise HandstyleError(f"a picture of {shape[1]} x {shape[0]} px has nothing left at {row.name}")
        taps = [tap for tap in taps if tap != row.name]
