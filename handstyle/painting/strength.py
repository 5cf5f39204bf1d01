"""Convert the strength of the style, from 0 to 1, to a style weight that depends on the network.

The effect of a style weight depends on the network: a weight that changes a face little with one makes it
unrecognizable with another. Each calibrated network has a curve from strength to style weight for each calibrated loss.
The curves are such that pictures of equal strength have equal errors of their Gram matrices (measured by
``benchmarks/strength.py``; the numbers are in ``benchmarks/results``).
"""

from functools import cache
from typing import NamedTuple

from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import hdf5_read, hdf5_text
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED, EMBEDDED_FILE
from handstyle.painting.config import STRENGTH, StyleConfig, style_config
from handstyle.painting.feature_scale import is_published

DEFAULT_WEIGHT = 10.0  # the style weight of strength 0.5 for networks and losses without a curve
# The calibrated losses: their style statistic, style normalization and content normalization.
LOSSES = {"gram": ("gram", "relative", "relative"), "w2": ("wasserstein", "channels", "mean")}
# The default weights of other losses: of patches by eye, since with 10 nothing of the photograph is left.
DEFAULT_WEIGHTS = {"patches": 2.0, "w2": 1.0}
MAX_RATIO = 1e4  # the style weight of strength 1 as a multiple of that of strength 0.5; content then has no effect


class Curve(NamedTuple):
    """The style weight as a function of strength: its value `half` at 0.5, and the exponent `power` of its growth.

    Examples
    --------
    >>> CURVES["vgg", "gram"]
    Curve(half=1.0, power=1.25)
    """

    half: float
    power: float

    def style_weight(self, strength: float) -> float:
        """Return the style weight ``half (s / (1 - s))^power`` of strength s, at most `MAX_RATIO` times `half`.

        Examples
        --------
        >>> curve = Curve(half=5.0, power=2.0)
        >>> curve.style_weight(0.5), curve.style_weight(0.75), curve.style_weight(1)  # 5, 5 * 3², 5 * MAX_RATIO
        (5.0, 45.0, 50000.0)
        """
        odds = strength / (1 - strength) if strength < 1 else MAX_RATIO
        return self.half * min(float(odds**self.power), MAX_RATIO)


# The curves by network and loss. For "gram", with the default layers, the mean errors of the Gram matrices at strength
# 0.5, measured with VGG-19 on twelve pairs at 256 px, are equal: 0.0727 for the network that is included, 0.0734 for
# VGG-19 (benchmarks/results/2026-11-30-detail.json). Likeness is 0.69 and 0.75; with an earlier network equal likeness
# required a weight of 1, with Gram errors two thirds larger. Equal Gram errors at other strengths require an exponent
# of 0.7 for VGG-19, and equal content errors a larger one (measured on one pair); 1.25 is a compromise. "w2" is the
# loss of the preset wasserstein, with which no weight of VGG-19 has the likeness, the content error and the Gram error
# of the included network at once. VGG-19's 3 has about the content error of 0.6 there and was chosen by looking at
# three pairs; with 1 much of the photograph's color is left. Equal content errors at other strengths require an
# exponent of 0.9, equal Gram errors 1.4; 1.25 is a compromise here, too.
CURVES = {
    (EMBEDDED, "gram"): Curve(5.0, 2.0),
    ("vgg", "gram"): Curve(1.0, 1.25),
    (EMBEDDED, "w2"): Curve(0.6, 2.0),
    ("vgg", "w2"): Curve(3.0, 1.25),
}


def style_weight(config: StyleConfig, network: Network) -> float:
    """Return the style weight of a run: that of the configuration or, if it has none, that of its strength.

    Parameters
    ----------
    config : StyleConfig
        The settings, which have either a `style_weight` or a `strength`.
    network : Network
        The network. There are curves for the network that is included and for VGG-19; all networks with the numbers of
        channels of the published VGG networks have the curve of VGG-19.

    Returns
    -------
    float
        The style weight. Without a curve only that of strength 0.5 is known: it is `default_weight`.

    Raises
    ------
    HandstyleError
        If there is no curve, and the strength is not 0.5.

    Examples
    --------
    >>> from handstyle import load_network
    >>> network = load_network()
    >>> [style_weight(StyleConfig(strength=s), network) for s in (0, 0.5, 0.75)]
    [0.0, 5.0, 45.0]
    >>> style_weight(StyleConfig(style_weight=3), network)
    3.0
    """
    if config.style_weight is not None:
        return config.style_weight
    assert config.strength is not None
    loss = _loss_name(config)
    if curve := CURVES.get((curve_name(network), loss)):
        return curve.style_weight(config.strength)
    if config.strength == STRENGTH:
        return default_weight(config)
    raise HandstyleError(
        f"strength={config.strength:g}: not calibrated for this {'network' if loss else 'loss'}; give `style_weight` "
        "instead"
    )


def _loss_name(config: StyleConfig) -> str:
    """Return the name in `LOSSES` of the loss of a configuration, or an empty string if it is not calibrated."""
    own = config.style_statistic, config.style_normalization, config.content_normalization
    return next((name for name, loss in LOSSES.items() if loss == own and not config.normalize_gradients), "")


def default_weight(config: StyleConfig) -> float:
    """Return the style weight of strength 0.5 for a loss or a network without a calibrated curve.

    Examples
    --------
    >>> default_weight(StyleConfig()), default_weight(StyleConfig(style_statistic="patches"))
    (10.0, 2.0)
    """
    return DEFAULT_WEIGHTS.get(_loss_name(config) or config.style_statistic, DEFAULT_WEIGHT)


def with_style_weight(config: StyleConfig, network: Network) -> StyleConfig:
    """Return a configuration whose `style_weight` is set to that of its strength on a network.

    Examples
    --------
    >>> from handstyle.network.vgg import WIDTHS, build_network, random_weights
    >>> network = build_network(random_weights(widths=WIDTHS, deepest="conv1_1"))
    >>> config = with_style_weight(StyleConfig(strength=0.5), network)
    >>> config.style_weight, config.strength
    (1.0, None)
    """
    return style_config(config, style_weight=style_weight(config, network))


def describe_strength(config: StyleConfig, network: Network) -> str:
    """Return a description of a run's strength and style weight, for the user.

    Examples
    --------
    >>> from handstyle.network.vgg import WIDTHS, build_network, random_weights
    >>> describe_strength(StyleConfig(strength=0.5), build_network(random_weights(widths=WIDTHS, deepest="conv1_1")))
    'strength 0.5 (style weight 1)'
    """
    weight = style_weight(config, network)
    said = f"style weight {weight:.3g}"
    return said if config.style_weight is not None else f"strength {config.strength:g} ({said})"


def curve_name(network: Network) -> str:
    """Return the name in `CURVES` of the curve of a network, or an empty string if it has none.

    Examples
    --------
    >>> from handstyle.network.vgg import WIDTHS, build_network, random_weights
    >>> curve_name(build_network(random_weights(widths=WIDTHS, deepest="conv1_1")))  # as wide as VGG-19
    'vgg'
    >>> curve_name(build_network(random_weights()))
    ''
    """
    if is_published(network):
        return "vgg"
    return EMBEDDED if network.origin is not None and network.origin.sha256 == _embedded_digest() else ""


@cache
def _embedded_digest() -> str:
    """Return the digest of the weights of the network that is included in the package."""
    return "".join(hdf5_read(EMBEDDED_FILE, lambda file: hdf5_text(file, "tensors_sha256"), trusted=True))
