"""Keep measured targets, so that several runs with one network measure each picture once at each size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from handstyle.foundations.backend import Array
from handstyle.network.vgg import Network
from handstyle.painting.recipe import array_digest


@dataclass
class Measured:
    """A cache of measured targets, which several runs can share.

    Parameters
    ----------
    kept : dict or None
        The targets by network, pixels, masks and layers; with None nothing is kept.
    count : int
        Number of measurements made.

    Examples
    --------
    >>> import numpy as np
    >>> from handstyle import load_network, stylize
    >>> network, shared = load_network("random"), Measured()
    >>> photograph, painting = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    >>> few = {"network": network, "size": 32, "iterations": 1, "style_layers": "relu1_1", "pyramid_min_size": 0}
    >>> for weight in (1, 10, 100):
    ...     result = stylize(photograph, painting, style_weight=weight, measured=shared, **few)
    >>> shared.count  # of the photograph's features and of the painting's moments
    2
    """

    kept: dict[Any, Any] | None = field(default_factory=dict)
    count: int = 0

    def get(self, network: Network, arrays: Sequence[Array | None], choice: Any, measure: Callable[[], Any]) -> Any:
        """Return the target for a network, arrays and layers (`choice`), from the cache or by calling `measure`."""
        if self.kept is None:
            return measure()
        digests = (None if one is None else array_digest([one]) for one in arrays)
        key = (id(network), *digests, choice)
        if key not in self.kept:
            self.count += 1
            self.kept[key] = network, measure()  # the network is held, so that no other can have its id
        return self.kept[key][1]

    def forget_maps(self) -> None:
        """Remove the features of pictures, which are large, and keep the moments of paintings."""
        self.kept = {key: value for key, value in (self.kept or {}).items() if key[-1][0] != "features"}
