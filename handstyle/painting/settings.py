"""Settings in a file: every option of a run as TOML, read and written."""

import difflib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from handstyle.foundations.errors import HandstyleError
from handstyle.painting.config import StyleConfig
from handstyle.painting.presets import Preset


def read_settings(path: str | os.PathLike[str], others: Iterable[str] = ()) -> dict[str, Any]:
    """Read a file of settings.

    Parameters
    ----------
    path : path
        A TOML file whose keys are fields of `StyleConfig` or names in `others`, without tables.
    others : iterable of str
        Further keys that are welcome, such as ``weights``.

    Returns
    -------
    dict of str to value
        As they stand; their types are checked where they are used.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is no TOML, or has a key that nothing here is called.
    """
    try:
        with open(path, "rb") as file:
            found = tomllib.load(file)
    except OSError as error:
        raise HandstyleError(f"--config {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HandstyleError(f"--config {path} is no TOML: {' '.join(str(error).split())}") from None
    known = [*(field.name for field in fields(StyleConfig)), *others]
    for key, value in found.items():
        if isinstance(value, dict):
            raise HandstyleError(f"--config {path}: [{key}] is a table; write its keys without one")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            raise HandstyleError(f"--config {path}: no setting is called {key}" + (f"; {near[0]}?" if near else ""))
    return found


def settings_toml(config: StyleConfig, others: Mapping[str, Any]) -> str:
    """Return a run's settings as TOML: every field of the configuration, after `others`."""
    pairs = {**others, **{field.name: getattr(config, field.name) for field in fields(config)}}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in pairs.items())


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def preset_settings(chosen: Preset) -> dict[str, Any]:
    """Return what a preset sets, by the names of the flags: for the run and for the network."""
    network = {"pooling": chosen.pooling, "padding": chosen.padding, "rounding": chosen.rounding}
    return {**chosen.settings, **network}
