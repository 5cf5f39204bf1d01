"""Epilogues of the backward pass: gradients that are added, and masks that are applied, at the end of a stage."""

from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.convolution import Convolver
from handstyle.kernels.cuda.device import Device
from handstyle.kernels.cuda.structs import Epilogue, Source
from handstyle.kernels.gradients import Gradients
from handstyle.kernels.stages import Stage


def backward_epilogue(
    device: Device, stage: Stage, gradients: Gradients, except_for: str | None = None, under_the_pool: bool = False
) -> Epilogue:
    """Return the epilogue for the gradient at a stage's output, or at the input of its pool.

    Parameters
    ----------
    device : Device
        The device of the gradients.
    stage : Stage
        The stage, after the forward pass.
    gradients : Gradients
        The gradients of the terms at the layers.
    except_for : str, optional
        A layer whose gradient has been added already.
    under_the_pool : bool
        Whether the gradient is that at the input of the stage's pool, not at the stage's output.

    Returns
    -------
    Epilogue
        It adds the terms' gradient at the rectifier, applies its mask, and adds the terms' gradient at the convolution.

    Raises
    ------
    HandstyleError
        If a gradient has another shape or dtype than its feature, or the forward pass did not return that feature.
    """

    def tap_gradient(name: str, shape: tuple[int, ...]) -> Array | None:
        dx = None if name == except_for else gradients.get(name)
        return None if dx is None else check_gradient(device, name, dx, shape, stage.dtype)

    if stage.convolution is None or (stage.pool is not None and not under_the_pool):
        return Epilogue(relu_gradient=tap_gradient(stage.name, stage.output))
    if stage.relu is None:
        return Epilogue(relu_gradient=tap_gradient(stage.convolution.name, stage.output))
    epilogue = Epilogue(relu_gradient=tap_gradient(stage.relu, stage.shape), mask=stage.bits)
    epilogue.conv_gradient = tap_gradient(stage.convolution.name, stage.shape)
    if stage.bits is None and (epilogue.relu_gradient is not None or epilogue.conv_gradient is not None):
        raise HandstyleError(f"a gradient for {stage.relu} or {stage.convolution.name}, which forward did not tap")
    return epilogue


def check_gradient(device: Device, name: str, dx: Array, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return a gradient as a contiguous array, or raise `HandstyleError` if its shape or dtype is not the expected."""
    if dx.shape != shape or dx.dtype != dtype:
        raise HandstyleError(f"gradient for {name}: {dx.shape} {dx.dtype}, expected {shape} {dtype}")
    contiguous: Array = device.xp.ascontiguousarray(dx)
    return contiguous


def apply_epilogue(convolver: Convolver, dx: Array | Source, epilogue: Epilogue) -> Array:
    """Return a gradient after a backward epilogue, applied in a separate pass; without operations, `dx` itself."""
    source = dx if isinstance(dx, Source) else Source.of(dx)
    trivial = epilogue.relu_gradient is None and epilogue.mask is None and epilogue.conv_gradient is None
    if trivial and not isinstance(dx, Source):
        return dx
    epilogue.H, epilogue.W, epilogue.K = source.H, source.W, source.C
    epilogue.y = convolver.device.empty((source.H, source.W, source.C), convolver.dtype)
    convolver.epilogue(source, epilogue)
    return epilogue.y
