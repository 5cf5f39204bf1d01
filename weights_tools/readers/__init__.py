"""Read weight files of any supported format; the format is determined by the first bytes, not by the file's name."""

import os
import zipfile
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

from handstyle.foundations.errors import HandstyleError, one_line
from handstyle.network.hdf5_file import hdf5_read
from handstyle.network.vgg import Weights, check_layers, convolution_names
from weights_tools.readers.reading import Reading

__all__ = ["Reading", "read_any"]

# Each format's reader, imported when a file of it is read.
READERS = {
    "caffemodel": "weights_tools.readers.caffemodel:read_caffemodel",
    "keras 0 to 2": "weights_tools.readers.keras_h5:read_keras_h5",
    "keras 3": "weights_tools.readers.keras3:read_keras3",
    "keras archive": "weights_tools.readers.keras3:read_keras_archive",
    "matconvnet": "weights_tools.readers.matconvnet:read_matconvnet",
    "npy": "weights_tools.readers.npz_npy:read_npy",
    "npz": "weights_tools.readers.npz_npy:read_npz",
    "onnx": "weights_tools.readers.onnx_file:read_onnx",
    "safetensors": "weights_tools.readers.safetensors_file:read_safetensors",
    "torch stream": "weights_tools.readers.torch_pickle:read_torch_stream",
    "torch tar": "weights_tools.readers.torch_pickle:read_torch_tar",
    "torch zip": "weights_tools.readers.torch_pickle:read_torch_zip",
}
# The number 0x1950a86a20f9469cfc6c, with which PyTorch's stream begins, as the pickle's LONG1 writes it.
TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"


def read_any(path: str | os.PathLike[str]) -> Reading:
    """Read a pretrained VGG from a file of any supported format.

    Parameters
    ----------
    path : path
        The file; its name does not matter.

    Returns
    -------
    Reading
        The convolutions, after a check that layers and shapes are those of the architecture and all values are finite.

    Raises
    ------
    HandstyleError
        If the file is missing, damaged, not of a supported format, or of another network. No code in a file is ever
        executed, and no array is allocated before its declared size has been checked.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg.npz"
    ...     np.savez(file, conv1_1_W=np.ones((3, 3, 3, 8)), conv1_1_b=np.zeros(8))
    ...     reading = read_any(file)
    >>> reading.layout, reading.architecture, reading.layers["conv1_1"][0].shape
    ('NumPy, npz', 'vgg16', (3, 3, 3, 8))
    """
    path = Path(path)
    if not path.is_file():
        raise HandstyleError(f"{path}: no such weight file")
    try:
        reading: Reading = resolve_name(READERS[_format(path)])(path)
        order = [name for name in convolution_names(reading.architecture) if name in reading.layers]
        reading = replace(reading, layers={name: reading.layers[name] for name in order})
        check_layers(Weights(reading.architecture, "caffe", reading.layers))
    except HandstyleError as error:
        raise HandstyleError(f"{path}: {error}") from None
    except MemoryError:
        raise HandstyleError(f"{path}: declares more than memory holds; it is damaged or hostile") from None
    except Exception as error:  # the libraries below raise errors of many types for damaged files
        said = f"{type(error).__name__}: {one_line(error)}"
        raise HandstyleError(f"{path}: damaged, or not what it claims ({said})") from None
    return reading


def _format(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise HandstyleError("the file is empty")
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        newer = hdf5_read(path, lambda file: "layers" in file or "_layer_checkpoint_dependencies" in file)
        return "keras 3" if newer else "keras 0 to 2"
    if head.startswith(b"PK\x03\x04"):
        return _zip_format(path)
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return "matconvnet"
    if head.startswith(b"MATLAB 7.3"):
        raise HandstyleError("a MATLAB 7.3 file: save it again as version 7 or below")
    if TORCH_MAGIC in head[:32]:
        return "torch stream"
    if head[257:262] == b"ustar" or head.rstrip(b"\0").startswith((b"sys_info\0", b"pickle\0", b"storages\0")):
        return "torch tar"
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return "safetensors"
    if head[:1] == b"\x80":
        raise HandstyleError("a bare pickle: only those inside .npy and PyTorch files are read")
    # Protocol buffers have no signature. A NetParameter begins with its name (1) or a layer, a ModelProto with its
    # version (1, a varint) or its producer.
    if head[:1] == b"\x08":
        return "onnx"
    if head[:1] in (b"\x0a", b"\x12", b"\xa2", b"\x1a", b"\x22"):
        return "caffemodel"
    if head.lstrip()[:1] in (b"<", b"{"):
        raise HandstyleError("a text or web page, not weights: the download went wrong")
    raise HandstyleError("of no supported format (Keras, PyTorch, safetensors, MatConvNet, Caffe, npz, npy, ONNX)")


def _zip_format(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return "torch zip"
    if "model.weights.h5" in names:
        return "keras archive"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    raise HandstyleError("a zip archive, but neither of PyTorch, Keras nor NumPy")
