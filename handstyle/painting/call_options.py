"""What is given to `stylize`, `texture` and `reconstruct`, and what is made of it: network, settings, paintings."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import PictureLike
from handstyle.network.vgg import Network
from handstyle.network.weights import EMBEDDED
from handstyle.painting.arguments import convert_options
from handstyle.painting.config import StyleConfig, style_config
from handstyle.painting.inputs import expand_folders
from handstyle.painting.load import fit_network, load_network
from handstyle.painting.presets import Preset, find_preset

P = ParamSpec("P")
R = TypeVar("R")


def options_by_name(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that a call with too many positional arguments raises an error with advice.

    Examples
    --------
    >>> @options_by_name
    ... def paint(content, style, **options):
    ...     return options
    >>> try:
    ...     paint("a.jpg", "b.jpg", 256)
    ... except HandstyleError as error:
    ...     print(str(error).split(":")[0:2])
    ['paint', ' 3 arguments without a name, for content and style']
    """
    names = function.__code__.co_varnames[: function.__code__.co_argcount]

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        if len(args) > len(names):
            raise HandstyleError(
                f"{function.__name__}: {len(args)} arguments without a name, for {' and '.join(names)}: give several "
                "pictures as one list, [first, second], and settings by name, such as size=256"
            )
        return function(*args, **kwargs)

    return called


def network_argument(network: Any, options: dict[str, Any]) -> Any:
    """Return the network that was given as the argument `network` or as its alias ``weights`` in the options.

    Examples
    --------
    >>> options = {"weights": "vgg19", "size": 256}
    >>> network_argument(None, options), options
    ('vgg19', {'size': 256})
    """
    weights = options.pop("weights", None)
    if weights is not None and network is not None:
        raise HandstyleError("network and weights: give one of them")
    return network if weights is None else weights


def choose_settings(
    config: StyleConfig | Mapping[str, Any] | None, preset: str | None, options: Mapping[str, Any]
) -> tuple[Preset | None, StyleConfig]:
    """Return the preset that was named, or None, and the settings: those of preset or config, changed by options.

    Examples
    --------
    >>> choose_settings({"size": 256}, None, {"seed": 7})
    (None, StyleConfig(size=256, seed=7))
    >>> chosen, config = choose_settings(None, "gatys", {"size": 256})
    >>> chosen.name, config.size
    ('gatys', 256)
    """
    options = convert_options(options)
    config = convert_options(config) if isinstance(config, Mapping) else config
    if preset is None:
        return None, style_config(config, **options)
    if config is not None:
        raise HandstyleError("config and preset: give one of them, and settings that differ as keyword arguments")
    chosen = find_preset(preset)
    return chosen, style_config(chosen.settings, **options)


def as_network(network: Network | str | os.PathLike[str] | None, chosen: Preset | None) -> tuple[Network, list[str]]:
    """Return a network, loaded if necessary and changed as a preset requires, and notes on these changes.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> as_network(network, None)[0] is network
    True
    >>> network, notes = as_network(network, find_preset("neural-style"))
    >>> next(layer.rounding for layer in network.layers if layer.name == "pool1")
    'up'
    """
    if network is None or isinstance(network, str | os.PathLike):
        network = load_network(EMBEDDED if network is None else network)
    if not isinstance(network, Network):
        raise HandstyleError(f"network={type(network).__name__}: give a Network, the name of one, or a weight file")
    return (network, []) if chosen is None else fit_network(network, chosen)


def collect_styles(styles: Sequence[PictureLike], config: StyleConfig) -> tuple[list[PictureLike], StyleConfig]:
    """Return the list of all paintings, including those given by `style_region` as COLOR=PAINTING.

    Folders are replaced by their pictures. In the returned configuration `style_region` has the colors only.

    Raises
    ------
    HandstyleError
        If the settings do not fit the number of paintings.

    Examples
    --------
    >>> config = StyleConfig(regions="map.png", style_region=("red=a.jpg", "blue=b.jpg"))
    >>> styles, config = collect_styles([], config)
    >>> styles, config.style_region
    (['a.jpg', 'b.jpg'], ('red', 'blue'))
    """
    sources, entries = expand_folders(styles), [entry.partition("=") for entry in config.style_region]
    if any(sign for _, sign, _ in entries):
        entries.sort(key=lambda entry: bool(entry[1]))  # the named paintings come last, as they stand
        sources += [path for _, sign, path in entries if sign]
        config = replace(config, style_region=tuple(region.strip() for region, _, _ in entries))
    config.check_styles(len(sources))
    return sources, config
