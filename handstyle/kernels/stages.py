"""Layers that run together."""

from collections.abc import Mapping
from dataclasses import dataclass

from handstyle.foundations.backend import Array
from handstyle.network.sequence import Cache, Convolution, Layer, Pool, ReLU


@dataclass
class Stage:
    """Layers that run together, and what the backward sweep needs of them."""

    layers: tuple[Layer, ...]
    shape: tuple[int, int, int] = (0, 0, 0)  # of the convolution's output
    cache: Cache = None  # of a layer that runs as the reference does
    bits: Array | None = None  # of the rectifier
    pool_bits: Array | None = None  # of rectifier and pool together

    @property
    def name(self) -> str:
        """The name of its last layer, whose output is the stage's."""
        return self.layers[-1].name

    @property
    def is_fused(self) -> bool:
        """Whether a fast convolution leads it; else it is one layer, run as the reference does."""
        return isinstance(self.layers[0], Convolution)

    @property
    def is_bare(self) -> bool:
        """Whether it is one layer."""
        return len(self.layers) == 1


def split_stages(layers: tuple[Layer, ...], wanted: set[str], shape: tuple[int, ...]) -> list[Stage]:
    """Cut layers into stages: a convolution with the rectifier and the pool behind it, where they can be fused."""
    stages: list[Stage] = []
    H, W = shape[:2]
    i = 0
    while i < len(layers):
        count = 1
        if isinstance(layers[i], Convolution) and layers[i].name not in wanted and _is(layers, i + 1, ReLU):
            count = 2
            if _is(layers, i + 2, Pool) and _pools_evenly(layers[i + 2], H, W):
                count = 3
        group = layers[i : i + count]
        first = group[0]
        stages.append(Stage(group, (H, W, first.w.shape[3]) if isinstance(first, Convolution) else (0, 0, 0)))
        if isinstance(group[-1], Pool):
            up = group[-1].rounding == "up"
            H, W = (H + up) // 2, (W + up) // 2
        i += count
    return stages


def _is(layers: tuple[Layer, ...], i: int, kind: type) -> bool:
    return i < len(layers) and isinstance(layers[i], kind)


def _pools_evenly(pool: Layer, H: int, W: int) -> bool:
    # Rounding up an even side is rounding down; a side of one pixel rounds down to nothing, which the reference
    # handles.
    return isinstance(pool, Pool) and H > 1 and W > 1 and (pool.rounding == "down" or (H % 2 == 0 and W % 2 == 0))


def methods_in_words(chosen: Mapping[str, str]) -> list[str]:
    """Return which convolutions were done how, ``method: names``, from the method of each name."""
    ways: dict[str, list[str]] = {}
    for name, method in chosen.items():
        ways.setdefault(method, []).append(name)
    return [f"{method}: {', '.join(names)}" for method, names in ways.items()]
