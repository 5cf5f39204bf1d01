"""The terms of an objective: a loss at one place, with a name and a weight."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.losses.content import content_loss, relative_scale
from handstyle.losses.style import (
    Moments,
    MomentsGradient,
    gram_loss,
    gram_parts,
    style_scale,
)
from handstyle.losses.total_variation import total_variation

PICTURE = "picture"  # the tap of terms that look at the picture itself
Kernels = Mapping[Callable[..., Any], Callable[..., Any]]  # an engine's own losses, by the readable ones they stand for
NO_KERNELS: Kernels = MappingProxyType({})


class Term(Protocol):
    """A loss at one place: ``term(f) -> value, df``, neither weighted.

    `tap` is the name of a layer, or `PICTURE`; `name` is what the ledger calls the term.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def tap(self) -> str: ...  # noqa: D102
    @property
    def weight(self) -> float: ...  # noqa: D102

    def __call__(self, f: Array) -> tuple[float, Array]: ...  # noqa: D102


@dataclass(frozen=True)
class ContentTerm:
    """`content_loss` at a tap: (h, w, C) features against `target`."""

    tap: str
    target: Array
    weight: float = 1.0
    scale: float | None = None
    mask: Array | None = None  # (h, w, 1)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"content {self.tap}")

    def __call__(self, f: Array) -> tuple[float, Array]:  # (h, w, C) -> value, (h, w, C)
        """Return the unweighted value and gradient."""
        return content_loss(f, self.target, self._scale, self.mask)

    @cached_property
    def _scale(self) -> float:  # counted once: it is a pass over the target, and on a device a wait
        return relative_scale(self.target, self.mask) if self.scale is None else self.scale

    def weighted(  # (h, w, C) -> value, (h, w, C)
        self, f: Array, weight: float, kernels: Kernels = NO_KERNELS
    ) -> tuple[float, Array]:
        """Return the unweighted value and the gradient times `weight`, in one pass over `f`."""
        loss = kernels.get(content_loss, content_loss)
        value, df = loss(f, self.target, self._scale, self.mask, weight)
        return value, df


@dataclass(frozen=True)
class StyleTerm:
    """`style_loss` of the moments at a tap, under a mask of the tap's own size."""

    tap: str
    target: Moments
    weight: float = 1.0
    scale: float | None = None
    mask: Array | None = None  # (h, w, 1)
    name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or f"style {self.tap}")

    def __call__(self, f: Array) -> tuple[float, Array]:  # (h, w, C) -> value, (h, w, C)
        """Return the unweighted value and gradient."""
        return self.weighted(f, 1.0)

    def weighted(  # (h, w, C) -> value, (h, w, C)
        self, f: Array, weight: float, spare: bool = False, kernels: Kernels = NO_KERNELS
    ) -> tuple[float, Array]:
        """Return the unweighted value and the gradient times `weight`; see `gram_loss` for `spare`."""
        loss = kernels.get(gram_loss, gram_loss)
        value, df = loss(f, self.target, self._scale, self.mask, weight, self._count, spare)
        return value, df

    def pointwise(self, f: Array, weight: float) -> tuple[float, MomentsGradient]:
        """Return the unweighted value and, not made yet, the gradient times `weight`."""
        return gram_parts(f, self.target, self._scale, self.mask, weight, self._count)

    @cached_property
    def _count(self) -> float | None:  # counted once: on a device it takes a wait
        return None if self.mask is None else float(self.mask.sum(dtype=np.float64))

    @cached_property
    def _scale(self) -> float | None:
        return style_scale(self.target) if self.scale is None else self.scale


@dataclass(frozen=True)
class TotalVariationTerm:
    """`total_variation` of the picture."""

    weight: float = 1.0
    name: str = "total variation"
    tap: str = PICTURE

    def __call__(self, f: Array) -> tuple[float, Array]:  # (H, W, 3) -> value, (H, W, 3)
        """Return the unweighted value and gradient."""
        return total_variation(f)
