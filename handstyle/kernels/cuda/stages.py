"""Layers that run together on a GPU: a convolution with the rectifier and the pool that follow it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.network.sequence import Cache, Convolution, Layer, Pool, ReLU


@dataclass
class Stage:
    """Layers that run together, and what the backward sweep needs of them."""

    layers: tuple[Layer, ...]
    shape: tuple[int, int, int] = (0, 0, 0)  # of the convolution's output
    output: tuple[int, ...] = ()  # of the stage's
    dtype: DTypeLike = np.float32
    bits: Array | None = None  # (H, W, words), of the rectifier
    planes: Array | None = None  # (h, w, 3, words), of the max pool
    cache: Cache = None  # of a layer that runs as the reference does

    @property
    def convolution(self) -> Convolution | None:
        """The convolution it begins with, if it does."""
        return self.layers[0] if isinstance(self.layers[0], Convolution) else None

    @property
    def relu(self) -> str | None:
        """The name of the rectifier after it."""
        return self.layers[1].name if len(self.layers) > 1 else None

    @property
    def pool(self) -> Pool | None:
        """The pool at its end."""
        last = self.layers[-1]
        return last if isinstance(last, Pool) and len(self.layers) > 1 else None


def group(layers: tuple[Layer, ...], shape: tuple[int, ...]) -> list[Stage]:
    """Return the stages of a tuple of layers, for a picture of a shape."""
    stages: list[Stage] = []
    H, W = shape[:2]
    i = 0
    while i < len(layers):
        count = 1
        if isinstance(layers[i], Convolution) and i + 1 < len(layers) and isinstance(layers[i + 1], ReLU):
            count = 2
            # A side of one pixel rounds down to nothing, which the reference handles.
            if i + 2 < len(layers) and isinstance(layers[i + 2], Pool) and min(H, W) > 1:
                count = 3
        group = layers[i : i + count]
        stages.append(Stage(group))
        if isinstance(group[-1], Pool):
            up = group[-1].rounding == "up"
            H, W = (H + up) // 2, (W + up) // 2
        i += count
    return stages
