"""What all readers of weight files share: the type of their result, the names of layers, and checks of sizes.

Each reader is for one file format. It returns kernels as (3, 3, C, K) for cross-correlation, interpreted as the format
defines them; `weights_tools.convention` and `weights_tools.verify` check whether the file follows its format.
"""

import math
import mmap
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from handstyle.network.hdf5_file import MAX_VALUES
from handstyle.network.vgg import ARCHITECTURES, convolution_names

Order = Literal["BGR", "RGB"]
Layers = dict[str, tuple[Array, Array]]


@dataclass(frozen=True)
class Reading:
    """The convolutions of a file, before their input convention is determined.

    Parameters
    ----------
    layout : str
        A description of the file's format.
    architecture : {"vgg16", "vgg19"}
        The architecture, determined by the number and names of the layers.
    layers : dict of str to (w, b)
        Kernel (3, 3, C, K), for cross-correlation, and bias (K,) of ``conv1_1`` and so on, both float32.
    order : {"BGR", "RGB"} or None
        The order of colors that the format specifies; None if it specifies none.
    turned : bool
        Whether the format's library flips kernels, so that the reader has rotated them by 180 degrees.

    Examples
    --------
    >>> w, b = np.ones((3, 3, 3, 8), np.float32), np.zeros(8, np.float32)
    >>> reading = Reading("Caffe", "vgg19", {"conv1_1": (w, b)}, order="BGR")
    >>> reading.order, reading.turned
    ('BGR', False)
    """

    layout: str
    architecture: str
    layers: Layers
    order: Order | None = None
    turned: bool = False


def map_file(path: Path) -> memoryview:
    r"""Map a file into memory, and return a view of its bytes; the map is closed with the last slice of the view.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "weights"
    ...     _ = file.write_bytes(b"\x89HDF and more")
    ...     bytes(map_file(file)[:4])
    b'\x89HDF'
    """
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip archive, or raise `HandstyleError` if it uses other methods than stored and deflated.

    The standard library decompresses other methods without a limit.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "weights.npz"
    ...     np.savez(file, conv1_1_b=np.zeros(8))
    ...     with open_zip(file) as archive:
    ...         archive.namelist()
    ['conv1_1_b.npy']
    """
    archive = zipfile.ZipFile(path)
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in archive.infolist()):
        archive.close()
        raise HandstyleError("a zip archive that is not stored or deflated: zip it again by deflate")
    return archive


def check_shape(name: str, shape: Iterable[Any]) -> tuple[int, ...]:
    """Return a shape as integers, or raise `HandstyleError` if it is larger than that of any array in a VGG.

    To be called before an array of the declared size is allocated.

    Examples
    --------
    >>> check_shape("conv1_2", [3, 3, 64, 64])
    (3, 3, 64, 64)
    >>> check_shape("conv1_2", [3, 3, 1_000_000, 64])
    Traceback (most recent call last):
        ...
    handstyle.foundations.errors.HandstyleError: layer conv1_2 declares (3, 3, 1000000, 64), more than any VGG has
    """
    sides = tuple(int(side) for side in shape)
    if min(sides, default=0) < 0:
        raise HandstyleError(f"layer {name} declares a shape with a negative side")
    if len(sides) > 5 or math.prod(sides) > MAX_VALUES:
        raise HandstyleError(f"layer {name} declares {sides[:6]}, more than any VGG has")
    return sides


def from_oihw(w: Array) -> Array:  # (K, C, 3, 3) -> (3, 3, C, K)
    """Return a kernel of Caffe, PyTorch or ONNX, (K, C, 3, 3), in this package's axis order, (3, 3, C, K).

    Examples
    --------
    >>> w = np.zeros((8, 4, 3, 3))
    >>> w[5, 2, 0, 1] = 1.0
    >>> from_oihw(w).shape, float(from_oihw(w)[0, 1, 2, 5])
    ((3, 3, 4, 8), 1.0)
    """
    if w.ndim != 4:
        raise HandstyleError(f"a kernel has shape {w.shape}, expected four axes (K, C, 3, 3)")
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0), np.float32)


def as_hwio(w: Array) -> Array:  # (3, 3, C, K) -> (3, 3, C, K)
    """Return a kernel that has this package's axis order already, as contiguous float32.

    Examples
    --------
    >>> as_hwio(np.ones((3, 3, 4, 8))).dtype.name
    'float32'
    """
    return np.ascontiguousarray(w, np.float32)


def indexed_names(architecture: str, first: int = 0, step: int = 2) -> dict[int, str]:
    """Return the names of convolutions by their positions in a Sequential.

    Parameters
    ----------
    architecture : {"vgg16", "vgg19"}
        The architecture.
    first, step : int
        The position of conv1_1, and the distance of conv1_2 from it. By default they are those of torchvision's
        ``features``, where the rectifier after each convolution and the pool after each block have positions too
        (torchvision, models/vgg.py).

    Examples
    --------
    >>> list(indexed_names("vgg19").items())[:3]
    [(0, 'conv1_1'), (2, 'conv1_2'), (5, 'conv2_1')]
    """
    positions, position = {}, first
    for block, count in enumerate(ARCHITECTURES[architecture], 1):
        for index in range(1, count + 1):
            positions[position] = f"conv{block}_{index}"
            position += step
        position += 1
    return positions


_INDEXED = re.compile(r"(?:^|.*\.)(\d{1,3})\.(weight|bias)$")
_NAMED = re.compile(r"(?:^|.*[./])conv(\d)_(\d)[._/](weights?|bias(?:es)?|kernel|W|w|b)(?::0)?$")
_WEIGHT = {"weight", "weights", "kernel", "W", "w"}


def name_keys(keys: Iterable[str]) -> tuple[str, dict[str, tuple[str, str]]]:
    """Find the convolutions of a VGG among the names of the arrays in a file.

    Parameters
    ----------
    keys : iterable of str
        Names such as ``features.0.weight`` (torchvision, timm), ``conv1_1.bias`` or ``conv1_1_W``.

    Returns
    -------
    architecture : str
        ``vgg16`` or ``vgg19``.
    pairs : dict
        The keys of kernel and bias for each layer, ``conv1_1`` and so on.

    Raises
    ------
    HandstyleError
        If the names are those of another network, or a kernel has no bias.

    Examples
    --------
    >>> architecture, pairs = name_keys(["features.0.weight", "features.0.bias", "classifier.0.weight"])
    >>> pairs
    {'conv1_1': ('features.0.weight', 'features.0.bias')}
    """
    keys = [key for key in keys if isinstance(key, str)]
    if any(key.endswith("running_mean") for key in keys):
        raise HandstyleError("a network with batch normalization: only VGG-16 and VGG-19 without it are read")
    named: dict[str, dict[str, str]] = {}
    indexed: dict[int, dict[str, str]] = {}
    for key in keys:
        if match := _NAMED.match(key):
            kind = "w" if match[3] in _WEIGHT else "b"
            named.setdefault(f"conv{match[1]}_{match[2]}", {})[kind] = key
        elif "classifier" not in key and (match := _INDEXED.match(key)):
            indexed.setdefault(int(match[1]), {})["w" if match[2] == "weight" else "b"] = key
    if named:
        architecture = architecture_of(named)
        found = named
    elif indexed:
        architecture, positions = _by_positions(set(indexed))
        found = {positions[i]: pair for i, pair in indexed.items()}
    else:
        some = ", ".join(key[:40] for key in keys[:3]) or "nothing"
        raise HandstyleError(f"no convolution of a VGG among its names (it holds {some})")
    for name, pair in found.items():
        if set(pair) != {"w", "b"}:
            raise HandstyleError(f"layer {name} has only a {'kernel' if 'w' in pair else 'bias'}, expected both")
    order = [name for name in convolution_names(architecture) if name in found]
    return architecture, {name: (found[name]["w"], found[name]["b"]) for name in order}


def _by_positions(found: set[int]) -> tuple[str, dict[int, str]]:
    candidates = {architecture: indexed_names(architecture) for architecture in ARCHITECTURES}
    for architecture, positions in candidates.items():
        if found == set(list(positions)[: len(found)]):
            return architecture, positions
    for architecture, positions in candidates.items():
        expected = [i for i in positions if i <= max(found)]
        if found < set(expected):  # the network, but for some layers
            missing = next(i for i in expected if i not in found)
            raise HandstyleError(f"layer {positions[missing]} of {architecture} (position {missing}) is missing")
    some = ", ".join(map(str, sorted(found)[:8]))
    raise HandstyleError(f"layers at positions {some} …: neither VGG-16 nor VGG-19")


def architecture_of(names: Iterable[str]) -> str:
    """Return the smallest architecture that has all the named layers, or raise `HandstyleError` if there is none.

    Examples
    --------
    >>> architecture_of(["conv1_1", "conv5_1"]), architecture_of(["conv1_1", "conv5_4"])
    ('vgg16', 'vgg19')
    """
    names = set(names)
    for architecture in ("vgg16", "vgg19"):
        if names <= set(convolution_names(architecture)):
            return architecture
    strange = sorted(names - set(convolution_names("vgg19")))[0]
    raise HandstyleError(f"layer {strange[:40]} found, but neither VGG-16 nor VGG-19 has such a layer")


def name_in_order(count: int) -> tuple[str, list[str]]:
    """Return the architecture that has `count` convolutions, 13 for VGG-16 and 16 for VGG-19, and their names.

    Examples
    --------
    >>> architecture, names = name_in_order(13)
    >>> architecture, names[-1]
    ('vgg16', 'conv5_3')
    """
    for architecture in ARCHITECTURES:
        names = convolution_names(architecture)
        if count == len(names):
            return architecture, names
    raise HandstyleError(f"{count} convolutions found: VGG-16 has 13, VGG-19 has 16")


def collect(
    pairs: Mapping[str, tuple[Any, Any]], fetch: Callable[[str, Any], Array], transpose: Callable[[Array], Array]
) -> Layers:
    """Fetch and check all kernels and biases, and return them by layer, with kernels as (3, 3, C, K).

    Parameters
    ----------
    pairs : mapping of str to (any, any)
        The reader's handles of kernel and bias, by layer.
    fetch : callable
        Called with the name of a layer and a handle; returns the array.
    transpose : callable
        Transposes a kernel from the format's axis order to (3, 3, C, K).

    Examples
    --------
    >>> arrays = {"w": np.ones((8, 3, 3, 3)), "b": np.zeros((1, 8))}
    >>> layers = collect({"conv1_1": ("w", "b")}, lambda name, key: arrays[key], from_oihw)
    >>> {name: (w.shape, b.shape) for name, (w, b) in layers.items()}
    {'conv1_1': ((3, 3, 3, 8), (8,))}
    """
    layers: Layers = {}
    for name, (kernel, bias) in pairs.items():
        w, b = fetch(name, kernel), fetch(name, bias)
        try:
            layers[name] = transpose(w), np.ascontiguousarray(b.reshape(-1), np.float32)
        except HandstyleError as error:
            raise HandstyleError(f"layer {name}: {error}") from None
    return layers
