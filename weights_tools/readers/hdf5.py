"""HDF5 read with care: by path only, no link that leaves the file, nothing of implausible size."""

from typing import Any

import h5py
import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.weights import MOST_VALUES
from weights_tools.readers.reading import check_shape

MOST_NAMES = 1 << 16  # bytes of an attribute that lists layers; VGG-19's is below 2 kB


def child(group: h5py.Group, name: str) -> Any:
    """Return a member, or None; only one that a hard link leads to, so that no file can point outside itself."""
    node: Any = group
    for part in name.split("/"):
        if not isinstance(node, h5py.Group) or not isinstance(node.get(part, getlink=True), h5py.HardLink):
            return None
        node = node.get(part)
    return node


def dataset(group: h5py.Group, name: str, layer: str) -> Array:
    """Read the dataset of a layer as it lies, after its size has been found plausible.

    External and virtual datasets, whose bytes lie in other files, are refused, and so are chunks that are larger than
    the dataset may be: HDF5 allocates a whole chunk to read one value.
    """
    node = child(group, name)
    if not isinstance(node, h5py.Dataset):
        raise HandstyleError(f"layer {layer} lacks its dataset {name}")
    if node.shape is None or node.dtype.kind != "f":
        raise HandstyleError(f"layer {layer} holds {node.dtype}, expected floating point")
    check_shape(layer, node.shape)
    if node.is_virtual or node.external:
        raise HandstyleError(f"layer {layer} keeps its values in another file")
    if node.chunks and int(np.prod(node.chunks, dtype=object)) > MOST_VALUES:
        raise HandstyleError(f"layer {layer} declares chunks of {node.chunks}, more than any VGG has")
    values: Array = node[()]
    return values


def names(group: h5py.Group, attribute: str) -> list[str]:
    """Read an attribute that lists names; empty if it is absent."""
    if attribute not in group.attrs:
        return []
    if group.attrs.get_id(attribute).get_storage_size() > MOST_NAMES:
        raise HandstyleError(f"its attribute {attribute} is larger than any VGG's")
    values = np.atleast_1d(group.attrs[attribute])
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def number(group: h5py.Group, attribute: str) -> int:
    """Read an attribute that counts; 0 if it is absent."""
    if attribute not in group.attrs or group.attrs.get_id(attribute).get_storage_size() > 16:
        return 0
    return int(group.attrs[attribute])
