"""Read Caffe's ``.caffemodel``: a NetParameter in the wire format of protocol buffers, with layers of version 1 or 2.

Field numbers are those of caffe.proto: NetParameter layers = 2 (V1), layer = 100 (V2); V1 layer: name 4, type 5 (4 is
CONVOLUTION), blobs 6; V2 layer: name 1, type 2, blobs 7; blob: num, channels, height, width 1 to 4, data 5, shape 7,
double_data 8. Kernels are (K, C, 3, 3), cross-correlation.
"""

from pathlib import Path
from typing import Any

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.reading import Reading, collect, from_oihw, map_file, name_keys
from weights_tools.readers.wire import append, as_array, fields, integers, message, text

MAX_LAYERS = 500
_V1_CONVOLUTION = 4


def read_caffemodel(path: Path) -> Reading:
    """Read the convolutions of a ``.caffemodel`` file, which are named ``conv1_1`` and so on.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> def field(number, data):  # number and kind, the length in two bytes, the data
    ...     return bytes([number << 3 | 2, len(data) & 127 | 128, len(data) >> 7]) + data
    >>> def blob(a):  # four sides, the values
    ...     sides = b"".join(bytes([axis << 3, side]) for axis, side in enumerate(a.shape, 1))
    ...     return field(6, sides + field(5, a.astype("<f4").tobytes()))
    >>> kernel, bias = np.ones((8, 3, 3, 3)), np.zeros((1, 1, 1, 8))
    >>> layer = field(4, b"conv1_1") + bytes([5 << 3, 4]) + blob(kernel) + blob(bias)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg.caffemodel"
    ...     _ = file.write_bytes(field(2, layer))
    ...     reading = read_caffemodel(file)
    >>> {name: w.shape for name, (w, b) in reading.layers.items()}
    {'conv1_1': (3, 3, 3, 8)}
    """
    found: dict[str, list[memoryview]] = {}
    layers = 0
    for number, _, value in fields(map_file(path)):
        if number not in (2, 100):
            continue
        layers += 1
        if layers > MAX_LAYERS:
            raise HandstyleError(f"more than {MAX_LAYERS} layers: no VGG")
        name, convolution, blobs = _layer(message(value), 1 if number == 2 else 2)
        if convolution and blobs:
            found[name] = blobs
    if not layers:
        raise HandstyleError("of no supported format (read as Caffe's, it has no layer)")
    wrong = next((name for name, blobs in found.items() if len(blobs) != 2), None)
    if wrong is not None:
        raise HandstyleError(f"layer {wrong[:40]} has {len(found[wrong])} arrays, expected a kernel and a bias")
    architecture, pairs = name_keys([f"{name}.{kind}" for name in found for kind in ("weight", "bias")])
    blob_pairs = {name: (found[name][0], found[name][1]) for name in pairs}
    return Reading("Caffe", architecture, collect(blob_pairs, _blob, from_oihw), order="BGR")


def _layer(layer: memoryview, version: int) -> tuple[str, bool, list[memoryview]]:
    name_field, type_field, blob_field = (4, 5, 6) if version == 1 else (1, 2, 7)
    name, convolution = "", False
    blobs: list[memoryview] = []
    for number, _, value in fields(layer):
        if number == name_field:
            name = text(value)
        elif number == type_field:
            convolution = value == _V1_CONVOLUTION if version == 1 else text(value) == "Convolution"
        elif number == blob_field and len(blobs) < 8:
            blobs.append(message(value))
        elif version == 1 and number == 1:
            raise HandstyleError("layers of Caffe's version 0: upgrade it with Caffe's upgrade_net_proto_binary")
    return name, convolution, blobs


def _blob(name: str, blob: Any) -> Array:
    old = {1: 0, 2: 0, 3: 0, 4: 0}
    shape: list[int] = []
    single, double = bytearray(), bytearray()
    for number, kind, value in fields(blob):
        if number in old and isinstance(value, int):
            old[number] = value
        elif number == 7:
            for inner, inner_kind, inner_value in fields(message(value)):
                if inner == 1 and len(shape) < 16:
                    shape += integers(inner_kind, inner_value)
        elif number == 5 and kind in (2, 5):
            append(single, value)
        elif number == 8 and kind in (1, 2):
            append(double, value)
    if not shape:
        # The bias of the older form is (1, 1, 1, K); collect() flattens it.
        shape = list(old.values())
    return as_array(name, shape, double, "<f8") if double else as_array(name, shape, single, "<f4")
