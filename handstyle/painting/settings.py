"""Read settings files, and write the settings of a run as TOML."""

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from handstyle.foundations.errors import HandstyleError, printable
from handstyle.painting.config import StyleConfig
from handstyle.painting.recipe import is_picture, parse_recipe, read_recipe, settings_text, toml_value
from handstyle.painting.setting_values import field_types, suggest


def read_settings(
    path: str | os.PathLike[str],
    known: Iterable[str],
    refused: Iterable[str] = (),
    fixed: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    r"""Read a settings file, and check its keys.

    Parameters
    ----------
    path : path
        A TOML file without tables, a picture painted by this program, or a TOML file of its recipe.
    known : iterable of str
        The keys that are accepted.
    refused : iterable of str
        Keys that are allowed only on the command line, because they would write or replace files or open a page.
    fixed : callable, optional
        Called with the file's settings; returns the settings that cannot be changed by the caller's command. A key with
        the same value is accepted and left out; with another value it is an error.

    Returns
    -------
    dict of str to value
        The settings. The types of their values have not been checked.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is not TOML, or has a key that is unknown or not allowed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "settings.toml")
    ...     _ = path.write_text('size = 256\noptimizer = "adam"\n')
    ...     read_settings(path, known=["size", "optimizer"])
    {'size': 256, 'optimizer': 'adam'}
    """
    if is_picture(path):
        found = read_recipe(path).settings
    else:
        text = settings_text(path)
        try:
            found = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # of TOML, of integers of thousands of digits
            raise HandstyleError(f"settings file {path} is not TOML: {' '.join(str(error).split())}") from None
        if "recipe" in found:
            found = parse_recipe(text, printable(path)).settings
    known, obeyed = tuple(known), {}
    own = fixed(found) if fixed else {}
    for key, value in found.items():
        if isinstance(value, dict):
            raise HandstyleError(f"settings file {path}: [{key}] is a table; write its keys without one")
        if key in tuple(refused):
            raise HandstyleError(f"settings file {path}: {key} is allowed only on the command line")
        if key in known:
            obeyed[key] = value
        elif key not in own:
            raise HandstyleError(f"settings file {path}: no setting is called {printable(key)}{suggest(key, known)}")
        elif own[key] != (tuple(value) if isinstance(value, list) else value):
            value = "" if own[key] is None else f", and is {own[key]!r}"
            raise HandstyleError(f"settings file {path}: {key} cannot be chosen here{value}: remove it")
    if obeyed.get("print"):  # a file that a program wrote has every setting: also the size, which the print replaces
        obeyed.pop("size", None)
    return obeyed


def settings_toml(config: StyleConfig, others: Mapping[str, Any], names: Iterable[str] | None = None) -> str:
    """Return settings as TOML: first `others`, then the fields of the configuration, or only those in `names`.

    Examples
    --------
    >>> print(settings_toml(StyleConfig(size=256), {"weights": "vgg19"}, ["size", "seed"]), end="")
    weights = "vgg19"
    size = 256
    seed = 0
    """
    wanted = set(names or field_types(StyleConfig))
    pairs = {**others, **{name: value for name, value in config.in_use().items() if name in wanted}}
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in pairs.items())
