"""Epilogues of the backward pass: gradients that are added, and masks that are applied, at the end of a stage."""

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cuda.convolution import Convolver
from handstyle.kernels.cuda.structs import Epilogue, Source
from handstyle.kernels.gradients import Gradients
from handstyle.kernels.stages import Stage


def backward_epilogue(stage: Stage, gradients: Gradients, under_the_pool: bool = False) -> Epilogue:
    """Return the epilogue for the gradient at a stage's output, or at the input of its pool.

    Parameters
    ----------
    stage : Stage
        The stage, after the forward pass.
    gradients : Gradients
        The gradients of the terms at the layers.
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

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.gradients import GivenGradients
    >>> from handstyle.network.sequence import ReLU
    >>> stage, df = Stage((ReLU("relu1_1"),), output=(2, 2, 1)), np.ones((2, 2, 1), np.float32)
    >>> backward_epilogue(stage, GivenGradients({"relu1_1": df})).relu_gradient is df
    True
    """

    def tap_gradient(name: str, shape: tuple[int, ...]) -> Array | None:
        dx = gradients.get(name)
        if dx is not None and (dx.shape != shape or dx.dtype != stage.dtype):
            raise HandstyleError(f"gradient for {name}: {dx.shape} {dx.dtype}, expected {shape} {stage.dtype}")
        return None if dx is None else namespace(dx).ascontiguousarray(dx)

    if stage.convolution is None or (stage.pool is not None and not under_the_pool):
        return Epilogue(relu_gradient=tap_gradient(stage.name, stage.output))
    if stage.relu is None:
        return Epilogue(relu_gradient=tap_gradient(stage.convolution.name, stage.output))
    epilogue = Epilogue(relu_gradient=tap_gradient(stage.relu, stage.shape), mask=stage.bits)
    epilogue.conv_gradient = tap_gradient(stage.convolution.name, stage.shape)
    if stage.bits is None and (epilogue.relu_gradient is not None or epilogue.conv_gradient is not None):
        raise HandstyleError(f"a gradient for {stage.relu} or {stage.convolution.name}, which forward did not tap")
    return epilogue


def apply_epilogue(convolver: Convolver, dx: Array | Source, epilogue: Epilogue) -> Array:
    """Return a gradient after a backward epilogue, applied in a separate pass; without operations, `dx` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle.kernels.cuda.dry_device import DryDevice
    >>> dx = np.zeros((4, 4, 8), np.float32)
    >>> apply_epilogue(Convolver(DryDevice(), "float32"), dx, Epilogue()) is dx  # an epilogue without operations
    True
    """
    source = dx if isinstance(dx, Source) else Source.of(dx)
    if not (epilogue.has_backward or isinstance(dx, Source)):
        return dx
    epilogue.H, epilogue.W, epilogue.K = source.H, source.W, source.C
    epilogue.y = convolver.device.empty((source.H, source.W, source.C), convolver.dtype)
    convolver.epilogue(source, epilogue)
    return epilogue.y
