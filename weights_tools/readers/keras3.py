"""Read the files of Keras 3: ``.weights.h5``, and ``.keras``, a zip archive that contains a ``.weights.h5``.

Each layer is a group ``layers/conv2d_N`` with the datasets ``vars/0`` (kernel, (3, 3, C, K)) and ``vars/1`` (bias).
The attribute ``name`` of ``vars`` is the name of the layer, ``block1_conv1`` (since Keras 3.4). Without it, the groups
are numbered in the order of creation: ``conv2d``, ``conv2d_1`` and so on.
"""

import re
import zipfile
from pathlib import Path

import h5py

from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import hdf5_array, hdf5_child, hdf5_read, hdf5_text
from weights_tools.readers.reading import Layers, Reading, architecture_of, as_hwio, collect, name_in_order

MAX_GROUPS = 1000
MAX_DEPTH = 4  # levels of models inside models
CONVOLUTION = re.compile(r"conv2d(_\d{1,4})?|block\d_conv\d")
MEMBER = "model.weights.h5"


def read_keras3(path: Path) -> Reading:
    """Read the convolutions of a VGG from a ``.weights.h5`` file of Keras 3.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(Path(folder) / "vgg16.weights.h5", "w") as file:
    ...         for i in range(13):
    ...             variables = file.create_group(f"layers/conv2d_{i}/vars")
    ...             variables["0"], variables["1"] = np.ones((3, 3, 4, 4), np.float32), np.zeros(4, np.float32)
    ...     reading = read_keras3(Path(folder) / "vgg16.weights.h5")
    >>> reading.architecture, list(reading.layers)[-1]  # 13 convolutions
    ('vgg16', 'conv5_3')
    """
    return _reading(hdf5_read(path, _read), "Keras 3, HDF5")


def read_keras_archive(path: Path) -> Reading:
    """Read the convolutions of a VGG from a ``.keras`` archive of Keras 3 without unpacking it.

    Examples
    --------
    >>> import io, tempfile
    >>> with h5py.File(inner := io.BytesIO(), "w") as file:
    ...     variables = file.create_group("layers/conv2d/vars")
    ...     variables.attrs["name"] = "block1_conv1"
    ...     variables["0"], variables["1"] = [[[[1.0]]]], [0.0]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "vgg16.keras"
    ...     with zipfile.ZipFile(path, "w") as archive:
    ...         archive.writestr(MEMBER, inner.getvalue())
    ...     reading = read_keras_archive(path)
    >>> reading.layout, list(reading.layers)
    ('Keras 3, archive', ['conv1_1'])
    """
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(MEMBER).compress_type != zipfile.ZIP_STORED:
            raise HandstyleError(f"its {MEMBER} is compressed, which Keras never does: unzip it and give that")
    return _reading(hdf5_read(path, _read, MEMBER), "Keras 3, archive")


def _reading(arrays: Layers, layout: str) -> Reading:
    return Reading(layout, architecture_of(arrays), collect(arrays, lambda name, values: values, as_hwio))


def _read(file: h5py.File) -> Layers:
    groups = _convolutions(file)
    found: list[tuple[str, str, str]] = []  # in order: the group, the layer's own name, the path of its arrays
    for key in filter(CONVOLUTION.fullmatch, groups):
        variables = hdf5_child(groups, f"{key}/vars")
        own = hdf5_text(variables, "name") if isinstance(variables, h5py.Group) else []
        found.append((key, own[0] if own else key, f"{key}/vars"))
    paths = dict(_name(found))
    architecture_of(paths)  # refuses more layers than VGG's before any of them is read
    return {
        name: (hdf5_array(groups, f"{path}/0", name), hdf5_array(groups, f"{path}/1", name))
        for name, path in paths.items()
    }


def _convolutions(file: h5py.File) -> h5py.Group:
    # A model inside a model has layers of its own.
    level = [file]
    for _ in range(MAX_DEPTH):
        inner = []
        for group in level:
            for name in ("layers", "_layer_checkpoint_dependencies"):  # the second until Keras 3.3
                layers = hdf5_child(group, name)
                if isinstance(layers, h5py.Group) and len(layers) <= MAX_GROUPS:
                    if any(map(CONVOLUTION.fullmatch, layers)):
                        return layers
                    inner += [child for key in layers if isinstance(child := hdf5_child(layers, key), h5py.Group)]
        level = inner[:MAX_GROUPS]
    raise HandstyleError("Keras 3, but without a plausible group of layers")


def _name(found: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    own = [re.fullmatch(r"block(\d)_conv(\d)", name) for _, name, _ in found]
    if found and all(own):
        return [(f"conv{match[1]}_{match[2]}", path) for match, (_, _, path) in zip(own, found, strict=True) if match]
    order = sorted(found, key=lambda entry: int(entry[0].removeprefix("conv2d").strip("_") or 0))
    _, names = name_in_order(len(order))
    return list(zip(names, (path for _, _, path in order), strict=True))
