"""Checkpoints: an optimizer's whole state in one file.

The file is NumPy's ``.npz``: the arrays unchanged, and everything else as JSON, in which Python writes a float so that
it reads back bit for bit. It contains no pickle, so opening a stranger's file runs no code.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError

FACTS = "facts"  # the entry that holds the JSON


def write_checkpoint(path: Path, method: str, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically: a temporary file in the same folder, then a rename.

    Parameters
    ----------
    path : Path
        The file, which is replaced as a whole or not at all.
    method : str
        The name of the optimizer; `read_checkpoint` compares it.
    arrays : mapping of str to array
        The state's arrays, of any backend.
    facts : mapping of str to any JSON value
        The rest of the state.
    """
    path = Path(path)
    text = json.dumps({"method": method, **facts})
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            host = {key: to_numpy(value) for key, value in arrays.items()}
            np.savez(stream, **(host | {FACTS: np.array(text)}))  # type: ignore[arg-type]
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_checkpoint(path: Path, method: str, like: Array) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint that `write_checkpoint` wrote.

    Parameters
    ----------
    path : Path
        The file.
    method : str
        The name of the optimizer that will resume.
    like : array
        The start of the run: the state's vectors must have its shape and dtype, and are moved to its device.

    Returns
    -------
    arrays : dict of str to array
    facts : dict

    Raises
    ------
    HandstyleError
        If the file cannot be read, belongs to another optimizer, or to a picture of another size or dtype.
    """
    arrays, facts = _stored(path, everything=True)
    if facts.get("method") != method:
        raise HandstyleError(f"{path}: the state of {facts.get('method')}, but {method} was asked to go on")
    v = arrays["v"]
    if v.shape != like.shape or v.dtype != like.dtype:
        raise HandstyleError(
            f"{path}: a picture of {v.size} values of {v.dtype}, but this run has {like.size} of {like.dtype}"
        )
    xp = namespace(like)
    return {key: value if key.startswith("host_") else xp.asarray(value) for key, value in arrays.items()}, facts


def read_facts(path: Path) -> dict[str, Any]:
    """Return a checkpoint's facts without its arrays: ``method``, ``run`` and the optimizer's own.

    Raises
    ------
    HandstyleError
        If the file cannot be read.
    """
    return _stored(path, everything=False)[1]


def _stored(path: Path, everything: bool) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files if everything and key != FACTS}
            facts: dict[str, Any] = json.loads(str(stored[FACTS]))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise HandstyleError(f"{path}: not a checkpoint of this program ({error})") from None
    except Exception as error:  # zipfile's errors share no base class with the above
        raise HandstyleError(f"{path}: the checkpoint is damaged ({error})") from None
    return arrays, facts
