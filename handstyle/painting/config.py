"""Every choice of a run, with its default: the one place where a default is written.

The command line takes its flags and their help from here, the report writes it down, and a run with an equal
`StyleConfig`, equal inputs and an equal network gives an equal picture.
"""

import math
from dataclasses import dataclass, fields

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network

SMALLEST_SIDE = 16  # pixels: four poolings leave one


@dataclass(frozen=True, kw_only=True)
class StyleConfig:
    """The choices of a run.

    Parameters
    ----------
    size : int
        Long side of the output in pixels; a smaller photograph is not enlarged.
    style_size : int
        Long side of the painting in pixels while its style is measured; 0 takes `size`. Larger gives larger strokes.
    iterations : int
        Of L-BFGS.
    init : str
        The start: content, noise (uniform), grey, or the path of a picture.
    content_weight : float
        How much the relative squared error of the content counts.
    style_weight : float
        How much, at each style layer, the relative squared error of the Gram matrix counts.
    tv_weight : float
        How much the mean squared difference of neighbouring pixels (0 to 255) counts.
    content_layers : tuple of str
        Where content is measured.
    style_layers : tuple of str
        Where style is measured.
    memory : int
        Pairs that L-BFGS remembers.
    seed : int
        Of the noise.
    """

    size: int = 512
    style_size: int = 0
    iterations: int = 200
    init: str = "content"
    content_weight: float = 1.0
    style_weight: float = 10.0
    tv_weight: float = 1e-5
    content_layers: tuple[str, ...] = ("relu4_2",)
    style_layers: tuple[str, ...] = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    memory: int = 10
    seed: int = 0

    def check(self) -> None:
        """Raise `HandstyleError` if a value makes no sense, before anything is read or computed."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("_weight") and not (math.isfinite(value) and value >= 0):
                raise HandstyleError(f"{_flag(field.name)} {value}: a weight is a number of 0 or more")
        for name, least in (("size", SMALLEST_SIDE), ("style_size", 0), ("iterations", 1), ("memory", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise HandstyleError(f"{_flag(name)} {getattr(self, name)}: must be {least} or more")
        if 0 < self.style_size < SMALLEST_SIDE:
            raise HandstyleError(f"--style-size {self.style_size}: must be {SMALLEST_SIDE} or more, or 0 for --size")
        content = self.content_weight > 0 and bool(self.content_layers)
        style = self.style_weight > 0 and bool(self.style_layers)
        if not content and not style:
            raise HandstyleError("nothing to paint: give content or style a weight above 0 and a layer")

    def check_layers(self, network: Network) -> None:
        """Raise `HandstyleError` if a layer is not the network's."""
        for name, taps in (("content_layers", self.content_layers), ("style_layers", self.style_layers)):
            for tap in taps:
                if tap not in network.names:
                    raise HandstyleError(
                        f"{_flag(name)} {tap}: no such layer; this network has {', '.join(network.names)}"
                    )
            if len(set(taps)) != len(taps):
                raise HandstyleError(f"{_flag(name)}: a layer is named twice")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
