"""Read presets, the settings of published systems, from ``presets.toml``.

A preset is a `StyleConfig` with requirements for the network. Its table in ``presets.toml`` has the same form as a
user's ``--config`` file, and `Preset.updated` applies both. The source of every number is in a comment beside it.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CONVENTIONS, Convention
from handstyle.network.sequence import Convolution, Layer, Pool
from handstyle.network.vgg import ARCHITECTURES, Network
from handstyle.painting.config import StyleConfig, merge_settings
from handstyle.painting.setting_values import coerce, field_types, literal_values

DEFAULT = "handstyle"

# Input conventions of systems that do not use the convention of their weights.
INPUTS = {
    one.name: one
    for one in (
        Convention("rgb-255", "RGB", 255.0, (0.0, 0.0, 0.0)),  # Keras on Theano, 2016
        Convention("caffe-256", "BGR", 256.0, (103.939, 116.779, 123.68)),  # neural_style.lua, preprocess: img:mul(256)
        # gordicaleksa utils.py: IMAGENET_MEAN_255, IMAGENET_STD_NEUTRAL = [1, 1, 1]
        Convention("torchvision-255", "RGB", 255.0, (123.675, 116.28, 103.53)),
    )
}

# The allowed values of the fields of a preset that are not settings of the command line.
REQUIREMENTS = {
    "input": INPUTS,
    "features": ("vgg19", "unit", "any"),
    "architecture": ARCHITECTURES,
    "convention": CONVENTIONS,
}


@dataclass(frozen=True)
class Preset:
    """The settings of a published system, and its requirements for the network.

    Parameters
    ----------
    name : str
        The name of the preset, which is that of its table in ``presets.toml``.
    source : str
        The program, paper or file with these settings.
    settings : dict
        Fields of `StyleConfig` that differ from its defaults.
    architecture, convention : str
        The required network, and the convention of its weights: caffe or torchvision.
    pooling, padding, rounding : str
        See `load_network`. The padding ``first-replicate`` replicates at the first convolution and pads the others
        with zeros.
    input : str
        The input convention of the system: a name in `INPUTS`, or empty for that of the weights.
    features : {"vgg19", "unit", "any"}
        The size of features for which the loss weights were chosen: that of VGG-19, a mean activation of 1, or any.
    looks : str
        A description of its pictures in one line.
    notes : tuple of str
        Sentences on differences between this preset and the system, or between versions of the system.
    aliases : tuple of str
        Other names of the preset.

    Examples
    --------
    >>> find_preset("gatys").pooling
    'average'
    """

    name: str = ""
    source: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    architecture: str = "vgg19"
    convention: str = "caffe"
    pooling: str = "max"
    padding: str = "zero"
    rounding: str = "down"
    input: str = ""
    features: str = "any"
    looks: str = ""
    notes: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    def updated(self, table: Mapping[str, Any]) -> "Preset":
        """Return a copy of this preset with the values of a table: fields of this class or of `StyleConfig`.

        Raises
        ------
        HandstyleError
            If there is no such field, or a value is not allowed for a field of this class.

        Examples
        --------
        >>> changed = find_preset("gatys").updated({"size": 256, "pooling": "max"})
        >>> changed.config.size, changed.pooling
        (256, 'max')
        """
        own = {key: coerce(key, PRESET_FIELDS[key], value) for key, value in table.items() if key in PRESET_FIELDS}
        for key, allowed in REQUIREMENTS.items():
            if own.get(key, "") not in ("", *allowed):
                raise HandstyleError(f"{key}={own[key]!r}: use {', '.join(allowed)}")
        changes = {key: value for key, value in table.items() if key not in PRESET_FIELDS}
        return replace(self, settings=merge_settings(self.settings, changes, field_types(StyleConfig)), **own)

    @property
    def config(self) -> StyleConfig:
        """The settings as a `StyleConfig`.

        Examples
        --------
        >>> find_preset("handstyle").config
        StyleConfig()
        """
        return StyleConfig(**self.settings)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers that can be used with the preset; a line search requires the exact gradient of the value.

        Examples
        --------
        >>> find_preset("neural-style").optimizers  # its gradient of total variation is not that of its value
        ('lbfgs-fixed', 'adam', 'descent')
        """
        plain = {"restarts": 0, "evaluations": 0, "averaging": 0.0, "learning_rate_schedule": "constant"}
        found = []
        for name in literal_values(field_types(StyleConfig)["optimizer"]):
            try:
                self.updated({**plain, "clamp": False, "optimizer": name}).config  # noqa: B018
            except HandstyleError:
                continue
            found.append(name)
        return tuple(found)


PRESET_FIELDS = {name: hint for name, hint in field_types(Preset).items() if name not in ("name", "settings")}


@cache
def _read() -> dict[str, Preset]:
    tables = tomllib.loads((files("handstyle") / "painting" / "presets.toml").read_text(encoding="utf-8"))
    found: dict[str, Preset] = {}
    for name, table in tables.items():
        base = replace(found[table.pop("preset")], aliases=()) if "preset" in table else Preset()
        found[name] = replace(base.updated(table), name=name)
    return found


PRESETS: dict[str, Preset] = _read()


def find_preset(name: str) -> Preset:
    """Return a preset with its settings and its requirements for the network.

    Parameters
    ----------
    name : str
        The name of the preset or one of its aliases, in upper or lower case.

    Returns
    -------
    Preset

    Raises
    ------
    HandstyleError
        If there is no such preset; the message has the most similar name and all names.

    Examples
    --------
    >>> find_preset("jcjohnson").name, find_preset("jcjohnson").rounding
    ('neural-style', 'up')
    """
    aliases = {alias: one.name for one in PRESETS.values() for alias in one.aliases}
    key = str(name).lower()
    if (found := PRESETS.get(aliases.get(key, key))) is None:
        near = difflib.get_close_matches(key, [*PRESETS, *aliases], 1)
        hint = f"did you mean {aliases.get(near[0], near[0])}? There are " if near else "use "
        raise HandstyleError(f"preset={name!r}: no such preset; {hint}{', '.join(PRESETS)}")
    return found


def preset(name: str) -> StyleConfig:
    """Return the settings of a preset.

    Parameters
    ----------
    name : str
        A name in ``presets.toml``, such as ``neural-style``, or an alias, such as ``jcjohnson``.

    Returns
    -------
    StyleConfig
        The settings. `find_preset` returns them together with the requirements for the network, which
        ``stylize(preset=name)`` applies.

    Raises
    ------
    HandstyleError
        If there is no such preset.

    Examples
    --------
    >>> preset("neural-style").style_weight
    100.0
    >>> preset("handstyle") == StyleConfig()
    True
    """
    return find_preset(name).config


def rebuild(network: Network, pooling: str, padding: str, rounding: str) -> Network:
    """Return a network with another pooling, padding and rounding.

    Parameters
    ----------
    network : Network
        Any network. The result has the same weights, input convention and engine.
    pooling, padding, rounding : str
        See `build_network`; the padding may also be ``first-replicate``, see `Preset`.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = rebuild(build_network(random_weights()), "average", "reflect", "down")
    >>> next(layer.kind for layer in network.layers if isinstance(layer, Pool))
    'average'
    """
    first, others = ("replicate", "zero") if padding == "first-replicate" else (padding, padding)

    def changed(layer: Layer) -> Layer:
        if isinstance(layer, Pool):
            return replace(layer, kind=pooling, rounding=rounding)
        if isinstance(layer, Convolution):
            return replace(layer, padding=first if layer.name == "conv1_1" else others)
        return layer

    return replace(network, layers=tuple(map(changed, network.layers)))


def set_input_convention(network: Network, chosen: Preset) -> Network:
    """Return a network with the input convention of a preset, if its weights are of the kind that the preset is for.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights())
    >>> {name: set_input_convention(network, one).convention.name for name, one in PRESETS.items() if one.input}
    {'keras-2016-theano': 'rgb-255', 'neural-style': 'caffe-256', 'aleksa': 'caffe', 'cnnmrf': 'caffe-256'}
    """
    if not chosen.input or network.convention.name != chosen.convention:
        return network
    return replace(network, convention=INPUTS[chosen.input])


def unmet(network: Network, chosen: Preset) -> list[str]:
    """Return a sentence for each requirement of a preset that a network does not meet.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> unmet(build_network(random_weights("vgg16")), find_preset("gatys"))
    ['the preset is for vgg19; this network is a vgg16']
    """
    notes = []
    if network.architecture != chosen.architecture:
        notes.append(f"the preset is for {chosen.architecture}; this network is a {network.architecture}")
    if network.convention.name not in (chosen.convention, chosen.input):
        notes.append(
            f"the preset is for weights in {chosen.convention}'s convention; these are in {network.convention.name}'s, "
            "so features have another scale, and total variation another relative weight"
        )
    return notes
