"""Where weights come from: the native HDF5 file, and Keras' own.

The native file says what it holds. At its root the attributes ``format`` ("handstyle-weights 1"), ``architecture``,
``convention`` and the provenance; for each convolution a group with the datasets ``w`` (3, 3, C, K) and ``b`` (K,),
float32 or float16 on disk, float32 in memory. Readers of every other published format are in ``weights_tools``;
Keras' ``notop`` file is read here too, because it is HDF5 and is what most people have.
"""

import hashlib
import io
import math
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_writing import replace_file
from handstyle.network.vgg import Weights, check_layers, convolution_names

FORMAT = "handstyle-weights 1"
# The largest kernel of any VGG, 512 to 512 channels; a file that declares more is refused before it is read.
MOST_VALUES = 9 * 512 * 512


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
        If the file cannot be read, is of neither layout, or lacks or misshapes a layer: the message names the
        layer, what was found and what was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise HandstyleError(f"{path}: no such weight file; handstyle weights list shows those that can be had")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") == FORMAT:
                weights = _read_native(file)
            elif "layer_names" in file.attrs:
                weights = _read_keras(file)
            else:
                raise HandstyleError(
                    "neither a handstyle nor a Keras weight file; handstyle weights convert reads others"
                )
        check_layers(weights)
    except HandstyleError as error:
        raise HandstyleError(f"{path}: {error}") from None
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        other = "" if h5py.is_hdf5(path) else "; handstyle weights convert reads other formats"
        raise HandstyleError(f"{path}: cannot be read as HDF5 weights ({reason}){other}") from None
    weights.provenance.update(file=path.name, sha256=sha256(path))
    return weights


def _read_native(file: h5py.File) -> Weights:
    attributes = {key: str(value) for key, value in file.attrs.items()}
    attributes.pop("format")
    architecture, convention = attributes.pop("architecture"), attributes.pop("convention")
    names = [name for name in convolution_names(architecture) if name in file]
    layers = {name: (_dataset(file, f"{name}/w", name), _dataset(file, f"{name}/b", name)) for name in names}
    return Weights(architecture, convention, layers, attributes)


def _read_keras(file: h5py.File) -> Weights:
    # keras.applications before Keras 3: groups blockB_convC, whose weight_names name the kernel and the bias.
    layers = {}
    for group_name in (_text(name) for name in file.attrs["layer_names"]):
        if not (group_name.startswith("block") and "_conv" in group_name):
            continue
        name = group_name.replace("block", "conv").replace("_conv", "_", 1)
        group = _member(file, group_name)
        if not isinstance(group, h5py.Group):
            raise HandstyleError(f"weights: layer {name} is missing its group {group_name}")
        datasets = [_text(dataset) for dataset in group.attrs["weight_names"]]
        if len(datasets) != 2:
            raise HandstyleError(f"weights: layer {name} has {len(datasets)} arrays, expected a kernel and a bias")
        w, b = (_dataset(group, dataset, name) for dataset in datasets)
        if name == "conv1_1" and w.shape[1:] == (3, 3, 3) and w.shape[0] != 3:
            raise HandstyleError(
                f"weights: layer conv1_1 has kernels of shape {w.shape}, expected (3, 3, 3, K): Theano's ordering, "
                "which handstyle weights convert reads"
            )
        layers[name] = (w, b)
    architecture = "vgg19" if {"conv3_4", "conv4_4", "conv5_4"} & set(layers) else "vgg16"
    for name in convolution_names(architecture):
        if name not in layers:
            raise HandstyleError(f"weights: layer {name} is missing; {len(layers)} layers of {architecture} found")
    source = {
        "network": f"{architecture}, ImageNet",
        "source": "keras.applications",
        "licence": "CC BY 4.0 (Oxford VGG)",
    }
    return Weights(architecture, "caffe", layers, source)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _dataset(group: h5py.Group, key: str, layer: str) -> Array:
    dataset = _member(group, key)
    if not isinstance(dataset, h5py.Dataset):
        raise HandstyleError(f"weights: layer {layer} is missing its dataset {key}")
    if dataset.shape is None or dataset.dtype.kind != "f":
        raise HandstyleError(f"weights: layer {layer} holds {dataset.dtype}, expected floating point")
    if dataset.is_virtual or dataset.external:
        raise HandstyleError(f"weights: layer {layer} keeps its values in another file")
    # HDF5 allocates a whole chunk to read one value, so a chunk may not be large either.
    for shape in (dataset.shape, dataset.chunks or ()):
        if math.prod(shape) > MOST_VALUES:
            raise HandstyleError(f"weights: layer {layer} declares {shape}, more than any VGG has")
    values: Array = np.asarray(dataset[()], np.float32)
    return values


def _member(group: h5py.Group, path: str) -> Any:
    # By hard links only: a soft or external link could lead into another file, which the fingerprint does not cover.
    node: Any = group
    for part in path.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return None
        node = node.get(part)
    return node


def write_weights(path: str | os.PathLike[str], weights: Weights, dtype: DTypeLike = np.float32) -> None:
    """Write a native weight file, atomically.

    Parameters
    ----------
    path : path
        Of the file; replaced only when the new one is complete.
    weights : Weights
        Checked by `check_layers` first.
    dtype : {float32, float16}
        On disk. Half precision is for a network trained to live with it.

    Raises
    ------
    HandstyleError
        If the weights do not fit their architecture or the file cannot be written.
    """
    check_layers(weights)
    path = Path(path)
    root = {
        "tool": f"handstyle {version('handstyle')}",
        **weights.provenance,
        "format": FORMAT,
        "architecture": weights.architecture,
        "convention": weights.convention,
    }
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs.update(root)
        for name, pair in weights.layers.items():
            for key, values in zip("wb", pair, strict=True):
                if np.abs(values).max(initial=0) > np.finfo(dtype).max:
                    raise HandstyleError(f"weights: layer {name} holds values too large for {np.dtype(dtype)}")
                file[f"{name}/{key}"] = values.astype(dtype)
    replace_file(path, content.getvalue())


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the sha256 of a file, in hexadecimal: its fingerprint in reports and registries."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
