"""Read the files of Keras before version 3: HDF5 with one group for each layer.

There are two layouts. The later one lists its groups in the attribute ``layer_names`` and their arrays in
``weight_names``, at the root or in the group ``model_weights`` (keras, legacy/saving/legacy_h5_format.py); a kernel is
(3, 3, C, K) in TensorFlow's ordering and (K, C, 3, 3) in Theano's. The older one numbers the groups, ``layer_N`` with
the attribute ``nb_params`` and the datasets ``param_0``, ``param_1`` (Keras 0.x, Sequential.save_weights), always in
Theano's ordering.

Theano's convolution flips its kernels, cross-correlation does not, so a Theano kernel is rotated by 180 degrees.
"""

import re
from pathlib import Path

import h5py
import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import hdf5_array, hdf5_child, hdf5_read, hdf5_text
from weights_tools.readers.reading import Layers, Reading, as_hwio, collect, from_oihw, name_in_order, name_keys

MAX_LAYERS = 200


def read_keras_h5(path: Path) -> Reading:
    """Read the convolutions of a VGG from an HDF5 file of Keras 0 to 2, in TensorFlow's or Theano's ordering.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder) / "vgg16.h5", "w") as file:
    ...         file.attrs["layer_names"] = [b"block1_conv1"]
    ...         layer = file.create_group("block1_conv1")
    ...         layer.attrs["weight_names"] = [b"W", b"b"]
    ...         layer["W"], layer["b"] = np.ones((8, 3, 3, 3), np.float32), np.zeros(8, np.float32)
    ...     reading = read_keras_h5(Path(folder) / "vgg16.h5")
    >>> reading.layers["conv1_1"][0].shape, reading.turned  # (K, C, 3, 3) is Theano's ordering
    ((3, 3, 3, 8), True)
    """
    layout, architecture, arrays = hdf5_read(path, _read)
    theano = _is_theano(arrays["conv1_1"][0].shape) if "conv1_1" in arrays else False
    layers = collect(arrays, lambda name, values: values, _from_theano if theano else as_hwio)
    ordering = "Theano's ordering, kernels rotated" if theano else "TensorFlow's ordering"
    return Reading(f"{layout}, {ordering}", architecture, layers, turned=theano)


def _read(file: h5py.File) -> tuple[str, str, Layers]:
    group = hdf5_child(file, "model_weights") if "model_weights" in file else file
    if not isinstance(group, h5py.Group):
        raise HandstyleError("its model_weights is no group")
    if group_names := hdf5_text(group, "layer_names"):
        architecture, pairs = _named(group, group_names)
        layout = "Keras 1 or 2, HDF5"
    elif "nb_layers" in group.attrs:
        architecture, pairs = _numbered(group)
        layout = "Keras 0, HDF5"
    else:
        raise HandstyleError("HDF5, but neither Keras' nor this package's own layout")
    arrays = {name: (hdf5_array(group, w, name), hdf5_array(group, b, name)) for name, (w, b) in pairs.items()}
    return layout, architecture, arrays


def _is_theano(shape: tuple[int, ...]) -> bool:
    if len(shape) == 4 and shape[:3] == (3, 3, 3) and shape[3] != 3:
        return False
    if len(shape) == 4 and shape[1:] == (3, 3, 3) and shape[0] != 3:
        return True
    raise HandstyleError(f"layer conv1_1 has kernels of shape {shape}, expected (3, 3, 3, K) or (K, 3, 3, 3)")


def _from_theano(w: Array) -> Array:  # (K, C, 3, 3), convolution -> (3, 3, C, K), cross-correlation
    return np.ascontiguousarray(from_oihw(w)[::-1, ::-1])


def _named(group: h5py.Group, group_names: list[str]) -> tuple[str, dict[str, tuple[str, str]]]:
    pairs = {}
    for group_name in group_names[:MAX_LAYERS]:
        match = re.fullmatch(r"(?:block|conv)(\d)_(?:conv)?(\d)", group_name)
        if not match:
            continue
        layer = hdf5_child(group, group_name)
        arrays = hdf5_text(layer, "weight_names") if isinstance(layer, h5py.Group) else []
        name = f"conv{match[1]}_{match[2]}"
        if len(arrays) != 2:
            raise HandstyleError(f"layer {name} has {len(arrays)} arrays, expected a kernel and a bias")
        pairs[name] = (f"{group_name}/{arrays[0]}", f"{group_name}/{arrays[1]}")
    # The names are passed as keys, because `name_keys` decides which layers belong to which architecture.
    architecture, _ = name_keys([f"{name}.{kind}" for name in pairs for kind in ("weight", "bias")])
    return architecture, pairs


def _numbered(group: h5py.Group) -> tuple[str, dict[str, tuple[str, str]]]:
    found = []
    for index in range(min(_number(group, "nb_layers"), MAX_LAYERS)):
        layer = hdf5_child(group, f"layer_{index}")
        if not isinstance(layer, h5py.Group) or _number(layer, "nb_params") != 2:
            continue
        kernel = hdf5_child(layer, "param_0")
        if isinstance(kernel, h5py.Dataset) and kernel.ndim == 4:
            found.append((f"layer_{index}/param_0", f"layer_{index}/param_1"))
    architecture, names = name_in_order(len(found))
    return architecture, dict(zip(names, found, strict=True))


def _number(group: h5py.Group, attribute: str) -> int:
    if attribute not in group.attrs or group.attrs.get_id(attribute).get_storage_size() > 16:
        return 0
    return int(group.attrs[attribute])
