"""Where a gradient arrives: what happens to it at the end of a stage, before the stage takes it further back."""

from collections.abc import Mapping

from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.convolution import Convolver
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.stages import Stage
from handstyle.kernels.cuda.structs import Finish, Source


def landing(
    device: Device,
    stage: Stage,
    dfeatures: Mapping[str, Array],
    except_for: str | None = None,
    under_the_pool: bool = False,
) -> Finish:
    """Return what happens to a gradient that arrives at a stage's output, or under its pool.

    Parameters
    ----------
    device : Device
        Where the gradients are.
    stage : Stage
        As the forward sweep left it.
    dfeatures : mapping of str to array
        The gradients that enter at taps.
    except_for : str, optional
        A tap whose gradient is already in what arrives.
    under_the_pool : bool
        Whether it arrives where the stage's pool reads, and not at its output.

    Returns
    -------
    Finish
        What enters at the rectifier's tap, its mask, and what enters at the convolution's.

    Raises
    ------
    HandstyleError
        If a gradient is not of its feature's shape and dtype, or the forward sweep did not look at its tap.
    """

    def entering(name: str, shape: tuple[int, ...]) -> Array | None:
        if name == except_for or name not in dfeatures:
            return None
        return checked(device, name, dfeatures[name], shape, stage.dtype)

    if stage.convolution is None or (stage.pool is not None and not under_the_pool):
        return Finish(entering=entering(stage.layers[-1].name, stage.output))
    if stage.relu is None:
        return Finish(entering=entering(stage.convolution.name, stage.output))
    finish = Finish(entering=entering(stage.relu, stage.shape), mask=stage.bits)
    finish.after = entering(stage.convolution.name, stage.shape)
    if stage.bits is None and (finish.entering is not None or finish.after is not None):
        raise HandstyleError(f"a gradient for {stage.relu} or {stage.convolution.name}, which forward did not tap")
    return finish


def checked(device: Device, name: str, dx: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return a gradient, contiguous, or raise `HandstyleError`: a kernel would read whatever lies there."""
    if dx.shape != shape or dx.dtype != dtype:
        raise HandstyleError(f"gradient for {name}: {dx.shape} {dx.dtype}, expected {shape} {dtype}")
    contiguous: Array = device.xp.ascontiguousarray(dx)
    return contiguous


def land(convolver: Convolver, dx: Array | Source, finish: Finish) -> Array:
    """Carry a gradient, or a pooled one, through its landing, in a pass of its own if there is anything to do."""
    source = dx if isinstance(dx, Source) else Source.of(dx)
    if finish.entering is None and finish.mask is None and finish.after is None and not isinstance(dx, Source):
        return dx
    finish.H, finish.W, finish.K = source.H, source.W, source.C
    finish.y = convolver.device.empty((source.H, source.W, source.C), convolver.dtype)
    convolver.epilogue(source, finish)
    return finish.y
