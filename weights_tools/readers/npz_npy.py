"""NumPy's ``.npz`` (``conv1_1_W``, ``conv1_1_b``) and the ``.npy`` that holds a dictionary.

The archive is Frossard's VGG-16: kernels (3, 3, C, K), colours RGB, 0 to 255, minus the Caffe mean. The dictionary, of
the TensorFlow ports, maps ``conv1_1`` to [kernel, bias] or to {"weights": …, "biases": …}; it is a pickle, and run by
`PickleMachine`, which knows arrays and dtypes and no other name.
"""

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.pickle_machine import Name, Names, PickleMachine, Stateful
from weights_tools.readers.reading import (
    Reading,
    architecture_of,
    as_hwio,
    check_shape,
    collect,
    map_file,
    name_keys,
)


def read_npz(path: Path) -> Reading:
    """Read an archive of arrays; each is unpacked only after its header has been found plausible."""
    with zipfile.ZipFile(path) as archive:
        keys = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        architecture, pairs = name_keys(keys)

        def fetch(name: str, key: Any) -> Array:
            with archive.open(f"{key}.npy") as file:
                return _array(name, file)

        return Reading("NumPy, npz", architecture, collect(pairs, fetch, as_hwio), order="RGB")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    if version == (1, 0):
        return npy.read_array_header_1_0(file)
    if version == (2, 0):
        return npy.read_array_header_2_0(file)
    raise HandstyleError(f"an array of NumPy's format {version[0]}.{version[1]}, expected 1.0 or 2.0")


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


class PickledDtype(Stateful):
    """``numpy.dtype('f4', False, True)``, completed with its byte order."""

    def __init__(self, kind: Any = None, *_: Any) -> None:
        text = bytes(kind[:8]).decode("latin1") if isinstance(kind, memoryview) else kind
        if text not in ("f2", "f4", "f8", "O", "O8"):
            raise HandstyleError("arrays of a dtype that no weights have")
        self.kind, self.order = text, "<"

    def build(self, state: Any) -> None:
        """Take (version, byte order, …)."""
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        order = bytes(order[:1]).decode("latin1") if isinstance(order, memoryview) else order
        if order not in ("<", ">", "|", "="):
            raise HandstyleError("a damaged pickle (a dtype without a byte order)")
        self.order = order


class PickledArray(Stateful):
    """``numpy._core.multiarray._reconstruct(ndarray, (0,), b'b')``, completed with shape, dtype and data."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def build(self, state: Any) -> None:
        """Take (version, shape, dtype, Fortran order, data)."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], PickledDtype):
            raise HandstyleError("a damaged pickle (an array without a state)")
        self.state = state

    def objects(self) -> list[Any]:
        """Return the data of an array of objects."""
        return self.state[4] if len(self.state) == 5 and isinstance(self.state[4], list) else []

    def values(self, name: str) -> Array:
        """Return the array, after its shape has been found plausible."""
        if len(self.state) != 5 or not isinstance(self.state[1], tuple) or not isinstance(self.state[4], memoryview):
            raise HandstyleError(f"layer {name} is no array of numbers")
        _, declared, pickled, fortran, data = self.state
        shape = check_shape(name, declared)
        dtype = np.dtype(pickled.kind).newbyteorder(pickled.order)
        if dtype.kind != "f" or len(data) != int(np.prod(shape)) * dtype.itemsize:
            raise HandstyleError(f"layer {name} has {len(data)} bytes for shape {shape}")
        return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _class(*_: Any) -> None:
    raise HandstyleError("a damaged pickle (a class that is called)")


def _encode(text: Any, encoding: Any = "latin1") -> memoryview:
    # Python 3 writes short byte strings so in protocol 2.
    if not isinstance(text, str) or encoding != "latin1":
        raise HandstyleError("a damaged pickle (bytes that are no text)")
    return memoryview(text.encode("latin1"))


_NAMES: Names = {
    ("numpy.core.multiarray", "_reconstruct"): PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): PickledArray,
    ("numpy", "ndarray"): _class,
    ("numpy", "dtype"): PickledDtype,
    ("_codecs", "encode"): _encode,
}


def read_npy(path: Path) -> Reading:
    """Read a dictionary of kernels and biases that was saved as an array of one object."""
    with path.open("rb") as file:
        shape, _, dtype = _header(file)
        start = file.tell()
    if dtype.kind != "O" or shape != ():
        raise HandstyleError(f"one array of {dtype}, expected a dictionary of layers")
    top, _ = PickleMachine(map_file(path), _NAMES).load(start)
    objects = top.objects() if isinstance(top, PickledArray) else []
    if len(objects) != 1 or not isinstance(objects[0], dict):
        raise HandstyleError("an array of objects, but not a dictionary of layers")
    pairs = {name: _pair(name, entry) for name, entry in objects[0].items() if str(name).startswith("conv")}
    if not pairs:
        raise HandstyleError("a dictionary without a layer conv1_1")
    architecture = architecture_of(pairs)
    layers = collect(pairs, lambda name, array: array.values(name), as_hwio)
    return Reading("NumPy, dictionary", architecture, layers, order="BGR")


def _pair(name: Any, entry: Any) -> tuple[PickledArray, PickledArray]:
    if isinstance(entry, dict):
        entry = [entry.get("weights"), entry.get("biases")]
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise HandstyleError(f"layer {str(name)[:20]} is no pair of kernel and bias")
    for array in entry:
        if not isinstance(array, PickledArray) or isinstance(array, Name):
            raise HandstyleError(f"layer {str(name)[:20]} is no pair of arrays")
    return entry[0], entry[1]
