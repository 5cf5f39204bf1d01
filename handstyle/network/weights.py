"""Weight files: the native HDF5 format, Keras' own, and where a network's file is found.

The native file says what it holds. At its root the attributes ``format`` ("handstyle-weights 1"), ``architecture``,
``convention``, ``tensors_sha256`` and the provenance; for each convolution a group with the datasets ``w``
(3, 3, C, K) and ``b`` (K,), float32 or float16 on disk, float32 in memory. Readers of every other published format are
in ``weights_tools``; Keras' ``notop`` file is read here too, because it is HDF5 and is what most people have.

A file may be damaged or hostile, and HDF5 trusts what it reads: every access goes through the functions ``hdf5_*``,
which follow no link out of the file and bound what a file may declare before anything of that size is allocated.
"""

import contextlib
import faulthandler
import hashlib
import io
import math
import mmap
import os
import signal
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.foundations.picture_paths import expand_path
from handstyle.network.vgg import Weights, check_layers, convolution_names

FORMAT = "handstyle-weights 1"
# Keys of the provenance in files of earlier versions, the network that ships among them, and their present names. That
# file is not written again: its sha256 stands in the record of each picture that was painted with it.
RENAMED_KEYS = {"licence": "license", "normalised": "normalized"}
EMBEDDED = "vgg19-slim"  # the network that ships with the package
EMBEDDED_FILE = Path(__file__).parent.parent / "data" / f"{EMBEDDED}.h5"

# The largest kernel of any VGG, 512 to 512 channels; a file that declares more is refused before it is read.
MAX_VALUES = 9 * 512 * 512
MAX_CHUNKS = 4096  # of one dataset
MAX_ATTRIBUTES = 100
MAX_LIST_BYTES = 1 << 14  # bytes of an attribute that lists names; VGG-19's is below 2 kB
MAX_TEXT_BYTES = 1 << 18  # bytes of one text of variable length; Keras' description of VGG-19 has 12 kB
MAX_TEXTS = 100_000
MAX_SECONDS = 5  # of processor time for one file; VGG-19 takes a tenth of one
_in_child = False  # True in the child process of `_run_in_child`
T = TypeVar("T")
_DEFLATE, _SHUFFLE = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE


class ForeignFormatError(HandstyleError):
    """A file that `read_weights` does not read, but ``weights_tools`` may."""


def cache_folder() -> Path:
    """Return the folder that keeps installed networks.

    Returns
    -------
    Path
        ``HANDSTYLE_CACHE``, or ``handstyle`` in the operating system's folder for a user's caches. It need not exist.

    Raises
    ------
    HandstyleError
        If the user has no home folder and the variable is not set.

    Examples
    --------
    >>> import os
    >>> os.environ["HANDSTYLE_CACHE"] = "/var/cache/networks"
    >>> cache_folder().as_posix()
    '/var/cache/networks'
    >>> del os.environ["HANDSTYLE_CACHE"]
    """
    try:
        if chosen := os.environ.get("HANDSTYLE_CACHE"):
            return expand_path(chosen)
        if sys.platform == "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "handstyle" / "Cache"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "handstyle"
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "handstyle"
    except RuntimeError:
        raise HandstyleError("there is no home folder to keep networks in: set HANDSTYLE_CACHE to a folder") from None


def find_weights(name_or_path: str | os.PathLike[str]) -> Path | None:
    """Find a weight file by its path, or by the name of a network.

    Parameters
    ----------
    name_or_path : str or path
        A file, which goes first; ``vgg19-slim``, the network that ships; or the name of a network that is installed.

    Returns
    -------
    Path or None
        None if there is no such file and no network of that name is installed.

    Examples
    --------
    >>> find_weights("vgg19-slim").name
    'vgg19-slim.h5'
    >>> find_weights("no-such-network") is None
    True
    """
    name, path = str(name_or_path), expand_path(name_or_path)
    try:
        cache = cache_folder()
    except HandstyleError:  # without a home folder, nothing is installed
        cache = None
    if path.is_file():
        return path
    if name == EMBEDDED:
        return EMBEDDED_FILE
    if cache is None or path.suffix or len(path.parts) != 1:
        return None
    installed = cache / f"{name}.h5"
    return installed if installed.is_file() else None


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a native weight file, or Keras' ``vgg16``/``vgg19`` HDF5 file in TensorFlow's ordering.

    Parameters
    ----------
    path : path
        Of the file.

    Returns
    -------
    Weights
        Checked by `check_layers`, in float32, with ``file`` and ``sha256`` of the file read added to the provenance.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is of neither layout, lacks or misshapes a layer (the message names the layer, what
        was found and what was expected), or holds other values than it was written with.

    Examples
    --------
    >>> weights = read_weights(EMBEDDED_FILE)
    >>> weights.architecture, weights.convention, weights.layers["conv1_1"][0].shape
    ('vgg19', 'caffe', (3, 3, 3, 24))
    """
    path = Path(path)
    if not path.is_file():
        raise HandstyleError(f"{path}: no such weight file; handstyle weights list shows those that can be had")
    try:
        weights = hdf5_read(path, _read)
        check_layers(weights)
        digest = weights.provenance.pop("tensors_sha256", None)  # files of version 0.1.0 have none
        if digest is not None and digest != tensors_sha256(weights):
            raise HandstyleError("its values are not those that were written: damaged, get or convert it again")
    except HandstyleError as error:
        raise type(error)(f"{path}: {error}") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise HandstyleError(f"{path}: cannot be read as HDF5 weights ({one_line(error)})") from None
    except MemoryError:
        raise HandstyleError(f"{path}: needs more memory than there is") from None
    weights.provenance.update(file=path.name, sha256=sha256(path))
    return weights


def is_native(path: str | os.PathLike[str]) -> bool:
    """Return whether a file has this package's own format.

    Examples
    --------
    >>> is_native(EMBEDDED_FILE)
    True
    """
    try:
        return hdf5_read(Path(path), lambda file: hdf5_text(file, "format") == [FORMAT])
    except (OSError, RuntimeError, ValueError):
        return False


def _read(file: h5py.File) -> Weights:
    if hdf5_text(file, "format") == [FORMAT]:
        return _read_native(file)
    if "layer_names" in file.attrs:
        return _read_keras(file)
    raise ForeignFormatError("neither a handstyle nor a Keras weight file; handstyle weights convert reads others")


def _read_native(file: h5py.File) -> Weights:
    if len(file.attrs) > MAX_ATTRIBUTES:
        raise HandstyleError(f"weights: more than {MAX_ATTRIBUTES} attributes, which no weight file has")
    attributes = {RENAMED_KEYS.get(name, name): "".join(hdf5_text(file, name)) for name in file.attrs}
    attributes.pop("format")
    architecture, convention = attributes.pop("architecture"), attributes.pop("convention")
    names = [name for name in convolution_names(architecture) if name in file]
    layers = {name: (_float32(file, f"{name}/w", name), _float32(file, f"{name}/b", name)) for name in names}
    return Weights(architecture, convention, layers, attributes)


def _read_keras(file: h5py.File) -> Weights:
    # keras.applications before Keras 3: groups blockB_convC, whose weight_names name the kernel and the bias.
    layers = {}
    for group_name in hdf5_text(file, "layer_names"):
        if not (group_name.startswith("block") and "_conv" in group_name):
            continue
        name = group_name.replace("block", "conv").replace("_conv", "_", 1)
        if name not in convolution_names("vgg19") or name in layers:
            raise HandstyleError(f"weights: layer {name[:40]} is no layer of VGG's, or stands there twice")
        group = hdf5_child(file, group_name)
        if not isinstance(group, h5py.Group):
            raise HandstyleError(f"weights: layer {name} is missing its group {group_name}")
        datasets = hdf5_text(group, "weight_names")
        if len(datasets) != 2:
            raise HandstyleError(f"weights: layer {name} has {len(datasets)} arrays, expected a kernel and a bias")
        w, b = (_float32(group, dataset, name) for dataset in datasets)
        if name == "conv1_1" and w.shape[1:] == (3, 3, 3) and w.shape[0] != 3:
            raise ForeignFormatError(
                f"weights: layer conv1_1 has kernels of shape {w.shape}, expected (3, 3, 3, K): Theano's ordering, "
                "which handstyle weights convert reads"
            )
        layers[name] = (w, b)
    architecture = "vgg19" if {"conv3_4", "conv4_4", "conv5_4"} & set(layers) else "vgg16"
    for name in convolution_names(architecture):
        if name not in layers:
            raise HandstyleError(f"weights: layer {name} is missing; {len(layers)} layers of {architecture} found")
    source = {"source": "keras.applications", "license": "CC BY 4.0 (Oxford VGG)"}
    return Weights(architecture, "caffe", layers, {"network": f"{architecture}, ImageNet", **source})


def _float32(group: h5py.Group, key: str, layer: str) -> Array:
    try:
        values: Array = np.asarray(hdf5_array(group, key, layer), np.float32)
    except HandstyleError as error:
        raise HandstyleError(f"weights: {error}") from None
    return values


def hdf5_read(path: Path, read: Callable[[h5py.File], T], member: str | None = None) -> T:
    """Read from an HDF5 file that may be damaged or hostile.

    Where the system can fork, `read` runs in a child process first, since libhdf5 crashes on some damaged files and on
    others never returns, deaf to Ctrl-C. The network that ships is read at once.

    Parameters
    ----------
    path : Path
        Of the file.
    read : callable
        From the open file to what is wanted of it.
    member : str, optional
        The HDF5 file's name in the zip archive `path`, where it lies uncompressed.

    Returns
    -------
    object
        What `read` returns.

    Raises
    ------
    ForeignFormatError
        If it is no HDF5 file.
    HandstyleError
        If a text heap is damaged, or the child process crashes or takes more than `MAX_SECONDS` of processor time.

    Examples
    --------
    >>> hdf5_read(EMBEDDED_FILE, lambda file: file.attrs["architecture"])
    'vgg19'
    """

    def attempt() -> T:
        with contextlib.ExitStack() as stack:
            source = path if member is None else stack.enter_context(zipfile.ZipFile(path).open(member))
            return read(stack.enter_context(h5py.File(source, "r")))

    _check_heap_sizes(path, member)
    if path != EMBEDDED_FILE and hasattr(os, "fork"):
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
    """Return a member, or None; by hard links only, since a soft or external link could lead into another file."""
    node: Any = group
    for part in path.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return None
        node = node.get(part)
    return node


def hdf5_text(group: h5py.Group, attribute: str) -> list[str]:
    """Read an attribute that is a text or a list of texts; an absent one is an empty list."""
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


def hdf5_array(group: h5py.Group, path: str, layer: str) -> Array:
    """Read a layer's dataset, after its size has been found plausible; external and virtual datasets are refused."""
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
        values: Array = dataset[()]
        return values
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


def write_weights(
    path: str | os.PathLike[str], weights: Weights, dtype: DTypeLike = np.float32, *, compressed: bool = False
) -> None:
    """Write a native weight file, atomically, with a digest of its values.

    Parameters
    ----------
    path : path
        Of the file; replaced only when the new one is complete.
    weights : Weights
        Checked by `check_layers` first.
    dtype : {float32, float16}
        On disk. Half precision is for a network trained to live with it.
    compressed : bool
        Whether the values are compressed, by HDF5's shuffle and deflate. This is of use for rounded values; others
        hardly become smaller.

    Raises
    ------
    HandstyleError
        If the weights do not fit their architecture or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from handstyle.network.vgg import random_weights
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_weights(Path(folder) / "mine.h5", random_weights())
    ...     read_weights(Path(folder) / "mine.h5").provenance["file"]
    'mine.h5'
    """
    check_layers(weights)
    path = Path(path)
    layers = {}
    for name, pair in weights.layers.items():
        if any(np.abs(values).max(initial=0) > np.finfo(dtype).max for values in pair):
            raise HandstyleError(f"weights: layer {name} holds values too large for {np.dtype(dtype)}")
        layers[name] = pair[0].astype(dtype), pair[1].astype(dtype)
    root = {
        "tool": f"handstyle {version('handstyle')}",
        **weights.provenance,
        "format": FORMAT,
        "architecture": weights.architecture,
        "convention": weights.convention,
        "tensors_sha256": tensors_sha256(Weights(weights.architecture, weights.convention, layers)),
    }
    content = io.BytesIO()
    packed = {"shuffle": True, "compression": "gzip", "compression_opts": 9} if compressed else {}
    with h5py.File(content, "w") as file:
        file.attrs.update(root)
        for name, pair in layers.items():
            for key, values in zip("wb", pair, strict=True):  # book: weights-layout
                file.create_dataset(f"{name}/{key}", data=values, chunks=values.shape if compressed else None, **packed)
    replace_file(path, content.getvalue())


def tensors_sha256(weights: Weights) -> str:
    """Return the sha256 of what a network computes with: its architecture, its convention, and every value as float32.

    Examples
    --------
    >>> from handstyle.network.vgg import random_weights
    >>> tensors_sha256(random_weights(seed=0)) == tensors_sha256(random_weights(seed=1))
    False
    """
    digest = hashlib.sha256(f"{weights.architecture} {weights.convention}".encode())
    for name in sorted(weights.layers):
        for values in weights.layers[name]:
            digest.update(f" {name} {values.shape} ".encode())
            digest.update(np.ascontiguousarray(values, "<f4").data)
    return digest.hexdigest()


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file, in hexadecimal: its fingerprint in reports and registries."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
