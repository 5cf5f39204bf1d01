"""Write and read checkpoints: an optimizer's whole state in one file.

The file is in NumPy's format ``.npz``. It holds the arrays as they are, and everything else as JSON, in which Python
writes a float so that it is read back bit for bit. It contains no pickle, so opening a stranger's file runs no code.
Names, shapes and types are checked before any of it is used.
"""

import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array, namespace, to_numpy
from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.foundations.mapped import is_large, is_mapped, split_pieces

FACTS = "facts"  # the array that holds the JSON text; "facts" are all values of a checkpoint that are not arrays
MAX_ENTRIES = 32  # arrays in one file; L-BFGS, which has most, has six
LENGTHS = 26  # offset of the two lengths in the header of a zip file's entry (PKWARE APPNOTE 4.3.7)
MAX_FACTS_BYTES = 1 << 27  # bytes; a row of the trace takes about 1,500
Shape = tuple[int | None, ...]  # None: any length


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
    path: Path, method: str, like: Array, shapes: Mapping[str, Shape], kinds: Mapping[str, Any]
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
    arrays, facts = _read_archive(path, everything=True, files=is_mapped(like))
    if (found := facts.get("method")) != method:
        raise HandstyleError(f"{path}: the checkpoint of a run with {str(found)[:40]}; this run uses {method}")
    for name, shape in {"v": like.shape, **shapes}.items():
        if (array := arrays.get(name)) is None:
            raise HandstyleError(f"{path}: an incomplete checkpoint of {method}, {name} is missing")
        dtype = np.dtype(np.float64) if name.startswith("host_") else like.dtype
        if name == "v" and (array.shape, array.dtype) != (shape, dtype):
            raise HandstyleError(
                f"{path}: a picture of {array.size} values of {array.dtype}, but this run has {like.size} of {dtype}"
            )
        fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
        if array.dtype != dtype or not fits or not _is_finite(array):
            raise HandstyleError(f"{path}: not a checkpoint of {method}, {name} has another shape, dtype or values")
    check_facts(path, facts, kinds)
    xp = namespace(like)
    stay = {name for name in arrays if name.startswith("host_") or is_mapped(arrays[name])}
    return {name: arrays[name] if name in stay else xp.asarray(arrays[name]) for name in (*shapes, "v")}, facts


def read_facts(path: Path) -> dict[str, Any]:
    """Return the values of a checkpoint that are not arrays: ``method``, ``run`` and those of the optimizer.

    Raises
    ------
    HandstyleError
        If the file cannot be read.
    """
    return _read_archive(path, everything=False)[1]


def check_facts(path: Path, facts: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise `HandstyleError` if a value is missing in a checkpoint or has the wrong type; see `has_type`."""
    for name, kind in kinds.items():
        if name not in facts or not has_type(facts[name], kind):
            what = "is missing" if name not in facts else "has another type or range"
            raise HandstyleError(f"{path}: not a checkpoint of this program, {name} {what}")


def has_type(value: Any, kind: Any) -> bool:
    """Return whether a JSON value has a given type: `kind`, which may describe a nested list.

    Parameters
    ----------
    value : any JSON value
        Read from a file.
    kind : type, list or tuple
        ``int``: an integer of at least 0; ``float``: any finite number; ``str``; ``dict``: from str to finite numbers;
        ``[kind]``: a list of any length; ``(kind, kind)``: a list of this length.

    Examples
    --------
    >>> has_type([[1, 2.5], [3, 4]], [(int, float)]), has_type([[1, "a"]], [(int, float)]), has_type(True, int)
    (True, False, False)
    """
    if isinstance(kind, list):
        return isinstance(value, list) and all(has_type(one, kind[0]) for one in value)
    if isinstance(kind, tuple):
        return isinstance(value, list) and len(value) == len(kind) and all(map(has_type, value, kind))
    if kind is dict:
        return isinstance(value, dict) and all(has_type(one, float) for one in value.values())
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return isinstance(value, kind)


def _is_finite(array: Array) -> bool:
    flat = array.reshape(-1)
    return all(np.isfinite(flat[piece]).all() for piece in split_pieces(flat))


def _read_archive(path: Path, everything: bool, files: bool = False) -> tuple[dict[str, Array], dict[str, Any]]:
    try:
        with open(path, "rb") as stream:
            _check_archive(stream)
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as stored:
                facts = json.loads(str(stored[FACTS]))
                names = [key for key in stored.files if everything and key != FACTS]
                entries = {key: stored.zip.getinfo(f"{key}.npy") for key in names if files}
                large = {key: entry for key, entry in entries.items() if is_large(entry.file_size)}
                if large and stored.zip.testzip():  # reading an array compares its checksum, mapping does not
                    raise zipfile.BadZipFile("a checksum differs")
                arrays = {key: _mapped_entry(large[key], stream) if key in large else stored[key] for key in names}
    except OSError as error:
        raise HandstyleError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, EOFError) as error:
        raise HandstyleError(f"{path}: not a checkpoint of this program ({one_line(error)})") from None
    except Exception as error:  # zipfile's errors share no base class with the above
        raise HandstyleError(f"{path}: the checkpoint is damaged ({one_line(error)})") from None
    if not isinstance(facts, dict):
        raise HandstyleError(f"{path}: not a checkpoint of this program (its facts are no JSON object)")
    return arrays, facts


def _mapped_entry(entry: zipfile.ZipInfo, stream: BinaryIO) -> Array:
    """Return an array of the archive, mapped from its place in the file instead of read."""
    stream.seek(entry.header_offset + LENGTHS)
    stream.seek(sum(struct.unpack("<HH", stream.read(4))), 1)
    np.lib.format.read_magic(stream)
    shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return np.memmap(stream, dtype, "r", stream.tell(), shape)


def _check_archive(stream: IO[bytes]) -> None:
    """Raise ValueError if reading an archive could take more memory than its size on disk (a "zip bomb")."""
    entries = zipfile.ZipFile(stream).infolist()
    if len(entries) > MAX_ENTRIES:
        raise ValueError(f"{len(entries)} entries")
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("it is compressed, which checkpoints are not")
    if sum(entry.file_size for entry in entries) > stream.seek(0, 2):
        raise ValueError("its entries overlap")
    if any(entry.file_size > MAX_FACTS_BYTES for entry in entries if entry.filename == f"{FACTS}.npy"):
        raise ValueError("its facts are too long")
