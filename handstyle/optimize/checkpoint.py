"""Write and read checkpoints: an optimizer's whole state in one file.

The file is in NumPy's format ``.npz``. It holds the arrays as they are, and everything else as JSON, in which Python
writes a float so that it is read back bit for bit. Names, shapes and types are checked before any of it is used.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.mapped import is_mapped
from handstyle.optimize.checkpoint_archive import FACTS, HOST, ArrayShape, check_arrays, check_facts, read_archive


def write_checkpoint(path: Path, method: str, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically, and flush it to the disk; see `replace_file`.

    Parameters
    ----------
    path : Path
        The file, which is replaced as a whole or not at all.
    method : str
        The name of the optimizer, which `read_checkpoint` compares with that of the run that resumes.
    arrays : mapping of str to array
        The arrays of the state, of any backend.
    facts : mapping of str to any JSON value
        The rest of the state: numbers, texts and lists.

    Raises
    ------
    HandstyleError
        If the file cannot be written; an older checkpoint then stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run.npz"
    >>> write_checkpoint(path, "plain descent", {"v": np.zeros(3)}, {"step": 7})
    >>> read_facts(path)
    {'method': 'plain descent', 'step': 7}
    >>> folder.cleanup()
    """
    text = json.dumps({"method": method, **facts})
    host = {key: to_numpy(value) for key, value in arrays.items()} | {FACTS: np.array(text)}
    replace_file(Path(path), lambda file: np.savez(file, **host))  # type: ignore[arg-type]


def read_checkpoint(
    path: Path, method: str, like: Array, shapes: Mapping[str, ArrayShape], kinds: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a checkpoint, and check that it fits the optimizer and the picture.

    Parameters
    ----------
    path : Path
        The file.
    method : str
        The name of the optimizer that will resume.
    like : (n,) array
        The start of the run. The arrays must have its dtype, and are moved to its device; but arrays whose name
        begins with ``host_`` are float64 and stay on the host. If it is in a file that is mapped into memory, large
        arrays are not read: those returned are read-only and mapped from the checkpoint.
    shapes : mapping of str to shape
        The shapes of the arrays that the optimizer needs, by name, besides ``v``, which has the shape of `like`.
    kinds : mapping of str to type
        The types of the other values that the optimizer needs, by name; see `has_type`.

    Returns
    -------
    arrays : dict of str to array
    facts : dict
        All values of the checkpoint that are not arrays.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is not a checkpoint of this optimizer, or is of a picture of another size or dtype.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name) / "run.npz"
    >>> write_checkpoint(path, "plain descent", {"v": np.ones(3)}, {"step": 7})
    >>> arrays, facts = read_checkpoint(path, "plain descent", like=np.zeros(3), shapes={}, kinds={"step": int})
    >>> arrays["v"], facts["step"]
    (array([1., 1., 1.]), 7)
    >>> folder.cleanup()
    """
    arrays, facts = read_archive(path, everything=True, files=is_mapped(like))
    if (found := facts.get("method")) != method:
        raise HandstyleError(f"{path}: the checkpoint of a run with {str(found)[:40]}; this run uses {method}")
    shapes = {"v": like.shape, **shapes}
    check_arrays(path, method, arrays, shapes, like.dtype)
    check_facts(path, facts, kinds)
    xp = namespace(like)
    stay = {name for name in arrays if name.startswith(HOST) or is_mapped(arrays[name])}
    return {name: arrays[name] if name in stay else xp.asarray(arrays[name]) for name in shapes}, facts


def read_facts(path: Path) -> dict[str, Any]:
    """Return the values of a checkpoint that are not arrays: ``method``, ``run`` and those of the optimizer.

    Raises
    ------
    HandstyleError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "out.checkpoint")
    ...     _ = path.write_text("no checkpoint")
    ...     try:
    ...         read_facts(path)
    ...     except HandstyleError as error:
    ...         print(str(error).split(": ")[-1])
    the checkpoint is damaged (File is not a zip file)
    """
    return read_archive(path, everything=False)[1]
