"""Convert the loss weights of one preset to the normalizations of another.

If two systems compute the same distance and divide it by different numbers, their weights differ by a factor that
depends on the layer's channels and positions and on the picture's size. If they compute different distances there is no
such factor, and the row has a note instead.
"""

from typing import Literal, NamedTuple

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network, summary
from handstyle.painting.normalizations import CONTENT, STYLE, VARIATIONS, Factor, Place, carry_over, variation_factor
from handstyle.painting.presets import Preset
from handstyle.painting.strength import style_weight

Choice = tuple[float, str, str]  # a weight, the statistic, its normalization


class EquivalentWeight(NamedTuple):
    """A weight of one preset, and the equivalent weight for the normalization of another preset.

    Parameters
    ----------
    term : str
        The kind of the term, and its layer.
    weight : float
        The weight of the first preset at this layer.
    equivalent : float or None
        The weight that gives the same term with the normalization of the second preset.
    own : float or None
        The weight of the second preset at this layer.
    note : str
        The reason, if there is no equivalent.

    Examples
    --------
    >>> row = EquivalentWeight("content relu4_2", weight=5e-07, equivalent=0.131072, own=5.0)
    >>> round(row.own / row.equivalent)  # the second preset has 38 times the weight on content
    38
    """

    term: str
    weight: float
    equivalent: float | None
    own: float | None
    note: str = ""


def equivalent_weights(a: Preset, b: Preset, network: Network, height: int, width: int) -> list[EquivalentWeight]:
    """Convert the weights of preset `a` to the normalizations of preset `b`.

    Parameters
    ----------
    a, b : Preset
        The presets to convert from and to.
    network : Network
        The network, whose numbers of channels and positions are in the factors.
    height, width : int
        Size of the picture in pixels.

    Returns
    -------
    list of EquivalentWeight
        One row for each term of `a`. Multiplying all weights of a run by one number does not change its picture.

    Raises
    ------
    HandstyleError
        If the network lacks a layer of the preset.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> from handstyle.painting.presets import find_preset
    >>> network, presets = build_network(random_weights()), (find_preset("gatys"), find_preset("neural-style"))
    >>> equivalent_weights(*presets, network, 512, 512)[0]
    EquivalentWeight(term='content relu4_2', weight=5e-07, equivalent=0.131072, own=5.0, note='')
    """
    shapes = {row.name: row.shape for row in summary(network, height, width)}
    for tap in (*a.config.content_layers, *a.config.style_layers):
        if tap not in shapes:
            raise HandstyleError(f"layer {tap} of the preset is not in this network, which has {', '.join(shapes)}")

    def rows(kind: Literal["content", "style"], table: dict[str, Factor | None]) -> list[EquivalentWeight]:
        of_a, of_b = (_choices(preset, kind, network) for preset in (a, b))
        target = next(iter(of_b.values()), None)
        found = []
        for tap, (weight, statistic, normalization) in of_a.items():
            own = of_b[tap][0] if tap in of_b else None
            h, w, channels = shapes[tap]
            note, equivalent = "", None
            if target is None:
                note = f"the other has no {kind}"
            elif target[1] != statistic:
                note = f"different functions: {statistic} and {target[1]}"
            else:
                at = Place(channels, h * w, height * width)
                equivalent = carry_over(weight, table, normalization, target[2], at)
                note = "" if equivalent is not None else "one is relative: the factor depends on the pictures"
            found.append(EquivalentWeight(f"{kind} {tap}", weight, equivalent, own, note))
        return found

    return [*rows("content", CONTENT), *rows("style", STYLE), *_variation(a, b)]


def _choices(preset: Preset, kind: Literal["content", "style"], network: Network) -> dict[str, Choice]:
    c, style = preset.config, kind == "style"
    statistic = "normalized gradients" if c.normalize_gradients else c.style_statistic if style else "features"
    weight, normalization = style_weight(c, network) if style else c.content_weight, getattr(c, f"{kind}_normalization")
    shares = c.layer_weights(kind) if weight else {}
    return {tap: (weight * share, statistic, normalization) for tap, share in shares.items()}


def _variation(a: Preset, b: Preset) -> list[EquivalentWeight]:
    c, d = a.config, b.config
    if not c.tv_weight:
        return []
    note, carried = "", None
    if not d.tv_weight:
        note = "the other has no total variation"
    elif VARIATIONS[c.tv].variation is not VARIATIONS[d.tv].variation:
        note = f"different functions: {c.tv} and {d.tv}"
    else:
        carried = c.tv_weight * variation_factor(c.tv, c.tv_white) / variation_factor(d.tv, d.tv_white)
    return [EquivalentWeight("total variation", c.tv_weight, carried, d.tv_weight or None, note)]
