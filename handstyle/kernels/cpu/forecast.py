"""What an evaluation will take, in bytes and seconds, before anything is allocated.

The memory follows from the layers: which features are held for the losses, which bits for the backward sweep, and what
the kernels work with. The sweep is walked through with sizes in place of arrays. The time follows from the counts of
``cost.py`` and from the rates of this machine, which two seconds of small measurements give.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from handstyle.foundations.backend import available_memory
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import (
    FEW_PIXELS,
    Cost,
    Machine,
    content_cost,
    convolution_cost,
    moments_cost,
    pool_cost,
)
from handstyle.kernels.cpu.choose import scratch as scratch_of
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.epilogues import bits_shape
from handstyle.kernels.stages import split_stages
from handstyle.network.sequence import Convolution, Pool, deepest
from handstyle.network.vgg import Network

# Of what can be had, the part that a forecast may take: the interpreter, the pictures and the system need the rest.
USABLE = 0.9


@dataclass(frozen=True)
class LayerForecast:
    """One layer in one direction."""

    layer: str
    direction: str  # forward, backward, or loss
    kernel: str
    shape: tuple[int, int, int]  # of the output
    cost: Cost
    scratch: int  # bytes
    kept: int = 0  # bytes of transformed kernels that stay from one evaluation to the next


@dataclass(frozen=True)
class Forecast:
    """What painting at a size takes.

    Parameters
    ----------
    height, width : int
        Of the picture, pixels.
    layers : tuple of LayerForecast
        In the order in which they run.
    evaluation_bytes : int
        The peak of one evaluation: weights, targets, features, bits and what the kernels work with.
    optimizer_bytes : int
        What the optimiser keeps beside it.
    seconds : float
        Of one evaluation on `machine`.
    machine : Machine
        The rates that were assumed or measured.
    """

    height: int
    width: int
    layers: tuple[LayerForecast, ...]
    evaluation_bytes: int
    optimizer_bytes: int
    seconds: float
    machine: Machine

    @property
    def peak_bytes(self) -> int:
        """Bytes in all, above the imported interpreter."""
        return self.evaluation_bytes + self.optimizer_bytes


def forecast(
    network: Network,
    height: int,
    width: int,
    style_taps: Sequence[str] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
    content_taps: Sequence[str] = ("relu4_2",),
    memory: int = 10,
    machine: Machine | None = None,
) -> Forecast:
    """Say what one evaluation at a size takes, without running any.

    Parameters
    ----------
    network : Network
        Run by a `CpuEngine`.
    height, width : int
        Of the picture, pixels.
    style_taps, content_taps : sequence of str
        Where the losses look.
    memory : int
        Pairs that L-BFGS-B keeps: SciPy's workspace is ``2 memory + 5`` vectors of float64 (TOMS 778, §3), beside the
        vectors of the objective.
    machine : Machine, optional
        Its rates; the default is a nominal one. Pass `calibrate()` for this machine's.

    Returns
    -------
    Forecast

    Raises
    ------
    HandstyleError
        If the kernels are not those that are counted here, or the picture is too small for the network.
    """
    engine = network.engine
    if not isinstance(engine, CpuEngine):
        raise HandstyleError(f"no forecast for kernels {engine.name}: it counts auto, winograd and im2col, on NumPy")
    machine = machine or Machine()
    layers, item = network.layers, network.dtype.itemsize
    taps = (*style_taps, *content_taps)
    stages = split_stages(layers[: deepest(layers, taps)], set(taps), (height, width, 3))
    rows: list[LayerForecast] = []
    held: dict[str, int] = {}  # features that the losses wait for
    bits = peak = 0
    shape = (height, width, 3)
    x, x_held = math.prod(shape) * item, False
    inputs = []  # of each stage, for the way back
    few = height * width <= FEW_PIXELS
    for stage in stages:
        first, last = stage.layers[0], stage.layers[-1]
        inputs.append(shape)
        scratch = made = 0
        if isinstance(first, Convolution):
            H, W, C = shape
            K = first.w.shape[3]
            row = _convolution(engine, first, (H, W, C, K), item, few, adjoint=False)
            rows.append(row)
            scratch, shape = row.scratch, (H, W, K)
            if not stage.is_bare:
                names = [layer.name for layer in stage.layers]
                if not isinstance(last, Pool) or names[1] in taps:
                    bits += math.prod(bits_shape(shape))
                    made += math.prod(shape) * item if isinstance(last, Pool) else 0
                    if names[1] in taps:
                        held[names[1]] = math.prod(shape) * item
                if isinstance(last, Pool):
                    bits += math.prod(bits_shape(shape))
        if isinstance(last, Pool):
            H, W, C = shape
            rows.append(LayerForecast(last.name, "forward", last.kind, shape, pool_cost(H, W, C, item), 0))
            up = last.rounding == "up"
            shape = ((H + up) // 2, (W + up) // 2, C)
        if not math.prod(shape):
            raise HandstyleError(f"a picture of {height} x {width} has nothing left at {last.name}")
        if not stage.is_fused:  # the reference's passes keep the input, the output and copies of it
            scratch = 3 * math.prod(inputs[-1]) * item
            bits += math.prod(inputs[-1])
        y = math.prod(shape) * item
        waiting = sum(held.values()) - (x if x_held else 0)
        peak = max(peak, waiting + bits + x + y + made * (not stage.is_fused) + scratch)
        if len(inputs) == 2 and not few:
            held.pop(stages[0].name, None)  # to be made again on the way back
        if stage.name in taps:
            held[stage.name] = y
        x, x_held = y, stage.name in held
    shapes = _tap_shapes(network, height, width)
    top = stages[-1].name
    dx = math.prod(shapes[top]) * item
    peak = max(peak, sum(held.values()) + bits + dx)  # the gradient at the deepest tap, beside its features
    held.pop(top, None)
    rows += _losses(top, style_taps, content_taps, shapes, item)
    for i in reversed(range(len(stages))):
        stage, below = stages[i], stages[i - 1].name if i else ""
        inner = {layer.name for layer in stage.layers[:-1]} & held.keys()  # a tapped rectifier under its pool
        entering = sum(held.pop(tap) for tap in inner)
        peak = max(peak, sum(held.values()) + bits + dx + 2 * entering)
        out = math.prod(inputs[i]) * item
        f = out if below in taps else 0
        held.pop(below, None)
        for tap in (*inner, below):
            rows += _losses(tap, style_taps, content_taps, shapes, item)
        first = stage.layers[0]
        scratch = 2 * out
        if isinstance(first, Convolution):
            H, W, C = inputs[i]
            row = _convolution(engine, first, (H, W, first.w.shape[3], C), item, few, adjoint=True)
            rows.append(row)
            scratch = row.scratch
        base = sum(held.values()) + bits + dx
        # A style's gradient takes the features' place, a content's has its own; the result takes the gradient's.
        peak = max(peak, base + f * (1 + (below in content_taps)), base + entering + out + scratch)
        dx = out
    if stages[0].name in taps and len(stages) > 1 and not few:
        rows.append(rows[0])  # made again
    n = 3 * height * width
    weights = sum(layer.w.nbytes + layer.b.nbytes for layer in layers if isinstance(layer, Convolution))
    weights += sum(row.kept for row in rows)
    targets = sum(math.prod(shapes[tap]) * item for tap in content_taps)
    targets += sum(8 * shapes[tap][2] * (shapes[tap][2] + 1) for tap in style_taps)
    vectors = 3 * 8 * n + 4 * item * n  # the point, its copy and the gradient; picture, input and their gradients
    optimizer = 8 * (n * (2 * memory + 5) + 4 * n) + 16 * n  # and SciPy's copies of point and gradient, bounds, indices
    cost = sum((row.cost for row in rows), Cost())
    return Forecast(
        height, width, tuple(rows), peak + weights + targets + vectors, optimizer, machine.seconds(cost), machine
    )


def _losses(
    tap: str,
    style_taps: Sequence[str],
    content_taps: Sequence[str],
    shapes: dict[str, tuple[int, int, int]],
    item: int,
) -> list[LayerForecast]:
    rows = []
    for taps, cost in ((style_taps, moments_cost), (content_taps, content_cost)):
        if tap in taps:
            rows.append(LayerForecast(tap, "loss", "", shapes[tap], cost(*shapes[tap], item), 0))
    return rows


def _tap_shapes(network: Network, height: int, width: int) -> dict[str, tuple[int, int, int]]:
    shapes, H, W, C = {}, height, width, 3
    for layer in network.layers:
        if isinstance(layer, Convolution):
            C = layer.w.shape[3]
        elif isinstance(layer, Pool):
            up = layer.rounding == "up"
            H, W = (H + up) // 2, (W + up) // 2
        shapes[layer.name] = (H, W, C)
    return shapes


def _convolution(
    engine: CpuEngine, layer: Convolution, size: tuple[int, int, int, int], item: int, few: bool, adjoint: bool
) -> LayerForecast:
    H, W, C, K = size
    tile = engine.choose(H, W, C, K, adjoint)
    scratch, kept = scratch_of(H, W, C, K, tile, item, engine.team.threads, adjoint, few)
    cost = convolution_cost(H, W, C, K, tile, item, few)
    if layer.padding != "zero":
        scratch += (H + 2) * (W + 2) * (C + 2 * K)
        cost += Cost(moved=2 * item * H * W * (C + 2 * K))
    direction = "backward" if adjoint else "forward"
    return LayerForecast(layer.name, direction, str(tile), (H, W, K), cost, scratch * item, kept * item)


def largest_side(network: Network, height: int, width: int, available: int, **more: object) -> int:
    """Return the longer side, in steps of 16 pixels, of the largest picture of these proportions that fits, or 0."""
    longer = max(height, width)

    def needed(side: int) -> int:
        H, W = (max(1, round(length * side / longer)) for length in (height, width))
        return forecast(network, H, W, **more).peak_bytes  # type: ignore[arg-type]

    def fits(side: int) -> bool:
        try:
            return needed(side) <= available
        except HandstyleError:
            return True  # too small for the network: it is not memory that is in the way

    low, high = 0, longer // 16
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(16 * middle) else (low, middle - 1)
    try:
        return 16 * low if low and needed(16 * low) <= available else 0
    except HandstyleError:
        return 0


def check_fits(expected: Forecast, network: Network, available: int | None = None, **more: object) -> None:
    """Raise `HandstyleError` if a forecast asks for more memory than there is, naming the size that would fit.

    Parameters
    ----------
    expected : Forecast
        Of the size that is wanted.
    network : Network
        That it was made for.
    available : int, optional
        Bytes; by default what the machine has now.
    **more
        The taps and the optimiser's memory, as given to `forecast`.
    """
    free = available_memory() if available is None else available
    if expected.peak_bytes <= USABLE * free:
        return
    side = largest_side(network, expected.height, expected.width, int(USABLE * free), **more)
    advice = f"--size {side} would fit" if side else "not even a small picture would fit"
    raise HandstyleError(
        f"{expected.width} x {expected.height} pixels need {expected.peak_bytes / 2**30:.1f} GiB of memory, "
        f"{free / 2**30:.1f} GiB are free; {advice}"
    )
