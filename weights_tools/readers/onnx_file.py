"""Read ONNX files: the initializers that are inputs of the Conv nodes, in the order of the graph.

Field numbers are those of onnx.proto: ModelProto graph = 7; GraphProto node = 1, initializer = 5; NodeProto input 1,
op_type 4; TensorProto dims 1, data_type 2 (1 float, 10 float16, 11 double), float_data 4, name 8, raw_data 9,
double_data 10, data_location 14. Kernels are (K, C, 3, 3), cross-correlation.
"""

from pathlib import Path
from typing import Any

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.reading import Reading, collect, from_oihw, map_file, name_in_order
from weights_tools.readers.wire import append, as_array, fields, integers, message, text

MAX_NODES = 5000
FORMATS = {1: "<f4", 10: "<f2", 11: "<f8"}


def read_onnx(path: Path) -> Reading:
    r"""Read the convolutions of a VGG from an ONNX file.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> def field(number, data):  # number and kind, the length in two bytes, the data
    ...     return bytes([number << 3 | 2, len(data) & 127 | 128, len(data) >> 7]) + data
    >>> def tensor(name, *sides):  # the sides, the type float, the name, the values
    ...     shape = b"".join(bytes([8, side]) for side in sides)
    ...     return field(5, shape + b"\x10\1" + field(8, name) + field(9, np.ones(sides, "<f4").tobytes()))
    >>> convolution = field(1, field(1, b"x") + field(1, b"w") + field(1, b"b") + field(4, b"Conv"))
    >>> graph = 13 * convolution + tensor(b"w", 4, 4, 3, 3) + tensor(b"b", 4)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg.onnx"
    ...     _ = file.write_bytes(b"\x08\x07" + field(7, graph))
    ...     reading = read_onnx(file)
    >>> reading.architecture, reading.layers["conv5_3"][0].shape  # all 13 have the same kernel
    ('vgg16', (3, 3, 4, 4))
    """
    graph = next((message(value) for number, _, value in fields(map_file(path)) if number == 7), None)
    if graph is None:
        raise HandstyleError("of no supported format (read as ONNX, it has no graph)")
    convolutions: list[list[str]] = []
    initializers: dict[str, memoryview] = {}
    for count, (number, _, value) in enumerate(fields(graph)):
        if count > MAX_NODES:
            raise HandstyleError(f"more than {MAX_NODES} nodes: no VGG")
        if number == 1:
            inputs, operation = _node(message(value))
            if operation == "BatchNormalization":
                raise HandstyleError("a network with batch normalization: only VGG-16 and VGG-19 without it are read")
            if operation == "Conv":
                convolutions.append(inputs)
        elif number == 5:
            tensor = message(value)
            name = next((text(inner) for field, _, inner in fields(tensor) if field == 8), "")
            initializers[name] = tensor
    architecture, names = name_in_order(len(convolutions))
    pairs = {}
    for layer, inputs in zip(names, convolutions, strict=True):
        if len(inputs) != 3 or not set(inputs[1:]) <= set(initializers):
            raise HandstyleError(f"layer {layer} lacks a kernel or a bias among the initializers")
        pairs[layer] = (initializers[inputs[1]], initializers[inputs[2]])
    return Reading("ONNX", architecture, collect(pairs, _tensor, from_oihw))


def _node(node: memoryview) -> tuple[list[str], str]:
    inputs: list[str] = []
    operation = ""
    for number, _, value in fields(node):
        if number == 1 and len(inputs) < 8:
            inputs.append(text(value))
        elif number == 4:
            operation = text(value)
    return inputs, operation


def _tensor(name: str, tensor: Any) -> Array:
    shape: list[int] = []
    dtype = 0
    raw = memoryview(b"")
    values = bytearray()
    for number, kind, value in fields(tensor):
        if number == 1 and len(shape) < 16:
            shape += integers(kind, value)
        elif number == 2 and isinstance(value, int):
            dtype = value
        elif number == 14 and value == 1:
            raise HandstyleError(f"layer {name} keeps its values in another file: save the model with its data inside")
        elif number == 9:
            raw = message(value)
        elif (number == 4 and kind in (2, 5)) or (number == 10 and kind in (1, 2)):
            append(values, value)
    if dtype not in FORMATS:
        raise HandstyleError(f"layer {name} has ONNX's data type {dtype}, expected floating point")
    return as_array(name, shape, raw or values, FORMATS[dtype])
