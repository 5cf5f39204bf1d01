"""Strength: how much of the style, from 0 to 1, in a measure that means the same on every calibrated network.

A style weight belongs to a network: what is a light touch on one makes a face unrecognizable on another. Strength is
turned into a style weight by a curve for each network, so that pictures of equal strength have come equally far to the
painting, by their Gram matrices (``benchmarks/strength.py`` measures, ``benchmarks/results`` has the numbers).
"""

from functools import cache
from typing import NamedTuple

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED, EMBEDDED_FILE, hdf5_read, hdf5_text
from handstyle.painting.config import StyleConfig, style_config
from handstyle.painting.feature_scale import is_published

UNCALIBRATED = 10.0  # the style weight of strength 0.5 where no curve is known
PATCHES = 2.0  # the same of patches, by eye, on both networks: with 10 the painting is put together anew
MOST = 1e4  # times the weight of strength 0.5, which strength 1 has: beside it content is nothing


class Curve(NamedTuple):
    """The style weights of a network: that of strength 0.5, and how steeply they rise."""

    half: float
    power: float

    def style_weight(self, strength: float) -> float:
        """Return half (s / (1 - s))^power: 0 at 0, `half` at 0.5, `MOST` times that, or less, at 1."""
        odds = strength / (1 - strength) if strength < 1 else MOST
        return self.half * min(float(odds**self.power), MOST)


# By network and statistic, with the default's layers and relative normalizations. At 0.5 the errors of the Gram
# matrices are equal, judged by VGG-19 on a portrait in strokes at 256 px: 0.0845 of the network that ships, 0.0852 of
# VGG-19. Away from 0.5 equal Gram errors ask for a power of 0.7 on VGG-19, equal content errors for more: 1.25 lies
# between.
CURVES = {
    (EMBEDDED, "gram"): Curve(10.0, 2.0),
    ("vgg", "gram"): Curve(1.0, 1.25),
}


def style_weight(config: StyleConfig, network: Network) -> float:
    """Return the style weight of a run: what the configuration says, or what its strength is on this network.

    Parameters
    ----------
    config : StyleConfig
        Its `style_weight` counts if it has one, else its `strength`.
    network : Network
        Measured are the network that ships and VGG-19; all networks of VGG's full widths take VGG-19's curve.

    Returns
    -------
    float
        Where there is no curve, `UNCALIBRATED` for strength 0.5, or `PATCHES`.

    Raises
    ------
    HandstyleError
        If there is no curve, and the strength is another.

    Examples
    --------
    >>> from handstyle import load_network
    >>> network = load_network()
    >>> [style_weight(StyleConfig(strength=s), network) for s in (0, 0.5, 0.75)]
    [0.0, 10.0, 90.0]
    >>> style_weight(StyleConfig(style_weight=3), network)
    3.0
    """
    if config.style_weight is not None:
        return config.style_weight
    named = config.style_normalization, config.content_normalization
    relative = named == ("relative", "relative") and not config.normalize_gradients
    if relative and (curve := CURVES.get((family(network), config.style_statistic))):
        return curve.style_weight(config.strength)
    if config.strength == StyleConfig.strength:
        return PATCHES if config.style_statistic == "patches" else UNCALIBRATED
    what = "network" if relative and (EMBEDDED, config.style_statistic) in CURVES else "loss"
    raise HandstyleError(f"strength={config.strength:g} was not measured for this {what}: give `style_weight` instead")


def weighted(config: StyleConfig, network: Network) -> StyleConfig:
    """Return a configuration with the style weight that it has on a network."""
    return style_config(config, style_weight=style_weight(config, network))


def how_strong(config: StyleConfig, network: Network) -> str:
    """Return how much the style counts in a run, in words."""
    weight = style_weight(config, network)
    said = f"style weight {weight:.3g}"
    return said if config.style_weight is not None else f"strength {config.strength:g} ({said})"


def family(network: Network) -> str:
    """Return whose curve a network has: that of the network that ships, that of all of VGG's widths, or none."""
    if is_published(network):
        return "vgg"
    return EMBEDDED if network.origin is not None and network.origin.sha256 == embedded_digest() else ""


@cache
def embedded_digest() -> str:
    """Return the digest of the values of the network that ships."""
    return "".join(hdf5_read(EMBEDDED_FILE, lambda file: hdf5_text(file, "tensors_sha256")))
