"""The values of settings: from text, TOML and Python to the type of a field, within its range, or an error.

Every setting is obeyed or refused by name: a value that cannot be converted without loss, a number out of its range and
an unknown name are errors that say what would do.
"""

import difflib
import math
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import MIN_SIDE
from handstyle.foundations.picture_paths import expand_path

# Names of fields in earlier versions, and their present names, which the error about an old name in a settings file or
# a flag contains.
RENAMED = {
    "levelled": "normalize_gradients",
    "smallest": "pyramid_min_size",
    "scale_factor": "pyramid_factor",
    "rounds": "restarts",
    "rate": "learning_rate",
    "rate_schedule": "learning_rate_schedule",
    "memory": "lbfgs_history",
    "hold_weight": "unmasked_weight",
    "mask_semantics": "mask_mode",
    "content_normalisation": "content_normalization",
    "style_normalisation": "style_normalization",
}
MINIMUM = {"size": MIN_SIDE, "mask_dilate": -10000}  # regions may shrink
MINIMUM |= dict.fromkeys(("iterations", "lbfgs_history", "patch_size", "patch_stride"), 1)
MAXIMUM = {"strength": 1, "init_noise": 1, "precondition": 2}
ARRAYS = "handstyle-arrays-"  # start of the name of the folder for arrays that were passed in Python
PATHS = ("mask", "style_mask")  # fields of paths, which may contain commas
_SINGULAR = {bool: "True or False", int: "a whole number", float: "a number"}  # otherwise it is text or a path
_PLURAL = {int: "whole numbers", float: "numbers", str: "names"}


def suggest(name: str, known: Sequence[str]) -> str:
    """Return the end of the error message for an unknown name, which suggests one or lists the known names.

    It names the new name of a renamed setting, or the most similar known name, or all known names if they are few.

    Examples
    --------
    >>> suggest("smallest", ["pyramid_min_size"]), suggest("sice", ["size", "seed"])
    (': it is now called pyramid_min_size', ': did you mean size?')
    """
    if RENAMED.get(name) in known:
        return f": it is now called {RENAMED[name]}"
    near = difflib.get_close_matches(name, known, 1)
    return f": did you mean {near[0]}?" if near else f": use {', '.join(known)}" if len(known) < 25 else ""


def check_names(names: Iterable[Any], known: Sequence[str]) -> None:
    """Raise `HandstyleError` if a name is not that of a setting.

    Examples
    --------
    >>> try:
    ...     check_names(["sice"], ["size", "seed"])
    ... except HandstyleError as error:
    ...     print(error)
    no setting is called sice: did you mean size?
    """
    for name in names:
        if not isinstance(name, str):
            raise HandstyleError(f"config: {name!r} is not the name of a setting")
        if name not in known:
            raise HandstyleError(f"no setting is called {name}{suggest(name, known)}")


@cache
def field_types(group: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields by name, in the order of the fields.

    Examples
    --------
    >>> from handstyle.painting.config import SizeConfig
    >>> field_types(SizeConfig)["size"]
    <class 'int'>
    """
    found = get_type_hints(group)
    return {field.name: found[field.name] for field in fields(group)}


def literal_values(hint: Any) -> tuple[str, ...]:
    """Return the values of a ``Literal`` type, or an empty tuple for other types.

    Examples
    --------
    >>> literal_values(Literal["max", "average"]), literal_values(int)
    (('max', 'average'), ())
    """
    return get_args(hint) if get_origin(hint) is Literal else ()


def split_optional(hint: Any) -> tuple[Any, bool]:
    """Return the type X of an annotation ``X | None`` or ``X``, and whether it allows None.

    Examples
    --------
    >>> split_optional(float | None), split_optional(float)
    ((<class 'float'>, True), (<class 'float'>, False))
    """
    kinds = [kind for kind in get_args(hint) if kind is not types.NoneType]
    union = isinstance(hint, types.UnionType)
    return (kinds[0], len(kinds) < len(get_args(hint))) if union and len(kinds) == 1 else (hint, False)


def coerce(name: str, hint: Any, value: Any, typed: bool = False) -> Any:
    """Convert a value to the type of a field if nothing is lost, for instance ``"relu1_1"`` to a tuple of one layer.

    A value that was typed on the command line is text, or a tuple of texts.

    Raises
    ------
    HandstyleError
        If it cannot be converted; the message names the parameter.

    Examples
    --------
    >>> coerce("style_layers", tuple[str, ...], "relu1_1,relu2_1"), coerce("tv_weight", float, 1)
    (('relu1_1', 'relu2_1'), 1.0)
    >>> try:
    ...     coerce("size", int, 512.5)
    ... except HandstyleError as error:
    ...     print(error)
    size=512.5: must be a whole number
    """
    hint, may_be_none = split_optional(hint)
    if value is None and may_be_none:
        return None
    if get_origin(hint) is tuple:
        one = get_args(hint)[0]
        if typed:
            value = [part for text in value for part in split_list(name, text)]
        elif isinstance(value, str | os.PathLike):
            value = split_list(name, os.fspath(value))
        elif isinstance(value, Real):
            value = [value]
        elif isinstance(value, np.ndarray) and value.ndim == 0:
            value = [value.item()]
        if isinstance(value, Mapping) or not isinstance(value, Iterable):
            raise HandstyleError(f"{name}={shown(value)}: give {_PLURAL[one]}")
        return tuple(coerce(name, one, each, typed) for each in value)
    if typed and hint in (int, float) and len(value) < 400:
        with suppress(ValueError):
            value = hint(value)
    if allowed := literal_values(hint):
        if not (isinstance(value, str) and value in allowed):
            near = difflib.get_close_matches(str(value), allowed, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise HandstyleError(f"{name}={shown(value)}: use {', '.join(allowed)}{meant}")
        return value
    if hint is bool and isinstance(value, bool | np.bool_):
        return bool(value)
    if hint is int and isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if hint is float and isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:  # an integer of hundreds of digits
            raise HandstyleError(f"{name} is too large for a number") from None
    if hint in (str, Path) and isinstance(value, str | os.PathLike):
        return os.fspath(value) if hint is str else expand_path(value)
    if name == "style_region" and isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    raise HandstyleError(f"{name}={shown(value)}: must be {_SINGULAR.get(hint, 'text or a path')}")


def check_range(name: str, value: Any, hint: Any) -> None:
    """Raise `HandstyleError` if a number is outside the range of its field.

    Examples
    --------
    >>> try:
    ...     check_range("strength", 1.5, float)
    ... except HandstyleError as error:
    ...     print(error)
    strength=1.5: must lie between 0 and 1
    """
    numbers = value if isinstance(value, tuple) else () if value is None else (value,)
    if name.endswith(("_weight", "_weights")) and any(not (math.isfinite(n) and n >= 0) for n in numbers):
        raise HandstyleError(f"{name}={value}: a weight is a number of 0 or more")
    if any(isinstance(n, float) and not math.isfinite(n) for n in numbers):
        raise HandstyleError(f"{name}={value}: must be finite")
    if name in MAXIMUM and value is not None and not 0 <= value <= MAXIMUM[name]:
        raise HandstyleError(f"{name}={value}: must lie between 0 and {MAXIMUM[name]}")
    if name in ("tv_white", "style_scale", "pyramid_factor", "learning_rate", "epsilon") and not value > 0:
        raise HandstyleError(f"{name}={value}: must be above 0")
    if hint in (int, float) and value < (least := MINIMUM.get(name, 0)):
        raise HandstyleError(f"{name}={value}: must be {least} or more")
    if name == "tv_white" and not 1e-6 <= value <= 1e6:  # its powers must not overflow
        raise HandstyleError(f"tv_white={value}: must lie between 1e-6 and 1e6; white is 255, or 1")
    if name in ("beta1", "beta2", "averaging") and not 0 <= value < 1:
        raise HandstyleError(f"{name}={value}: must lie between 0 and 1")


def split_list(name: str, text: str) -> list[str]:
    """Split a text into a list of values at its commas, unless the values themselves may contain commas, as paths do.

    Examples
    --------
    >>> split_list("style_layers", "relu1_1, relu2_1"), split_list("mask", "sky, at night.png")
    (['relu1_1', 'relu2_1'], ['sky, at night.png'])
    """
    single = name in PATHS or name == "style_at" or (name == "style_region" and ("=" in text or "(" in text))
    return [part.strip() for part in ([text] if single else text.split(",")) if part.strip()]


def shown(value: Any) -> str:
    """Return a value as an error message shows it: an array or an object by its type.

    Examples
    --------
    >>> shown("adam"), shown(np.zeros((2, 3)))
    ("'adam'", 'ndarray of shape (2, 3)')
    """
    if isinstance(value, str | int | float | bool | types.NoneType):
        return repr(value)
    shape = getattr(value, "shape", None)
    return f"{type(value).__name__} of shape {shape}" if shape is not None else type(value).__name__
