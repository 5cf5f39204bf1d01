"""Settings as TOML: a file of them read, a run's written."""

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from handstyle.foundations.errors import HandstyleError
from handstyle.painting.config import StyleConfig, hints, nearest

MAX_BYTES = 1 << 20  # of a file of settings


def read_settings(path: str | os.PathLike[str], known: Iterable[str], refused: Iterable[str] = ()) -> dict[str, Any]:
    """Read a file of settings.

    Parameters
    ----------
    path : path
        A TOML file without tables.
    known : iterable of str
        The keys that can be obeyed.
    refused : iterable of str
        Keys that would write or replace files, which a file of settings must not ask for.

    Returns
    -------
    dict of str to value
        As they stand; their types are checked where they are used.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is no TOML, or has a key that cannot be obeyed.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise HandstyleError(f"settings file {path}: {error.strerror or error}") from None
    if len(text) > MAX_BYTES:
        raise HandstyleError(f"settings file {path}: larger than 1 MiB, which no settings are")
    try:
        found = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # of Unicode, of TOML, of integers of thousands of digits
        raise HandstyleError(f"settings file {path} is no TOML: {' '.join(str(error).split())}") from None
    known = tuple(known)
    for key, value in found.items():
        if isinstance(value, dict):
            raise HandstyleError(f"settings file {path}: [{key}] is a table; write its keys without one")
        if key in tuple(refused):
            raise HandstyleError(
                f"settings file {path}: {key} names or replaces a file, which only the command line may ask for"
            )
        if key not in known:
            raise HandstyleError(f"settings file {path}: no setting is called {key}{nearest(key, known)}")
    return found


def settings_toml(config: StyleConfig, others: Mapping[str, Any], names: Iterable[str] | None = None) -> str:
    """Return a run's settings as TOML: the fields of the configuration, or those in `names`, after `others`."""
    wanted = set(names or hints(StyleConfig))
    pairs = {**others, **{name: getattr(config, name) for name in hints(StyleConfig) if name in wanted}}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in pairs.items())


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
