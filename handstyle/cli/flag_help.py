"""The help of flags: their headings, those in the short help, and the text of each."""

import inspect
import re
from typing import Any

from handstyle.painting.setting_values import literal_values

HELP_GROUPS = {  # the heading of each configuration's fields, in the order of the help
    "LookConfig": "Look",
    "LossConfig": "Look",
    "RegionConfig": "Regions",
    "ColorConfig": "Color",
    "SizeConfig": "Size",
    "PyramidConfig": "Size",
    "OptimizerConfig": "Optimizer",
    "NetworkConfig": "Network",
    "RunConfig": "Output",
}
# The flags of the short help; --help-all shows all.
SHORT_HELP = {
    *("preset", "strength", "style_weight", "content_weight", "tv_weight", "style_layers", "init"),
    *("mask", "style_mask", "style_blend", "color"),
    *("size", "print", "style_size", "pyramid_min_size", "iterations", "optimizer"),
    *("weights", "backend", "overwrite", "save_every", "config", "write_config", "preview", "quiet"),
}


def parameter_descriptions(one: type) -> dict[str, str]:
    """Return the description of each parameter in a numpydoc docstring.

    Examples
    --------
    >>> from handstyle.painting.config import SizeConfig
    >>> parameter_descriptions(SizeConfig)["enlarge"]
    'Enlarge a photograph that is smaller than the output.'
    """
    body = inspect.cleandoc(one.__doc__ or "").split("----------\n", 1)[-1]
    pairs = re.findall(r"^(\w+) : .*\n((?:    .*\n?|\n(?=    ))+)", body + "\n", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in pairs}


def help_text(text: str, hint: Any, default: Any, everything: bool) -> str:
    """Return the help of a flag: the first sentence of its description, or all of it, its choices and its default.

    Examples
    --------
    >>> help_text("The size in pixels. Smaller ones are enlarged.", int, 512, everything=False)
    'The size in pixels. [512]'
    """
    said = text if everything else re.split(r"(?<=[^.]\.)\s|; |: by default ", text)[0].rstrip(".") + "."
    listed = literal_values(hint)
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    shown = "" if default in (None, "", False) or (default == 0 and "0" in text) else f" [{default}]"
    return f"{said} {' | '.join(listed)}{shown}" if listed else said + shown
