"""Read HDF5 files that may be damaged or hostile.

HDF5 trusts what it reads. So every access goes through these functions, which follow no link out of the file and check
every size that a file declares before memory is allocated for it.
"""

import contextlib
import faulthandler
import math
import mmap
import os
import signal
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError

# The largest kernel of any VGG, 512 to 512 channels; a file that declares more is refused before it is read.
MAX_VALUES = 9 * 512 * 512
MAX_CHUNKS = 4096  # of one dataset
MAX_ATTRIBUTES = 100
MAX_LIST_BYTES = 1 << 14  # bytes of an attribute that lists names; VGG-19's is below 2 kB
MAX_TEXT_BYTES = 1 << 18  # bytes of one text of variable length; Keras' description of VGG-19 has 12 kB
MAX_TEXTS = 100_000
MAX_SECONDS = 5  # of processor time for one file; VGG-19 takes a tenth of one
_in_child = False  # True in the child process of `_run_in_child`
_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE
T = TypeVar("T")


class ForeignFormatError(HandstyleError):
    """The error for a file that is not of the expected format; ``weights_tools`` may be able to read it."""


def hdf5_read(path: Path, read: Callable[[h5py.File], T], member: str | None = None, *, trusted: bool = False) -> T:
    """Read from an HDF5 file that may be damaged or hostile.

    Where the system can fork, `read` runs in a child process first, since libhdf5 crashes on some damaged files, and
    never returns from others.

    Parameters
    ----------
    path : Path
        The file.
    read : callable
        ``read(file)`` returns what is wanted of the open file.
    member : str, optional
        If `path` is a zip archive: the name of the HDF5 file in it, which must not be compressed.
    trusted : bool
        Whether the file ships with the package, so that no child process is needed.

    Returns
    -------
    object
        What `read` returns.

    Raises
    ------
    ForeignFormatError
        If the file is not an HDF5 file.
    HandstyleError
        If a text heap is damaged, or the child process crashes or takes more than `MAX_SECONDS` of processor time.

    Examples
    --------
    >>> from handstyle.network.weights import EMBEDDED_FILE
    >>> hdf5_read(EMBEDDED_FILE, lambda file: file.attrs["architecture"])
    'vgg19'
    """

    def attempt() -> T:
        with contextlib.ExitStack() as stack:
            source = path if member is None else stack.enter_context(zipfile.ZipFile(path).open(member))
            return read(stack.enter_context(h5py.File(source, "r")))

    _check_heap_sizes(path, member)
    if not trusted and hasattr(os, "fork"):
        _run_in_child(attempt)
    return attempt()


def _check_heap_sizes(path: Path, member: str | None) -> None:
    # Up to 2.0, libhdf5 stays for ever at a free entry of length 0, where a damaged length before it may lead. HDF5
    # File Format Specification, III.E "Global Heap": GCOL, version 1, three bytes, the heap's size; then entries: index
    # (2 bytes), references (2), reserved (4), size (8), the text, padded to 8 bytes. Index 0 is free space.
    with zipfile.ZipFile(path).open(member) if member else path.open("rb") as file:
        head = file.read(16)
    sizes = 13 if head[8:9] < b"\x02" else 9  # where the superblock says how long addresses and sizes are
    if head[:8] != b"\x89HDF\r\n\x1a\n" or head[sizes : sizes + 2] != b"\x08\x08":
        raise ForeignFormatError("cannot be read as HDF5 weights; handstyle weights convert reads other formats")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, steps = content.find(b"GCOL\x01"), 0
        while start >= 0:
            end, at = start + int.from_bytes(content[start + 8 : start + 16], "little"), start + 16
            while at + 16 <= min(end, len(content)):
                index, size = struct.unpack_from("<H6xQ", content, at)
                step = 16 + size + -size % 8 if index else size
                steps += 1
                if not 0 < step <= end - at or (index and size > MAX_TEXT_BYTES) or steps > MAX_TEXTS:
                    raise HandstyleError("its texts have lengths that cannot be: the file is damaged")
                at += step
            start = content.find(b"GCOL\x01", start + 5)


def _run_in_child(attempt: Callable[[], object]) -> None:
    with warnings.catch_warnings():
        # Python 3.12 warns of locks that other threads hold; h5py takes its own before a fork, the child needs no more.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            global _in_child
            _in_child = True
            import resource

            faulthandler.disable()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
            attempt()
        finally:
            os._exit(0)  # an exception is the parent's to meet
    try:
        _, status = os.waitpid(child, 0)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    if os.WIFSIGNALED(status):
        raise HandstyleError("damaged or hostile: libhdf5 crashes on it, or does not come to an end")


def hdf5_child(group: h5py.Group, path: str) -> Any:
    """Return a member of a group, or None; soft and external links, which could lead to another file, are not followed.

    Examples
    --------
    >>> with h5py.File("example.h5", "w", driver="core", backing_store=False) as file:
    ...     file["a/b"] = [1.0, 2.0]
    ...     file["soft"] = h5py.SoftLink("/a/b")
    ...     hdf5_child(file, "a/b").shape, hdf5_child(file, "soft")
    ((2,), None)
    """
    node: Any = group
    for part in path.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return None
        node = node.get(part)
    return node


def hdf5_text(group: h5py.Group, attribute: str) -> list[str]:
    """Return an attribute that is a text or a list of texts, as a list; it is empty if there is no such attribute.

    Examples
    --------
    >>> with h5py.File("example.h5", "w", driver="core", backing_store=False) as file:
    ...     file.attrs["layer_names"] = [b"block1_conv1", b"block1_conv2"]
    ...     hdf5_text(file, "layer_names"), hdf5_text(file, "absent")
    (['block1_conv1', 'block1_conv2'], [])
    """
    if attribute not in group.attrs:
        return []
    found = group.attrs.get_id(attribute)
    if found.shape is None or 0 in found.shape:
        return []
    text = h5py.check_string_dtype(found.dtype)
    most = MAX_LIST_BYTES if found.shape else MAX_TEXT_BYTES
    if text is None or found.get_storage_size() > most:
        raise HandstyleError(f"its attribute {attribute[:40]} is no text, or longer than any weight file's")
    values = np.atleast_1d(group.attrs[attribute])
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values]


def hdf5_texts(group: h5py.Group) -> dict[str, str]:
    """Return all attributes of a group, which must be texts, by name.

    Examples
    --------
    >>> with h5py.File("example.h5", "w", driver="core", backing_store=False) as file:
    ...     file.attrs["license"] = "MIT"
    ...     hdf5_texts(file)
    {'license': 'MIT'}
    """
    if len(group.attrs) > MAX_ATTRIBUTES:
        raise HandstyleError(f"weights: more than {MAX_ATTRIBUTES} attributes, which no weight file has")
    return {name: "".join(hdf5_text(group, name)) for name in group.attrs}


def hdf5_array(group: h5py.Group, path: str, layer: str) -> Array:
    """Read a layer's dataset after checking its size; refuse one with data in other files (external or virtual).

    Examples
    --------
    >>> with h5py.File("example.h5", "w", driver="core", backing_store=False) as file:
    ...     file["conv1_1/b"] = np.zeros(8, np.float32)
    ...     hdf5_array(file, "conv1_1/b", "conv1_1").shape
    (8,)
    """
    dataset = hdf5_child(group, path)
    if not isinstance(dataset, h5py.Dataset):
        raise HandstyleError(f"layer {layer} is missing its dataset {path}")
    if dataset.shape is None or dataset.dtype.kind != "f":
        raise HandstyleError(f"layer {layer} holds {dataset.dtype}, expected floating point")
    if dataset.is_virtual or dataset.external:
        raise HandstyleError(f"layer {layer} keeps its values in another file")
    # HDF5 allocates a whole chunk to read one value, so a chunk may not be large either.
    for shape in (dataset.shape, dataset.chunks or ()):
        if math.prod(shape) > MAX_VALUES:
            raise HandstyleError(f"layer {layer} declares {shape}, more than any VGG has")
    filters = dataset.id.get_create_plist()
    codes = [filters.get_filter(i)[0] for i in range(filters.get_nfilters())]
    if not codes:
        return dataset[()]
    if codes not in ([_DEFLATE], [_SHUFFLE, _DEFLATE]):
        raise HandstyleError(f"layer {layer} is compressed otherwise than once, by deflate")
    return _decompress(dataset, layer, shuffled=len(codes) == 2)


def _decompress(dataset: h5py.Dataset, layer: str, shuffled: bool) -> Array:
    # HDF5's own filter unpacks as much as a chunk yields, whatever the declared size; this one stops there.
    chunk, dtype = dataset.chunks, dataset.dtype
    size = math.prod(chunk) * dtype.itemsize
    grid = [range(0, side, step) for side, step in zip(dataset.shape, chunk, strict=True)]
    if math.prod(map(len, grid)) > MAX_CHUNKS:
        raise HandstyleError(f"layer {layer} lies in more than {MAX_CHUNKS} chunks")
    values = np.zeros(dataset.shape, dtype)
    for index in np.ndindex(*map(len, grid)):
        corner = tuple(axis[i] for axis, i in zip(grid, index, strict=True))
        stored = dataset.id.get_chunk_info_by_coord(corner)
        if stored.byte_offset is None:  # never written: zeros
            continue
        if stored.size > size + size // 100 + 64:  # deflate enlarges by less
            raise HandstyleError(f"layer {layer} has a chunk of {stored.size} bytes for {size}")
        if _in_child:  # what follows needs none
            continue
        _, packed = dataset.id.read_direct_chunk(corner)
        try:
            data = zlib.decompressobj().decompress(packed, size + 1)
        except zlib.error:
            data = b""
        if len(data) != size:
            raise HandstyleError(f"layer {layer} has a chunk that does not unpack to {size} bytes")
        if shuffled:
            data = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
        part = np.frombuffer(data, dtype).reshape(chunk)
        where = tuple(slice(at, at + step) for at, step in zip(corner, chunk, strict=True))
        values[where] = part[tuple(slice(side) for side in values[where].shape)]
    return values
