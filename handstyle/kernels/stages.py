"""Group layers into stages: a convolution with the rectifier and the pool that follow it, run together."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.sequence import Cache, Convolution, Layer, Pool, ReLU


@dataclass
class Stage:
    """Layers that run together, with the data that the backward pass needs.

    Parameters
    ----------
    layers : tuple of Layer
        A convolution with the rectifier and the pool that are fused to it, or a single layer.
    shape : (int, int, int)
        The shape of the convolution's output.
    output : tuple of int
        The shape of the stage's output.
    dtype : dtype
        The dtype of the stage's output.
    cache : any
        The cache of a single layer that runs as in the reference.
    bits : array, optional
        The rectifier's mask, one bit for each value.
    pool_bits : array, optional
        The mask of rectifier and pool together.

    Examples
    --------
    >>> layers = (Convolution("conv1_1", np.ones((3, 3, 3, 4)), np.zeros(4)), ReLU("relu1_1"), Pool("pool1"))
    >>> stage = Stage(layers, shape=(32, 32, 4), output=(16, 16, 4))
    >>> stage.name, stage.relu, stage.pool.kind
    ('pool1', 'relu1_1', 'max')
    """

    layers: tuple[Layer, ...]
    shape: tuple[int, int, int] = (0, 0, 0)
    output: tuple[int, ...] = ()
    dtype: DTypeLike = np.float32
    cache: Cache = None
    bits: Array | None = None
    pool_bits: Array | None = None

    @property
    def name(self) -> str:
        """The name of the last layer, whose output is that of the stage.

        Examples
        --------
        >>> Stage((Convolution("conv1_1", np.ones((3, 3, 3, 4)), np.zeros(4)), ReLU("relu1_1"))).name
        'relu1_1'
        """
        return self.layers[-1].name

    @property
    def convolution(self) -> Convolution | None:
        """The convolution at the start of the stage; None if the stage is another layer, run as in the reference.

        Examples
        --------
        >>> Stage((Convolution("conv1_1", np.ones((3, 3, 3, 4)), np.zeros(4)), ReLU("relu1_1"))).convolution
        Convolution(name='conv1_1', padding='zero')
        >>> Stage((Pool("pool1"),)).convolution is None
        True
        """
        return self.layers[0] if isinstance(self.layers[0], Convolution) else None

    @property
    def relu(self) -> str | None:
        """The name of the rectifier after the convolution; None if none is fused to it.

        Examples
        --------
        >>> convolution = Convolution("conv1_1", np.ones((3, 3, 3, 4)), np.zeros(4))
        >>> Stage((convolution, ReLU("relu1_1"))).relu, Stage((convolution,)).relu
        ('relu1_1', None)
        """
        return self.layers[1].name if len(self.layers) > 1 else None

    @property
    def pool(self) -> Pool | None:
        """The pool fused to the convolution at the end of the stage; None if there is none, or the pool runs alone.

        Examples
        --------
        >>> layers = (Convolution("conv1_1", np.ones((3, 3, 3, 4)), np.zeros(4)), ReLU("relu1_1"), Pool("pool1"))
        >>> Stage(layers).pool, Stage(layers[2:]).pool
        (Pool(name='pool1', kind='max', rounding='down'), None)
        """
        last = self.layers[-1]
        return last if isinstance(last, Pool) and len(self.layers) > 1 else None


def split_stages(
    layers: tuple[Layer, ...], wanted: set[str], shape: tuple[int, ...], odd_sides: bool = False
) -> list[Stage]:
    """Group the layers of a network into stages.

    Parameters
    ----------
    layers : tuple of Layer
        The layers in order.
    wanted : set of str
        Names of layers whose output must be stored, so that the next layer cannot be fused.
    shape : tuple of int
        The shape of the picture.
    odd_sides : bool
        Whether a pool that rounds up an odd side can be fused.

    Returns
    -------
    list of Stage

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> layers = build_network(random_weights(deepest="conv2_1")).layers
    >>> [[layer.name for layer in stage.layers] for stage in split_stages(layers, {"relu2_1"}, (32, 32, 3))]
    [['conv1_1', 'relu1_1'], ['conv1_2', 'relu1_2', 'pool1'], ['conv2_1', 'relu2_1']]
    """
    stages: list[Stage] = []
    H, W = shape[:2]
    i = 0
    while i < len(layers):
        count = 1
        if isinstance(layers[i], Convolution) and layers[i].name not in wanted and _is_kind(layers, i + 1, ReLU):
            count = 2
            if _is_kind(layers, i + 2, Pool) and _can_be_fused(layers[i + 2], H, W, odd_sides):
                count = 3
        group = layers[i : i + count]
        first = group[0]
        stages.append(Stage(group, (H, W, first.w.shape[3]) if isinstance(first, Convolution) else (0, 0, 0)))
        if isinstance(group[-1], Pool):
            H, W = group[-1].output_size(H, W)
        i += count
    return stages


def check_dtypes(kernels: str, layers: tuple[Layer, ...], x: Array) -> None:
    """Raise `HandstyleError` unless the picture is of float32 or float64, and the weights of the same dtype.

    Examples
    --------
    >>> try:
    ...     check_dtypes("auto", (), np.zeros((2, 2, 3), np.float16))
    ... except HandstyleError as error:
    ...     print(error)
    kernels='auto' compute in float32 or float64, not float16
    """
    if x.dtype not in (np.float32, np.float64):
        raise HandstyleError(f"kernels={kernels!r} compute in float32 or float64, not {x.dtype}")
    for layer in layers:
        if isinstance(layer, Convolution) and layer.w.dtype != x.dtype:
            raise HandstyleError(
                f"{layer.name}: weights are {layer.w.dtype}, the picture is {x.dtype}; convert one with astype"
            )


def _is_kind(layers: tuple[Layer, ...], i: int, kind: type) -> bool:
    return i < len(layers) and isinstance(layers[i], kind)


def _can_be_fused(pool: Layer, H: int, W: int, odd_sides: bool) -> bool:
    # The reference handles a side of one pixel, which rounds down to zero, and the norm, which has no kernel.
    even = H % 2 == 0 and W % 2 == 0
    has_kernel = isinstance(pool, Pool) and pool.kind != "l2" and (odd_sides or pool.rounding == "down" or even)
    return has_kernel and min(H, W) > 1


def describe_methods(chosen: Mapping[str, str]) -> list[str]:
    """Return a text ``method: names`` for each method, with the names of the convolutions that used it.

    Examples
    --------
    >>> describe_methods({"conv1_1": "im2col", "conv1_2": "tiles 4 x 4", "conv2_1": "tiles 4 x 4"})
    ['im2col: conv1_1', 'tiles 4 x 4: conv1_2, conv2_1']
    """
    by_method: dict[str, list[str]] = {}
    for name, method in chosen.items():
        by_method.setdefault(method, []).append(name)
    return [f"{method}: {', '.join(names)}" for method, names in by_method.items()]
