"""Read MatConvNet's files ``imagenet-vgg-verydeep-16.mat`` and ``-19.mat``.

``layers`` is a cell of structures. In that of a convolution, ``weights`` is the cell {filters, biases} (since beta 9);
before, ``filters`` and ``biases`` were separate fields. The filters were imported from Caffe with width and height
exchanged, since MATLAB's memory order is the reverse of C's, so the first axis of a filter is its width. The order of
colors is RGB (matconvnet, utils/import-caffe.py).
"""

from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.mat5 import read_mat
from weights_tools.readers.reading import Reading, check_shape, collect, name_in_order, name_keys


def read_matconvnet(path: Path) -> Reading:
    """Read the convolutions of a MatConvNet file of either layout.

    Examples
    --------
    >>> import tempfile
    >>> from scipy.io import savemat
    >>> layers = np.empty((1, 1), object)
    >>> layers[0, 0] = {"name": "conv1_1", "type": "conv", "filters": np.ones((3, 3, 3, 8)), "biases": np.zeros((1, 8))}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "imagenet-vgg-verydeep-19.mat"
    ...     savemat(file, {"layers": layers})
    ...     reading = read_matconvnet(file)
    >>> reading.order, {name: (w.shape, b.shape) for name, (w, b) in reading.layers.items()}
    ('RGB', {'conv1_1': ((3, 3, 3, 8), (8,))})
    """
    layers = read_mat(path, "layers")
    if not isinstance(layers, list):
        raise HandstyleError("its variable layers is no cell: not MatConvNet's")
    found: dict[str, tuple[Any, Any]] = {}
    for entry in layers:
        structure = entry[0] if isinstance(entry, list) and len(entry) == 1 else None
        if not isinstance(structure, dict):
            raise HandstyleError("its variable layers holds what is no layer: not MatConvNet's")
        pair = structure.get("weights", [structure.get("filters"), structure.get("biases")])
        is_kernel = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], np.ndarray)
        if structure.get("type") == "conv" and is_kernel and pair[0].ndim == 4 and pair[0].shape[:2] == (3, 3):
            found[str(structure.get("name", len(found)))] = (pair[0], pair[1])
    if all(name.startswith("conv") for name in found):
        architecture, _ = name_keys([f"{name}.{kind}" for name in found for kind in ("weight", "bias")])
        pairs = found
    else:
        architecture, names = name_in_order(len(found))
        pairs = dict(zip(names, found.values(), strict=True))

    def fetch(name: str, values: Any) -> Array:
        if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
            raise HandstyleError(f"layer {name} holds no array of floating point of a VGG's size")
        check_shape(name, values.shape)
        return values

    return Reading("MatConvNet", architecture, collect(pairs, fetch, _from_whio), order="RGB")


def _from_whio(w: Array) -> Array:  # (width 3, height 3, C, K) -> (3, 3, C, K)
    if w.ndim != 4:
        raise HandstyleError(f"a kernel has shape {w.shape}, expected four axes (3, 3, C, K)")
    return np.ascontiguousarray(w.transpose(1, 0, 2, 3), np.float32)
