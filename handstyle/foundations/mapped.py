"""Arrays in temporary files that are mapped into memory, for pictures whose vectors are larger than the memory.

The system writes a mapped array to its file when memory is short, and reads it again when it is used. NumPy works with
it as with any array, but intermediate results of expressions are in memory. So vectors of the picture's size are
computed in pieces; the pieces are the same for all arrays, so that results have the same bits.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from shutil import disk_usage
from tempfile import TemporaryFile, gettempdir

import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array, namespace
from handstyle.foundations.errors import OutOfMemoryError

PIECE = 1 << 22  # number of values of a vector that are computed at a time on the host
MAPPED = 1 << 28  # smallest size in bytes of an array that may be in a file
DISK = "/var/tmp"  # a folder on a disk, unlike /tmp, which may be in memory (Filesystem Hierarchy Standard 3.0, 5.15)


def mapped_folder() -> str:
    """Return the folder of the files: ``TMPDIR`` if it is set, otherwise a folder on a disk.

    Examples
    --------
    >>> from unittest import mock
    >>> with mock.patch.dict(os.environ, TMPDIR="/scratch"):
    ...     mapped_folder()
    '/scratch'
    """
    return os.environ.get("TMPDIR") or (DISK if os.access(DISK, os.W_OK) else gettempdir())


def free_disk() -> int:
    """Return the free bytes in `mapped_folder`; 0 if they cannot be determined.

    Examples
    --------
    >>> free_disk() >= 0
    True
    """
    with suppress(OSError):
        return disk_usage(mapped_folder()).free
    return 0


def mapped_zeros(shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Return an array of zeros that is mapped from a temporary file, which is deleted with the array.

    Parameters
    ----------
    shape : sequence of int
        The shape; the array must have at least one value.
    dtype : dtype
        The dtype of the values.

    Returns
    -------
    memmap

    Raises
    ------
    OutOfMemoryError
        If the disk has too little free space.

    Examples
    --------
    >>> a = mapped_zeros((2, 3), "float32")
    >>> a[1] = 5
    >>> float(a.sum())
    15.0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        with TemporaryFile(dir=mapped_folder()) as file:
            with suppress(AttributeError):  # not on every system; a full disk says so here, not by a signal later
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype, "w+", shape=tuple(shape))
    except OSError as error:
        where = f"{size / 2**30:.1f} GiB in {mapped_folder()}: {error.strerror or error}"
        raise OutOfMemoryError(f"no room for {where}; TMPDIR names another folder") from None


def is_large(size: int) -> bool:
    """Return whether an array of `size` bytes is large enough to be kept in a file.

    Examples
    --------
    >>> is_large(1000), is_large(MAPPED)
    (False, True)
    """
    return size >= MAPPED


def is_mapped(a: Array) -> bool:
    """Return whether an array is in a file, or is a view of one that is.

    Examples
    --------
    >>> is_mapped(np.zeros(4)), is_mapped(mapped_zeros((4,), np.dtype("f8")))
    (False, True)
    """
    return isinstance(a, np.memmap) and getattr(a, "_mmap", None) is not None


def zeros_for(like: Array, shape: Sequence[int] | None = None) -> Array:
    """Return zeros of the dtype and, by default, the shape of `like`, and like it in a file, in memory or on a device.

    Examples
    --------
    >>> zeros_for(np.ones(2, np.float32), (3,))
    array([0., 0., 0.], dtype=float32)
    """
    shape = like.shape if shape is None else tuple(shape)
    if is_mapped(like):
        return mapped_zeros(shape, like.dtype)
    zeros: Array = namespace(like).zeros(shape, like.dtype)
    return zeros


def split_pieces(v: Array) -> Iterator[slice]:  # (n,)
    """Yield the slices in which a vector is computed: of `PIECE` values on the host, of all values on a device.

    Examples
    --------
    >>> [(piece.start, piece.stop == PIECE) for piece in split_pieces(np.zeros(3))]
    [(0, True)]
    """
    step = PIECE if isinstance(v, np.ndarray) else max(1, v.size)
    return (slice(start, start + step) for start in range(0, v.size, step))


def assemble(like: Array, part: Callable[[slice], Array]) -> Array:  # (n,) -> (n,)
    """Compute a vector piece by piece; the result is where `like` is: in a file, in memory or on a device.

    Parameters
    ----------
    like : (n,) array
        A vector of the same dtype and size.
    part : callable
        ``part(piece)`` returns the values of a slice as a new array.

    Returns
    -------
    (n,) array
        A new array.

    Examples
    --------
    >>> v = np.arange(3.0)
    >>> assemble(v, lambda piece: 2 * v[piece])
    array([0., 2., 4.])
    """
    cut = list(split_pieces(like))
    if len(cut) == 1 and not is_mapped(like):
        return part(cut[0])
    out = zeros_for(like)
    for piece in cut:
        out[piece] = part(piece)
    return out


def copy_array(v: Array) -> Array:  # (n,) -> (n,)
    """Return a copy of a vector, in a file if it is in one, otherwise in memory or on its device.

    Examples
    --------
    >>> v = np.arange(3.0)
    >>> copy_array(v).tolist(), copy_array(v) is v
    ([0.0, 1.0, 2.0], False)
    """
    return assemble(v, lambda piece: v[piece]) if is_mapped(v) else v.copy()
