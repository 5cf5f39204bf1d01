"""One reader a file format, and the choice between them by what a file begins with, never by its name."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Weights, check_layers, convolution_names
from weights_tools.readers.caffemodel import read_caffemodel
from weights_tools.readers.keras3 import read_keras3, read_keras_archive
from weights_tools.readers.keras_h5 import read_keras_h5
from weights_tools.readers.matconvnet import read_matconvnet
from weights_tools.readers.npz_npy import read_npy, read_npz
from weights_tools.readers.onnx_file import read_onnx
from weights_tools.readers.reading import Reading
from weights_tools.readers.safetensors_file import read_safetensors
from weights_tools.readers.torch_pickle import MAGIC, read_torch_stream, read_torch_tar, read_torch_zip

__all__ = ["Reading", "read_any"]

HDF5 = b"\x89HDF\r\n\x1a\n"


def read_any(path: str | os.PathLike[str]) -> Reading:
    """Read a pretrained VGG in any supported format.

    Parameters
    ----------
    path : path
        Of the file. Its name does not matter.

    Returns
    -------
    Reading
        Checked: the layers are those of the architecture, in shapes that fit, and finite.

    Raises
    ------
    HandstyleError
        If the file is missing, damaged, of no supported format, or holds another network. Nothing in a file is
        ever executed, and no array is allocated before its declared size has been found plausible.
    """
    path = Path(path)
    if not path.is_file():
        raise HandstyleError(f"{path}: no such weight file")
    try:
        reading = _reader(path)(path)
        order = [name for name in convolution_names(reading.architecture) if name in reading.layers]
        reading = replace(reading, layers={name: reading.layers[name] for name in order})
        check_layers(Weights(reading.architecture, "caffe", reading.layers))
    except HandstyleError as error:
        raise HandstyleError(f"{path}: {error}") from None
    except MemoryError:
        raise HandstyleError(f"{path}: declares more than memory holds; it is damaged or hostile") from None
    except Exception as error:  # a damaged file may fail anywhere in the libraries below: all of it means one thing
        reason = " ".join(str(error).split())[:200]
        raise HandstyleError(f"{path}: damaged, or not what it claims ({type(error).__name__}: {reason})") from None
    return reading


def _reader(path: Path) -> Callable[[Path], Reading]:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise HandstyleError("the file is empty")
    if head.startswith(HDF5):
        return _hdf5_reader
    if head.startswith(b"PK\x03\x04"):
        return _zip_reader(path)
    if head.startswith(b"\x93NUMPY"):
        return read_npy
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return read_matconvnet
    if head.startswith(b"MATLAB 7.3"):
        raise HandstyleError("a MATLAB 7.3 file: save it again as version 7 or below")
    if head[:32].find(MAGIC) >= 0:
        return read_torch_stream
    if head[257:262] == b"ustar" or head.rstrip(b"\0").startswith((b"sys_info\0", b"pickle\0", b"storages\0")):
        return read_torch_tar
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return read_safetensors
    if head[:1] == b"\x80":
        raise HandstyleError("a bare pickle: only those inside .npy and PyTorch files are read")
    # Protocol buffers have no signature. A NetParameter begins with its name (1) or a layer, a ModelProto with its
    # version (1, a varint) or its producer.
    if head[:1] == b"\x08":
        return read_onnx
    if head[:1] in (b"\x0a", b"\x12", b"\xa2", b"\x1a", b"\x22"):
        return read_caffemodel
    if head.lstrip()[:1] in (b"<", b"{"):
        raise HandstyleError("a text or web page, not weights: the download went wrong")
    raise HandstyleError("of no supported format (Keras, PyTorch, safetensors, MatConvNet, Caffe, npz, npy, ONNX)")


def _hdf5_reader(path: Path) -> Reading:
    import h5py

    with h5py.File(path, "r") as file:
        newer = "layers" in file or "_layer_checkpoint_dependencies" in file
    return read_keras3(path) if newer else read_keras_h5(path)


def _zip_reader(path: Path) -> Callable[[Path], Reading]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        return read_torch_zip
    if "model.weights.h5" in names:
        return read_keras_archive
    if any(name.endswith(".npy") for name in names):
        return read_npz
    raise HandstyleError("a zip archive, but neither of PyTorch, Keras nor NumPy")
