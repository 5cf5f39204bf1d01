"""Arrays that lie in temporary files, mapped into memory, for pictures whose vectors are larger than it.

The system writes a mapped array to its file when memory is short, and reads it again when it is used. NumPy works with
it as with any other, but every intermediate result of an expression is in memory. So what is as large as the picture is
computed in pieces, and by the same pieces whether it lies in a file or not: the bits are the same.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from tempfile import TemporaryFile, gettempdir

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import OutOfMemoryError

PIECE = 1 << 22  # values of a vector that are computed at a time, on the host
MAPPED = 1 << 28  # bytes, from which on an array may lie in a file
DISK = "/var/tmp"  # where /tmp may be in memory, this is on a disk (Filesystem Hierarchy Standard 3.0, 5.15)


def folder() -> str:
    """Return the folder of the files: ``TMPDIR`` if it is set, else one that is on a disk."""
    return os.environ.get("TMPDIR") or (DISK if os.access(DISK, os.W_OK) else gettempdir())


def room() -> int:
    """Return the bytes that are free in `folder`; 0 where they cannot be known."""
    with suppress(OSError, AttributeError):
        found = os.statvfs(folder())
        return found.f_bavail * found.f_frsize
    return 0


def mapped(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Return an array of zeros in a file of its own, which is gone when the array is.

    Parameters
    ----------
    shape : sequence of int
        Its shape; more than no value.
    dtype : dtype
        Of the values.

    Returns
    -------
    memmap

    Raises
    ------
    OutOfMemoryError
        If the disk has no room for it.

    Examples
    --------
    >>> a = mapped((2, 3), "float32")
    >>> a[1] = 5
    >>> float(a.sum())
    15.0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with TemporaryFile(dir=folder()) as file:
            with suppress(AttributeError):  # not on every system; a full disk says so here, not by a signal later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=tuple(shape))
    except OSError as error:
        where = f"{size / 2**30:.1f} GiB in {folder()}: {error.strerror or error}"
        raise OutOfMemoryError(f"no room for {where}; TMPDIR names another folder") from None


def is_large(size: int) -> bool:
    """Return whether an array of so many bytes may lie in a file."""
    return size >= MAPPED


def is_mapped(a: Array) -> bool:
    """Return whether an array lies in a file, or is a part of one that does."""
    return isinstance(a, np.memmap) and getattr(a, "_mmap", None) is not None


def zeros_beside(like: Array, shape: Sequence[int] | None = None) -> Array:
    """Return zeros where `like` lies, in a file, in memory or on a device, of its dtype and by default its shape."""
    shape = like.shape if shape is None else tuple(shape)
    if is_mapped(like):
        return mapped(shape, like.dtype)
    zeros: Array = namespace(like).zeros(shape, like.dtype)
    return zeros


def pieces(v: Array) -> Iterator[slice]:  # (n,)
    """Yield the parts in which a vector is computed: `PIECE` values each on the host, all at once on a device."""
    step = PIECE if isinstance(v, np.ndarray) else max(1, v.size)
    return (slice(start, start + step) for start in range(0, v.size, step))


def assembled(like: Array, part: Callable[[slice], Array]) -> Array:  # (n,) -> (n,)
    """Return a vector that is computed piece by piece, and lies where `like` does.

    Parameters
    ----------
    like : (n,) array
        Of its dtype and size.
    part : callable
        ``part(piece)`` returns the values of a slice, new ones.

    Returns
    -------
    (n,) array
        A new one.

    Examples
    --------
    >>> v = np.arange(3.0)
    >>> assembled(v, lambda piece: 2 * v[piece])
    array([0., 2., 4.])
    """
    cut = list(pieces(like))
    if len(cut) == 1 and not is_mapped(like):
        return part(cut[0])
    out = zeros_beside(like)
    for piece in cut:
        out[piece] = part(piece)
    return out


def copied(v: Array) -> Array:  # (n,) -> (n,)
    """Return a copy of a vector where the vector lies."""
    return assembled(v, lambda piece: v[piece]) if is_mapped(v) else v.copy()
