"""Read ``.safetensors`` files with the names of torchvision or timm, by the library `safetensors`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.reading import Reading, check_shape, collect, from_oihw, map_file, name_keys

MAX_HEADER_BYTES = 1 << 20  # the library takes up to fourteen times as many; a VGG has a few thousand


def read_safetensors(path: Path) -> Reading:
    """Read the convolutions of a VGG from a ``.safetensors`` file.

    Examples
    --------
    >>> import tempfile
    >>> from safetensors.numpy import save_file
    >>> w, b = np.ones((8, 3, 3, 3), np.float32), np.zeros(8, np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg19.safetensors"
    ...     save_file({"features.0.weight": w, "features.0.bias": b}, file)
    ...     reading = read_safetensors(file)
    >>> {name: w.shape for name, (w, b) in reading.layers.items()}
    {'conv1_1': (3, 3, 3, 8)}
    """
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise HandstyleError("to read it, install safetensors: pip install safetensors") from None
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
    if size > MAX_HEADER_BYTES:
        raise HandstyleError(f"its header declares {size} bytes, more than any VGG needs")
    try:
        with safe_open(path, framework="np") as file:
            keys: list[str] = list(file.keys())
            architecture, pairs = name_keys(keys)

            def fetch(name: str, key: Any) -> Array:
                part = file.get_slice(key)
                check_shape(name, part.get_shape())
                kind = part.get_dtype()
                if kind == "BF16":  # which NumPy has not: the upper two bytes of a float32
                    return _upper_halves(path, key)
                if kind not in ("F32", "F16", "F64"):
                    raise HandstyleError(f"layer {name} holds {kind}, expected F32, F16, BF16 or F64")
                values: Array = np.asarray(file.get_tensor(key))
                return values

            layers = collect(pairs, fetch, from_oihw)
    except SafetensorError as error:
        raise HandstyleError(f"damaged safetensors ({' '.join(str(error).split())})") from None
    return Reading("safetensors", architecture, layers)


def _upper_halves(path: Path, key: str) -> Array:
    # The file: the header's length (8 bytes), the header (JSON), the tensors; the library has checked all of it.
    content = map_file(path)
    start = 8 + int.from_bytes(content[:8], "little")
    entry = json.loads(bytes(content[8:start]))[key]
    first, last = entry["data_offsets"]
    halves = np.frombuffer(content[start + first : start + last], "<u2").reshape(entry["shape"])
    return (halves.astype("<u4") << 16).view("<f4")
