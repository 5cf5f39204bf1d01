"""Weight files: the native HDF5 format, and where a network's file is found.

A native file describes itself. At its root are the attributes ``format`` ("handstyle-weights 1"), ``architecture``,
``convention``, ``tensors_sha256`` and the provenance. Each convolution is a group with the datasets ``w``
(3, 3, C, K) and ``b`` (K,), float32 or float16 on disk, float32 in memory. Readers of every other published format are
in ``weights_tools``. A file may be damaged or hostile: it is read by the functions of `handstyle.network.hdf5_file`.
"""

import io
import os
import sys
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.foundations.picture_paths import expand_path
from handstyle.network.digests import sha256, tensors_sha256
from handstyle.network.hdf5_file import ForeignFormatError, hdf5_array, hdf5_read, hdf5_text, hdf5_texts
from handstyle.network.vgg import Weights, check_layers, convolution_names

FORMAT = "handstyle-weights 1"
# Keys of the provenance in files of earlier versions, the network that ships among them, and their present names. That
# file is not written again: its sha256 stands in the record of each picture that was painted with it.
RENAMED_KEYS = {"licence": "license", "normalised": "normalized"}
EMBEDDED = "vgg19-slim"  # the network that ships with the package
EMBEDDED_FILE = Path(__file__).parent.parent / "data" / f"{EMBEDDED}.h5"


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
        The path of a file or, if there is no such file, the name of a network: ``vgg19-slim``, which ships with the
        package, or one that is installed.

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
    if path.is_file():
        return path
    if name == EMBEDDED:
        return EMBEDDED_FILE
    if path.suffix or len(path.parts) != 1:
        return None
    try:
        installed = cache_folder() / f"{name}.h5"
    except HandstyleError:  # without a home folder, nothing is installed
        return None
    return installed if installed.is_file() else None


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Read a native weight file; `load_weights` reads other formats too.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    Weights
        The weights in float32, checked by `check_layers`. Their provenance has the ``file`` and its ``sha256`` too.

    Raises
    ------
    HandstyleError
        If the file cannot be read, is of another format, lacks or misshapes a layer (the message names the layer, what
        was found and what was expected), or holds other values than it was written with.

    See Also
    --------
    write_weights : Write such a file.
    handstyle.painting.load.load_weights : Load files of other formats, and weights by name.

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
        weights = hdf5_read(path, _read, trusted=path == EMBEDDED_FILE)
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


def _read(file: h5py.File) -> Weights:
    if hdf5_text(file, "format") != [FORMAT]:
        raise ForeignFormatError("not a handstyle weight file; handstyle weights convert reads others")
    attributes = {RENAMED_KEYS.get(name, name): text for name, text in hdf5_texts(file).items()}
    attributes.pop("format")
    architecture, convention = attributes.pop("architecture"), attributes.pop("convention")
    names = [name for name in convolution_names(architecture) if name in file]

    def values(name: str, key: str) -> Array:
        return np.asarray(hdf5_array(file, f"{name}/{key}", name), np.float32)

    layers = {name: (values(name, "w"), values(name, "b")) for name in names}
    return Weights(architecture, convention, layers, attributes)


def write_weights(
    path: str | os.PathLike[str], weights: Weights, dtype: DTypeLike = np.float32, *, compressed: bool = False
) -> None:
    """Write a native weight file, atomically, with a digest of its values.

    Parameters
    ----------
    path : path
        The file; an existing one is replaced only when the new one is complete.
    weights : Weights
        The weights, which are checked by `check_layers` first.
    dtype : {float32, float16}
        The dtype in the file. Half precision is for networks that were trained with values rounded to it.
    compressed : bool
        Whether the values are compressed, by HDF5's shuffle and deflate. Only rounded values become much smaller.

    Raises
    ------
    HandstyleError
        If the weights do not fit their architecture or the file cannot be written.

    See Also
    --------
    read_weights : Read such a file.

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
