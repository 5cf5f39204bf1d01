"""Read the file of a checkpoint, which may be damaged or hostile, and check its arrays and the types of its values.

Nothing in it is run, and reading takes no more memory than the file is long.
"""

import json
import math
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.foundations.mapped import is_large, split_pieces

ArrayShape = tuple[int | None, ...]  # None: any length
HOST = "host_"  # arrays whose name begins with it are float64 and stay on the host
FACTS = "facts"  # the array that holds the JSON text; "facts" are all values of a checkpoint that are not arrays
MAX_ENTRIES = 32  # arrays in one file; L-BFGS, which has most, has six
LENGTHS = 26  # offset of the two lengths in the header of a zip file's entry (PKWARE APPNOTE 4.3.7)
MAX_FACTS_BYTES = 1 << 27  # bytes; a row of the trace takes about 1,500


def read_archive(path: Path, everything: bool, files: bool = False) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of a checkpoint's file, if `everything` is to be read, and its other values.

    With `files`, large arrays are mapped from the file instead of read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/a.npz", v=np.zeros(3), **{FACTS: json.dumps({"method": "adam"})})
    ...     arrays, facts = read_archive(Path(folder, "a.npz"), everything=True)
    >>> arrays["v"].tolist(), facts
    ([0.0, 0.0, 0.0], {'method': 'adam'})
    """
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


def check_arrays(
    path: Path, method: str, arrays: Mapping[str, Array], shapes: Mapping[str, ArrayShape], dtype: DTypeLike
) -> None:
    """Raise `HandstyleError` if an array is missing in a checkpoint, or has another shape or dtype or infinite values.

    Parameters
    ----------
    path : Path
        The file.
    method : str
        The name of the optimizer that will resume.
    arrays : mapping of str to array
        The arrays of the file.
    shapes : mapping of str to shape
        The shapes that they must have; ``v`` is the picture.
    dtype : dtype
        The dtype that they must have, apart from those that stay on the host; see `HOST`.

    Examples
    --------
    >>> check_arrays(Path("a"), "Adam", {"v": np.zeros(3)}, {"v": (3,)}, np.float64)
    >>> check_arrays(Path("a"), "Adam", {"v": np.zeros(3)}, {"v": (12,)}, np.float64)
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: a: a picture of 3 values of float64, but this run has 12 of float64
    """
    for name, shape in shapes.items():
        if (array := arrays.get(name)) is None:
            raise HandstyleError(f"{path}: an incomplete checkpoint of {method}, {name} is missing")
        expected = np.dtype(np.float64 if name.startswith(HOST) else dtype)
        if name == "v" and (array.shape, array.dtype) != (shape, expected):
            given = f"a picture of {array.size} values of {array.dtype}"
            raise HandstyleError(f"{path}: {given}, but this run has {shape[0]} of {expected}")
        fits = len(array.shape) == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
        flat = array.reshape(-1)
        if array.dtype != expected or not fits or not all(np.isfinite(flat[at]).all() for at in split_pieces(flat)):
            raise HandstyleError(f"{path}: not a checkpoint of {method}, {name} has another shape, dtype or values")


def check_facts(path: Path, facts: Mapping[str, Any], kinds: Mapping[str, Any]) -> None:
    """Raise `HandstyleError` if a value is missing in a checkpoint or has the wrong type; see `has_type`.

    Examples
    --------
    >>> check_facts(Path("a"), {"scale": 1}, {"scale": int})
    >>> check_facts(Path("a"), {"scale": "one"}, {"scale": int})
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: a: not a checkpoint of this program, scale has another type or range
    """
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
