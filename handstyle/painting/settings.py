"""Settings as TOML: a file of them read, a run's written."""

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from handstyle.foundations.errors import HandstyleError, printable
from handstyle.painting.config import StyleConfig, hints, nearest
from handstyle.painting.recipe import is_picture, parse_recipe, read_recipe, settings_text, toml_value


def read_settings(
    path: str | os.PathLike[str],
    known: Iterable[str],
    refused: Iterable[str] = (),
    fixed: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Read a file of settings.

    Parameters
    ----------
    path : path
        A TOML file without tables, a picture that this program painted, or a file of its recipe.
    known : iterable of str
        The keys that can be obeyed.
    refused : iterable of str
        Keys that would write or replace files or open a page, which a file of settings must not ask for.
    fixed : callable, optional
        From what stands in the file to the settings that are not for the user to choose here: a key that asks for just
        that is obeyed, and left out of what is returned.

    Returns
    -------
    dict of str to value
        As they stand; their types are checked where they are used.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is no TOML, or has a key that cannot be obeyed.
    """
    if is_picture(path):
        found = read_recipe(path).settings
    else:
        text = settings_text(path)
        try:
            found = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # of TOML, of integers of thousands of digits
            raise HandstyleError(f"settings file {path} is no TOML: {' '.join(str(error).split())}") from None
        if "recipe" in found:
            found = parse_recipe(text, printable(path)).settings
    known, obeyed = tuple(known), {}
    own = fixed(found) if fixed else {}
    for key, value in found.items():
        if isinstance(value, dict):
            raise HandstyleError(f"settings file {path}: [{key}] is a table; write its keys without one")
        if key in tuple(refused):
            raise HandstyleError(f"settings file {path}: {key} is for the command line alone")
        if key in known:
            obeyed[key] = value
        elif key not in own:
            raise HandstyleError(f"settings file {path}: no setting is called {printable(key)}{nearest(key, known)}")
        elif own[key] != (tuple(value) if isinstance(value, list) else value):
            raise HandstyleError(f"settings file {path}: {key} cannot be chosen here, and is {own[key]!r}: remove it")
    return obeyed


def settings_toml(config: StyleConfig, others: Mapping[str, Any], names: Iterable[str] | None = None) -> str:
    """Return a run's settings as TOML: the fields of the configuration, or those in `names`, after `others`."""
    wanted = set(names or hints(StyleConfig))
    pairs = {**others, **{name: getattr(config, name) for name in hints(StyleConfig) if name in wanted}}
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in pairs.items())
