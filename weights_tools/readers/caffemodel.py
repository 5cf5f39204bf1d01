"""Caffe's ``.caffemodel``: a NetParameter in the wire format of protocol buffers, with layers of version 1 or 2.

Field numbers are those of caffe.proto: NetParameter layers = 2 (V1), layer = 100 (V2); V1 layer: name 4, type 5 (4 is
CONVOLUTION), blobs 6; V2 layer: name 1, type 2, blobs 7; blob: num, channels, height, width 1 to 4, data 5, shape 7,
double_data 8. Kernels are (K, C, 3, 3), cross-correlation.
"""

from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.reading import Reading, check_shape, collect, from_oihw, map_file, name_keys
from weights_tools.readers.wire import fields, integers, join, message, text

MOST_LAYERS = 500
MOST_PARTS = 4 * 9 * 512 * 512  # fields of one blob, were each value on its own
_V1_CONVOLUTION = 4


def read_caffemodel(path: Path) -> Reading:
    """Read the convolutions of a ``.caffemodel`` by their names, ``conv1_1`` …."""
    found: dict[str, list[memoryview]] = {}
    layers = 0
    for number, _, value in fields(map_file(path)):
        if number not in (2, 100):
            continue
        layers += 1
        if layers > MOST_LAYERS:
            raise HandstyleError(f"more than {MOST_LAYERS} layers: no VGG")
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
    single: list[memoryview] = []
    double: list[memoryview] = []
    for parts, (number, kind, value) in enumerate(fields(blob)):
        if parts > MOST_PARTS:
            raise HandstyleError(f"layer {name} has more values than any VGG")
        if number in old and isinstance(value, int):
            old[number] = value
        elif number == 7:
            for inner, inner_kind, inner_value in fields(message(value)):
                if inner == 1:
                    shape += integers(inner_kind, inner_value)
        elif number == 5 and kind in (2, 5):
            single.append(message(value))
        elif number == 8 and kind in (1, 2):
            double.append(message(value))
    values = join(double, "<f8", name) if double else join(single, "<f4", name)
    if not shape:
        # The bias of the older form is (1, 1, 1, K); collect() flattens it.
        shape = [old[i] for i in (1, 2, 3, 4)]
    sides = check_shape(name, shape)
    if int(np.prod(sides)) != values.size:
        raise HandstyleError(f"layer {name} has {values.size} values for shape {sides}")
    return values.reshape(sides)
