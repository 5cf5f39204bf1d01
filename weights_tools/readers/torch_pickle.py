"""Read PyTorch's ``.pth`` files: the zip archive (since 1.6), the earlier stream, and the tar archive of 0.1.

All three have a pickle that describes tensors as views (offset, shape, stride) of storages, and the storages as bytes
(torch/serialization.py). The pickle is read by `PickleMachine` with a table of tensors and ordered dictionaries; only
the storages of convolutions are read.
"""

import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.backend import Array
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers.color_layer import NOTE, color_layer_keys
from weights_tools.readers.pickle_machine import NUMPY_NAMES, Name, Names, PickleMachine, dictionary_key, plain_text
from weights_tools.readers.reading import Order, Reading, check_shape, collect, from_oihw, map_file, name_keys, open_zip

# bfloat16, which NumPy lacks, is read as the upper two bytes of a float32.
_DTYPES = {
    "Float": "<f4", "Half": "<f2", "Double": "<f8", "BFloat16": "<u2",
    "Long": "<i8", "Int": "<i4", "Short": "<i2", "Char": "i1", "Byte": "u1", "Bool": "?",
}  # fmt: skip
MAX_STATE_DEPTH = 3  # dictionaries around the one that holds the weights
MAX_STORAGES = 1000
MAX_PICKLE_BYTES = 1 << 22


@dataclass
class _Storage:
    """A storage of PyTorch, a vector of values of one dtype, whose bytes are read when they are needed."""

    dtype: np.dtype[Any]
    count: int
    fetch: Callable[[], memoryview | bytes]


@dataclass(frozen=True)
class _Tensor:
    """A tensor as a view of a storage; offset and strides are in values, not bytes."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def values(self, name: str) -> Array:
        """Return a copy of the tensor of the layer `name`, after checking its shape and extent."""
        check_shape(name, self.shape)
        upper_half = self.storage.dtype == "<u2"
        if self.storage.dtype.kind != "f" and not upper_half:
            raise HandstyleError(f"layer {name} holds {self.storage.dtype}, expected floating point")
        if len(self.shape) != len(self.stride) or self.offset < 0 or any(step < 0 for step in self.stride):
            raise HandstyleError(f"layer {name} is not a view of its storage")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        data = self.storage.fetch()
        if 0 in self.shape or (last + 1) * self.storage.dtype.itemsize > len(data):
            raise HandstyleError(f"layer {name} reaches beyond its storage: the file is cut short")
        flat = np.frombuffer(data, self.storage.dtype, count=last + 1)[self.offset :]
        steps = [step * flat.itemsize for step in self.stride]
        view = np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False)
        return (view.astype("<u4") << 16).view("<f4") if upper_half else np.array(view)


def _integers(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > 8 or not all(type(value) is int for value in values):
        raise HandstyleError("a damaged pickle (a tensor without a shape)")
    return values


def _rebuild_tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage) or type(offset) is not int:
        raise HandstyleError("a damaged pickle (a tensor without a storage)")
    return _Tensor(storage, offset, _integers(shape), _integers(stride))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _dictionary(items: Any = ()) -> dict[Any, Any]:
    # Python 2 pickles an ordered dictionary with a list of [key, value] lists as its argument.
    pairs = items if isinstance(items, list) else []
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise HandstyleError("a damaged pickle (an ordered dictionary of what are no pairs)")
    return {dictionary_key(key): value for key, value in pairs}


def _storage_type(*_: Any) -> None:
    raise HandstyleError("a damaged pickle (a storage type that is called)")


_NAMES: Names = {
    **NUMPY_NAMES,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("collections", "OrderedDict"): _dictionary,
    **{
        (module, f"{kind}{what}"): _storage_type
        for module in ("torch", "torch.cuda")
        for kind in _DTYPES
        for what in ("Storage", "Tensor")
    },
}


def _dtype(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, Name) or not kind.name.endswith("Storage"):
        raise HandstyleError("a damaged pickle (a storage without a type)")
    return np.dtype(_DTYPES[kind.name.removesuffix("Storage")])


def _reading(state: Any, layout: str) -> Reading:
    level = [state]
    for _ in range(MAX_STATE_DEPTH + 1):
        level = [one for one in level if isinstance(one, dict)][:MAX_STORAGES]
        if kernels := [one for one in level if any(isinstance(x, _Tensor) and len(x.shape) == 4 for x in one.values())]:
            state = kernels[0]
            break
        level = [value for one in level for value in one.values()]
    if not isinstance(state, dict):
        raise HandstyleError("a PyTorch file, but not a state dictionary: save model.state_dict()")
    tensors = {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, _Tensor)}
    shapes = {key: tensor.shape for key, tensor in tensors.items()}
    order: Order | None = None
    if renamed := color_layer_keys(shapes, lambda key: tensors[key].values(key)):
        tensors = {name: tensors[key] for name, key in renamed.items()}
        layout, order = f"{layout}, {NOTE}", "BGR"
    architecture, pairs = name_keys(tensors)
    return Reading(layout, architecture, collect(pairs, lambda name, key: tensors[key].values(name), from_oihw), order)


def read_torch_zip(path: Path) -> Reading:
    """Read the convolutions of a VGG from a zip archive, in which PyTorch saves since 1.6.

    Its members are ``NAME/data.pkl``, the pickle, and the storages ``NAME/data/KEY``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg19.pt"
    ...     with zipfile.ZipFile(file, "w") as archive:
    ...         archive.writestr("vgg19/constants.pkl", b"")
    ...     try:
    ...         read_torch_zip(file)
    ...     except HandstyleError as error:
    ...         print(str(error).split(":")[0])
    a TorchScript file
    """
    with open_zip(path) as archive:
        names = set(archive.namelist())
        if any(name.endswith("/constants.pkl") for name in names):
            raise HandstyleError(
                "a TorchScript file: load it with torch.jit.load, and save its weights alone, "
                "torch.save(model.state_dict(), …)"
            )
        pickle_name = next(name for name in sorted(names, key=len) if name.endswith("data.pkl"))
        root = pickle_name.removesuffix("data.pkl")
        if f"{root}byteorder" in names and _entry(archive, f"{root}byteorder", 64) != b"little":
            raise HandstyleError("written on a big-endian machine, which is not supported")

        def persistent(key: Any) -> _Storage:
            kind, storage_key, count = _storage_id(key)
            dtype = _dtype(kind)

            def fetch() -> bytes:
                check_shape(f"storage {storage_key}", (count,))
                return _entry(archive, f"{root}data/{storage_key}", count * dtype.itemsize)

            return _Storage(dtype, count, fetch)

        program = memoryview(_entry(archive, pickle_name, MAX_PICKLE_BYTES))
        state, _ = PickleMachine(program, _NAMES, persistent).load()
        return _reading(state, "PyTorch, zip")


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    # At most `most` bytes are decompressed, whatever size the archive declares, as a protection from zip bombs.
    with archive.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise HandstyleError(f"its entry {name} is larger than it may be")
    return data


def _storage_id(key: Any) -> tuple[Any, str, int]:
    if not isinstance(key, tuple) or len(key) < 5 or plain_text(key[0]) != "storage" or type(key[4]) is not int:
        raise HandstyleError("a damaged pickle (a reference that names no storage)")
    name = plain_text(key[2])
    if not isinstance(name, str) or key[4] < 0:
        raise HandstyleError("a damaged pickle (a storage without a key)")
    return key[1], name, key[4]


def read_torch_stream(path: Path) -> Reading:
    """Read the convolutions of a VGG from the stream in which PyTorch saved before 1.6.

    It consists of five pickles (magic number, protocol, system, state, keys of storages) and the bytes of the storages.

    Examples
    --------
    >>> import pickle, tempfile
    >>> parts = (0x1950A86A20F9469CFC6C, 1001, {}, {"epoch": 3}, [])  # a checkpoint without tensors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg19.pth"
    ...     _ = file.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))
    ...     try:
    ...         read_torch_stream(file)
    ...     except HandstyleError as error:
    ...         print(error)
    no convolution of a VGG among its names (it holds nothing)
    """
    view, position = map_file(path), 0
    for _ in range(3):
        _, position = PickleMachine(view, _NAMES).load(position)
    storages: dict[str, _Storage] = {}

    def persistent(key: Any) -> _Storage:
        kind, name, count = _storage_id(key)
        # A sixth part, if it is not None, makes it a view of a storage; PyTorch writes none for a network's state.
        if len(key) > 5 and key[5] is not None:
            raise HandstyleError("storages that are views of others, which no network's state needs")
        if name not in storages:
            storages[name] = _Storage(_dtype(kind), count, lambda: b"")
        return storages[name]

    state, position = PickleMachine(view, _NAMES, persistent).load(position)
    keys, position = PickleMachine(view, _NAMES).load(position)
    if not isinstance(keys, list) or len(keys) > MAX_STORAGES:
        raise HandstyleError("a damaged PyTorch stream (no list of storages)")
    for key in map(plain_text, keys):
        if not isinstance(key, str) or key not in storages:
            raise HandstyleError("a damaged PyTorch stream (a storage that nothing refers to)")
        position = _place(view, position, storages[key])
    return _reading(state, "PyTorch, stream")


def _place(view: memoryview, position: int, storage: _Storage) -> int:
    # A storage consists of the number of its values, in eight bytes, and the values.
    if position + 8 > len(view):
        raise HandstyleError("the file is cut short within its storages")
    count: int = struct.unpack("<q", view[position : position + 8])[0]
    end = position + 8 + count * storage.dtype.itemsize
    if count < 0 or end > len(view):
        raise HandstyleError("the file is cut short within its storages")
    storage.fetch = lambda: view[position + 8 : end]
    return end


def read_torch_tar(path: Path) -> Reading:
    """Read the convolutions of a VGG from a tar archive of PyTorch 0.1.

    Its members are ``storages``, ``tensors`` and ``pickle``.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "vgg19.pth"
    ...     with tarfile.open(file, "w") as archive:
    ...         archive.addfile(tarfile.TarInfo("storages"))
    ...     try:
    ...         read_torch_tar(file)
    ...     except HandstyleError as error:
    ...         print(error)
    a tar archive without pickle: not PyTorch's
    """
    parts = _tar_members(path)
    if missing := {"storages", "tensors", "pickle"} - set(parts):
        raise HandstyleError(f"a tar archive without {sorted(missing)[0]}: not PyTorch's")
    storages: dict[str, _Storage] = {}
    tensors: dict[str, _Tensor] = {}

    def storage(key: str, _: Any, kind: Any, position: int) -> int:
        storages[key] = _Storage(_dtype(kind), 0, lambda: b"")
        return _place(parts["storages"], position, storages[key])

    def tensor(key: str, storage_key: Any, _: Any, position: int) -> int:
        (axes,) = struct.unpack_from("<i", parts["tensors"], position)
        if not 0 <= axes <= 8:
            raise HandstyleError("a damaged PyTorch archive (a tensor without a shape)")
        numbers = struct.unpack_from(f"<{2 * axes + 1}q", parts["tensors"], position + 8)
        storage = storages[str(plain_text(storage_key))]
        tensors[key] = _Tensor(storage, numbers[-1], numbers[:axes], numbers[axes : 2 * axes])
        return position + 8 + 8 * len(numbers)

    end = _described(parts["storages"], storage)
    views, _ = PickleMachine(parts["storages"], _NAMES).load(end)
    if views != []:
        raise HandstyleError("storages that are views of others, which no network's state needs")
    _described(parts["tensors"], tensor)
    state, _ = PickleMachine(parts["pickle"], _NAMES, lambda key: tensors.get(str(plain_text(key)))).load()
    return _reading(state, "PyTorch, tar")


def _tar_members(path: Path) -> dict[str, memoryview]:
    whole, found = map_file(path), {}
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for _ in range(16):
            member = archive.next()
            if member is None:
                break
            if member.isreg() and not member.issparse():
                end = member.offset_data + member.size
                found[member.name.removeprefix("./")] = whole[member.offset_data : end]
    return found


def _described(view: memoryview, take: Callable[[str, Any, Any, int], int]) -> int:
    # A count, then for each part a pickle of three values, the first of them its key, and the data that `take` reads.
    count, position = PickleMachine(view, _NAMES).load()
    if type(count) is not int or not 0 <= count <= MAX_STORAGES:
        raise HandstyleError("a damaged PyTorch archive (an implausible number of parts)")
    for _ in range(count):
        description, position = PickleMachine(view, _NAMES).load(position)
        if not isinstance(description, tuple) or len(description) != 3:
            raise HandstyleError("a damaged PyTorch archive (a part without its description)")
        key, second, third = description
        position = take(str(plain_text(key)), second, third, position)
    return position
