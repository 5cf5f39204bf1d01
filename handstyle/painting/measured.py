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
        """Return a target from the cache; if it is not there, measure it and add it.

        Parameters
        ----------
        network : Network
            The network whose features are measured.
        arrays : sequence of array or None
            What the target is measured on: pixels and masks.
        choice : tuple
            What is measured: ``"features"`` or ``"moments"``, then the layers and what else the target depends on.
        measure : callable
            ``measure()`` returns the target.

        Examples
        --------
        >>> import numpy as np
        >>> from handstyle.network.vgg import build_network, random_weights
        >>> network, cache, p = build_network(random_weights()), Measured(), np.zeros((2, 2, 3))
        >>> cache.get(network, [p], ("moments", "relu1_1"), lambda: "measured first")
        'measured first'
        >>> cache.get(network, [p.copy()], ("moments", "relu1_1"), lambda: "measured again")  # the same pixels
        'measured first'
        """
        if self.kept is None:
            return measure()
        digests = (None if one is None else array_digest([one]) for one in arrays)
        key = (id(network), *digests, choice)
        if key not in self.kept:
            self.count += 1
            self.kept[key] = network, measure()  # the network is held, so that no other can have its id
        return self.kept[key][1]

    def forget_maps(self) -> None:
        """Remove the features of pictures, which are large, and keep the moments of paintings.

        Examples
        --------
        >>> cache = Measured()
        >>> for what in ("features", "moments"):
        ...     _ = cache.get(network=None, arrays=[], choice=(what, "relu1_1"), measure=lambda: 0)
        >>> cache.forget_maps()
        >>> [choice for network, choice in cache.kept]
        [('moments', 'relu1_1')]
        """
        self.kept = {key: value for key, value in (self.kept or {}).items() if key[-1][0] != "features"}
