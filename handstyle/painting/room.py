"""Room on a GPU: what a run takes there, what would take less, and what a run says when there is not enough.

The forecast is that of ``painting/need.py``, made before any work. A run that would not fit gets less scratch, which
costs only time, and says so, or else is refused with the size that would fit and the choices that would fit at this
size. An allocation that fails all the same ends in the same words.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from handstyle.foundations.backend import available_memory
from handstyle.foundations.errors import OutOfMemoryError
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cpu.forecast import USABLE, largest_side
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.forecast import largest
from handstyle.network.vgg import Network
from handstyle.optimize.lbfgsb import most_memory
from handstyle.painting.config import StyleConfig
from handstyle.painting.need import SCRATCH, device_need, measuring_bytes

Size = tuple[int, int]
LEAST = 16  # pixels a side, below which VGG's deepest map is empty


@dataclass(frozen=True)
class Room:
    """Where a run finds its memory.

    Parameters
    ----------
    network : Network
        As given, or with less scratch.
    config : StyleConfig
        Of the run.
    free : int
        Bytes that could be had before it began; on a GPU, beside the weights.
    notes : list of str
        What was done to make it fit.
    """

    network: Network
    config: StyleConfig
    free: int
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def at(self, size: Size) -> Iterator[None]:
        """Turn an allocation that fails within, of whatever library, into one line that says what would fit."""
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            first = str(error).split(": paint at")[0].splitlines()[0] if str(error) else type(error).__name__
            raise OutOfMemoryError(
                f"out of memory at {size[1]} x {size[0]} px, though the forecast said it would fit ({first}): "
                f"{self.advice(size, int(0.8 * self.free))}"
            ) from None

    def advice(self, size: Size, free: int) -> str:
        """Return what would fit into so many bytes: a size, and cheaper ways at this one."""
        engine, config = self.network.engine, self.config
        if isinstance(engine, CpuEngine):
            style = config.style_layers if config.style_weight else ()
            content = config.content_layers if config.content_weight else ()
            side = 0
            if style or content:
                taps: dict[str, Any] = {"style_taps": style, "content_taps": content, "memory": config.lbfgs_history}
                side = largest_side(self.network, *size, int(USABLE * free), **taps)
            return f"--size {side} would fit" if side else "use a smaller --size"
        if not isinstance(engine, CudaEngine):
            return "use a smaller --size, or --kernels auto, which take a fraction of the memory"

        def need(scaled: Size) -> int:
            expected = device_need(self.network, config, scaled, engine.workspace)
            return expected.device - expected.weights

        side = largest_like(size, need, free)
        ways = [f"--size {side}"] if side else []
        ways += [f"at this size {way}" for way in cheaper(self.network, config, size, free)]
        return " or ".join(ways) + " would fit" if ways else "not even a small picture would fit"


def cheaper(network: Network, config: StyleConfig, size: Size, free: int) -> list[str]:
    """Return the flags of optimizers that fit into `free` bytes of a GPU at this size, the nearest first."""

    def fits(other: StyleConfig) -> bool:
        expected = device_need(network, other, size, SCRATCH[-1])
        enough = expected.host <= USABLE * available_memory()
        return expected.device - expected.weights <= free and enough

    ways = []
    if config.optimizer in ("lbfgs", "lbfgs-fixed"):
        memory = next(
            (m for m in range(config.lbfgs_history - 1, 2, -1) if fits(replace(config, lbfgs_history=m))), None
        )
        ways += [f"--lbfgs-history {memory}"] if memory else []
    if config.optimizer != "lbfgsb" and not config.clamp:
        memory = min(config.lbfgs_history, most_memory(3 * size[0] * size[1]))
        if memory > 0 and fits(replace(config, optimizer="lbfgsb", lbfgs_history=memory)):
            ways.append("--optimizer lbfgsb" + (f" --lbfgs-history {memory}" if memory < config.lbfgs_history else ""))
    if config.optimizer in ("lbfgs", "lbfgs-fixed") and fits(replace(config, optimizer="adam")):
        ways.append("--optimizer adam")
    return ways


def make_room(config: StyleConfig, network: Network, sizes: Sequence[Size], styles: Sequence[Size] = ()) -> Room:
    """Check, before any work, that a run fits the GPU, and give its convolutions less scratch if that makes it fit.

    Parameters
    ----------
    config : StyleConfig
        Of the run.
    network : Network
        On its device. On a processor nothing is checked here.
    sizes : sequence of (int, int)
        Of the scales; the largest counts.
    styles : sequence of (int, int)
        At which paintings are measured.

    Returns
    -------
    Room

    Raises
    ------
    OutOfMemoryError
        Naming the size that would fit, and the cheaper ways at this size.
    """
    engine, size = network.engine, sizes[-1]
    if not isinstance(engine, CudaEngine):
        return Room(network, config, available_memory())
    free = engine.device.free_memory()
    room = Room(network, config, free)
    wanted = 0
    for scratch in (engine.workspace, *(less for less in SCRATCH if less < engine.workspace)):
        expected = device_need(network, config, size, scratch)
        needed = expected.device - expected.weights
        wanted = wanted or needed
        if needed > free:
            continue
        if scratch < engine.workspace:
            smaller = CudaEngine(engine.device, engine.method, scratch)
            note = (
                f"convolutions have {scratch >> 20} MiB of scratch, not {engine.workspace >> 20}, which costs time: "
                f"{free >> 20} MiB are free in all"
            )
            room = Room(network.with_kernels(smaller), config, free, [note])
        if config.style_weight or config.means_weight:
            for style in styles:
                check_measuring(config, room.network, style, free)
        return room
    raise OutOfMemoryError(
        f"{size[1]} x {size[0]} px need {wanted / 2**30:.1f} GiB of the GPU's memory beside the weights, "
        f"{free / 2**30:.1f} GiB are free; {room.advice(size, free)}"
    )


def check_measuring(config: StyleConfig, network: Network, style: Size, free: int) -> None:
    """Raise `OutOfMemoryError` if a painting is larger than can be measured in `free` bytes of a GPU."""
    need = partial(measuring_bytes, network, config)
    if (needed := need(style)) > free:
        raise OutOfMemoryError(
            f"a painting of {style[1]} x {style[0]} px needs {needed / 2**30:.1f} GiB of the GPU's memory beside the "
            f"weights to be measured, {free / 2**30:.1f} GiB are free; --style-size {largest_like(style, need, free)} "
            "would fit"
        )


def largest_like(shape: Size, need: Callable[[Size], int], free: int) -> int:
    """Return the longer side of the largest picture of a shape whose need fits into `free` bytes; 0 if none does."""
    longer = max(shape)

    def at(side: int) -> int:
        scaled = round(shape[0] * side / longer), round(shape[1] * side / longer)
        return need(scaled) if min(scaled) >= LEAST else 0

    return largest(at, free)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory is full: NumPy's, CuPy's, the driver's, or cuBLAS's."""
    words = ("MemoryAllocation", "OUT_OF_MEMORY", "ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)
