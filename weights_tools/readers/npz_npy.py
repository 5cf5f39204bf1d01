"""Read NumPy's ``.npz`` archives and ``.npy`` files with a dictionary.

The archive is Frossard's VGG-16 with the arrays ``conv1_1_W``, ``conv1_1_b`` and so on: kernels (3, 3, C, K), colors
RGB, 0 to 255, minus the Caffe mean. The dictionary, of TensorFlow ports, maps ``conv1_1`` to [kernel, bias] or to
{"weights": …, "biases": …}. It is a pickle, which `PickleMachine` reads.
"""

import io
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers import reading
from weights_tools.readers.pickle_machine import NUMPY_NAMES, PickledArray, PickleMachine
from weights_tools.readers.reading import Reading, as_hwio, check_shape, collect

MAX_HEADER_BYTES = 10_000  # bytes; NumPy's own bound


def read_npz(path: Path) -> Reading:
    """Read the convolutions of a VGG from a ``.npz`` archive; an array is unpacked only if its header is plausible.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg16_weights.npz"
    ...     np.savez(file, conv1_1_W=np.ones((3, 3, 3, 8)), conv1_1_b=np.zeros(8))
    ...     reading = read_npz(file)
    >>> reading.order, {name: w.shape for name, (w, b) in reading.layers.items()}
    ('RGB', {'conv1_1': (3, 3, 3, 8)})
    """
    with reading.open_zip(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        architecture, pairs = reading.name_keys(keys)

        def fetch(name: str, key: Any) -> Array:
            with archive.open(f"{key}.npy") as file:
                return _array(name, file)

        return Reading("NumPy, npz", architecture, collect(pairs, fetch, as_hwio), order="RGB")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise HandstyleError(f"an array of NumPy's format {version[0]}.{version[1]}, expected 1.0 or 2.0")
    length = file.read(2 * version[0])
    size = int.from_bytes(length, "little")
    if size > MAX_HEADER_BYTES:
        raise HandstyleError(f"an array whose header declares {size} bytes")
    header = io.BytesIO(length + file.read(size))
    return npy.read_array_header_1_0(header) if version == (1, 0) else npy.read_array_header_2_0(header)


def _array(name: str, file: IO[bytes]) -> Array:
    declared, fortran, dtype = _header(file)
    shape = check_shape(name, declared)
    if dtype.kind != "f":
        raise HandstyleError(f"layer {name} holds {dtype}, expected floating point")
    size = int(np.prod(shape)) * dtype.itemsize
    data = file.read(size)
    if len(data) != size:
        raise HandstyleError(f"layer {name} is cut short")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def read_npy(path: Path) -> Reading:
    """Read the convolutions of a VGG from a ``.npy`` file: a dictionary that was saved as an array of one object.

    Examples
    --------
    >>> import tempfile
    >>> layers = {"conv1_1": [np.ones((3, 3, 3, 8), np.float32), np.zeros(8, np.float32)]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg16.npy"
    ...     np.save(file, np.array(layers, object))
    ...     reading = read_npy(file)
    >>> reading.order, {name: w.shape for name, (w, b) in reading.layers.items()}
    ('BGR', {'conv1_1': (3, 3, 3, 8)})
    """
    with path.open("rb") as file:
        shape, _, dtype = _header(file)
        start = file.tell()
    if dtype.kind != "O" or shape != ():
        raise HandstyleError(f"one array of {dtype}, expected a dictionary of layers")
    top, _ = PickleMachine(reading.map_file(path), NUMPY_NAMES).load(start)
    objects = top.objects() if isinstance(top, PickledArray) else []
    if len(objects) != 1 or not isinstance(objects[0], dict):
        raise HandstyleError("an array of objects, but not a dictionary of layers")
    pairs = {name: _pair(name, entry) for name, entry in objects[0].items() if str(name).startswith("conv")}
    if not pairs:
        raise HandstyleError("a dictionary without a layer conv1_1")
    architecture = reading.architecture_of(pairs)
    layers = collect(pairs, lambda name, array: array.values(name), as_hwio)
    return Reading("NumPy, dictionary", architecture, layers, order="BGR")


def _pair(name: Any, entry: Any) -> tuple[PickledArray, PickledArray]:
    if isinstance(entry, dict):
        entry = [entry.get("weights"), entry.get("biases")]
    if not isinstance(entry, list | tuple) or len(entry) != 2 or not all(isinstance(x, PickledArray) for x in entry):
        raise HandstyleError(f"layer {str(name)[:20]} is no pair of arrays, a kernel and a bias")
    return entry[0], entry[1]
