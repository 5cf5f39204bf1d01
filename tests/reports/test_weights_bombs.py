"""Weight files of kilobytes that ask for gigabytes: each ends in one line, in less than 1 GiB."""

import bz2
import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
from support.published_formats import slim, write_keras_h5, write_npz, write_torch

READ = """
import resource, sys
from handstyle.foundations.errors import HandstyleError
from weights_tools.convert import load
from weights_tools.readers import READERS, read_any
from pkgutil import resolve_name
for reader in READERS.values():
    resolve_name(reader)
try:
    import safetensors
except ImportError:
    pass
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (1 << 30),) * 2)
try:
    load(sys.argv[1], "caffe")
    print("read", end="")
except HandstyleError as error:
    print(str(error), end="")
"""


def refused(path):
    """The line in which reading the file ends, in a process that may take 1 GiB more than its libraries."""
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is bounded by Linux's means")
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, timeout=100, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "\n" not in done.stdout
    return done.stdout.replace(str(path), "FILE")


def rezipped(path, change):
    """Write a zip archive again, with `change(archive, name, data)` in the place of each member's writing."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            change(archive, name, data)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bzip2", "lzma"])
@pytest.mark.parametrize("kind", ["pth", "npz"])
def test_a_zip_of_another_method_than_deflate_is_refused_before_it_is_unpacked(kind, method, tmp_path):
    path = tmp_path / f"a.{kind}"
    (write_torch if kind == "pth" else write_npz)(path, slim())
    bomb = bytes(1 << 20) if method == zipfile.ZIP_LZMA else None  # its streams cannot be strung together

    def change(archive, name, data):
        if not name.endswith(("data.pkl", "conv1_1_W.npy")):
            archive.writestr(name, data)
        elif bomb is not None:
            archive.writestr(name, bomb, method)
        else:  # 1.5 GiB of zeros, packed once and repeated
            archive.writestr(name, b"")
            info = archive.getinfo(name)
            info.compress_type = method

    rezipped(path, change)
    if bomb is None:
        one = bz2.compress(bytes(1 << 24))
        with zipfile.ZipFile(path) as archive:
            parts = {info.filename: archive.read(info) for info in archive.infolist() if info.compress_type == 0}
            name = next(info.filename for info in archive.infolist() if info.compress_type)
        with zipfile.ZipFile(path, "w") as archive:
            for other, data in parts.items():
                archive.writestr(other, data)
            archive.writestr(name, one * 96)
            info = archive.getinfo(name)
            info.compress_type, info.file_size = method, 96 << 24
        marked = bytearray(path.read_bytes())
        at = marked.find(b"PK\x03\x04" + marked[4:6], marked.find(one[:20]) - 200)
        marked[at + 8 : at + 10] = struct.pack("<H", method)
        path.write_bytes(marked)
    assert path.stat().st_size < 1_000_000
    assert "stored or deflated" in refused(path)


def test_an_npz_whose_header_declares_gigabytes_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, slim())

    def change(archive, name, data):
        if name == "conv1_1_W.npy":
            with archive.open(zipfile.ZipInfo(name), "w") as file:
                file.write(b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0))
            return
        archive.writestr(name, data)

    rezipped(path, change)
    # The member itself: 1.5 GiB of spaces, deflated, without ever holding them.
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
    head = b"\x93NUMPY\x02\x00" + struct.pack("<I", 3 << 29)
    packed = [squeeze.compress(head), *(squeeze.compress(b" " * (1 << 24)) for _ in range(96)), squeeze.flush()]
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist() if name != "conv1_1_W.npy"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("conv1_1_W.npy", b"".join(packed))
        for name, data in parts.items():
            archive.writestr(name, data)
        info = archive.getinfo("conv1_1_W.npy")
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, len(head) + (3 << 29)
    marked = bytearray(path.read_bytes())
    marked[8:10] = struct.pack("<H", zipfile.ZIP_DEFLATED)
    path.write_bytes(marked)
    assert "header declares" in refused(path)


def keras_with(path, spoil):
    write_keras_h5(path, slim())
    with h5py.File(path, "a") as file:
        spoil(file)


def packed_chunk(file, filters, packed):
    """Put into conv1_1's kernel one chunk that unpacks to more than it declares."""
    group = file["block1_conv1"]
    name = "block1_conv1_W_1:0"
    del group[name]
    create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    create.set_chunk((3, 3, 3, 4))
    for _ in range(filters):
        create.set_deflate(9)
    space = h5py.h5s.create_simple((3, 3, 3, 4))
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F32LE, space, create)
    dataset.write_direct_chunk((0, 0, 0, 0), packed)


def deflated_zeros(size):
    squeeze = zlib.compressobj(1)
    parts = [squeeze.compress(bytes(1 << 24)) for _ in range(size >> 24)]
    return b"".join([*parts, squeeze.flush()])


def test_an_h5_file_deflated_twice_is_refused(tmp_path):
    path = tmp_path / "a.h5"
    keras_with(path, lambda file: packed_chunk(file, 2, zlib.compress(deflated_zeros(3 << 29), 9)))
    assert path.stat().st_size < 200_000
    assert "compressed otherwise than once" in refused(path)


@pytest.mark.parametrize(
    ("size", "said"),
    [(3 << 29, "bytes for 432"), (1 << 25, "bytes for 432"), (1 << 18, "does not unpack to 432 bytes")],
)
def test_a_chunk_of_an_h5_file_that_unpacks_to_more_than_it_declares_is_refused(size, said, tmp_path):
    path = tmp_path / "a.h5"
    packed = deflated_zeros(size) if size >= 1 << 24 else zlib.compress(bytes(size), 9)
    keras_with(path, lambda file: packed_chunk(file, 1, packed))
    assert re.search(f"conv1_1 has a chunk .*{said}", refused(path))


def test_a_chunk_deflated_once_is_read(tmp_path):
    weights = slim()
    path = tmp_path / "a.h5"
    write_keras_h5(path, weights)
    with h5py.File(path, "a") as file:
        group = file["block3_conv1"]
        values = group["block3_conv1_W_1:0"][()]
        del group["block3_conv1_W_1:0"]
        group.create_dataset(
            "block3_conv1_W_1:0", data=values, chunks=(2, 3, 2, 4), compression="gzip", shuffle=True
        )  # the chunks at the borders reach beyond
    from weights_tools.readers import read_any

    np.testing.assert_array_equal(read_any(path).layers["conv3_1"][0], weights.layers["conv3_1"][0])


def test_an_h5_file_with_thousands_of_references_to_one_text_is_refused(tmp_path):
    path = tmp_path / "a.h5"

    def spoil(file):
        del file.attrs["layer_names"]
        text = h5py.string_dtype()
        file.attrs.create("layer_names", np.array(["x" * 2_000_000, *[""] * 3999], object), dtype=text)

    keras_with(path, spoil)
    # Each entry of the attribute: length (4 bytes), the heap's address (8), the index of the text (4).
    content = bytearray(path.read_bytes())
    first = content.find(struct.pack("<I", 2_000_000))
    for i in range(1, 4000):
        content[first + 16 * i : first + 16 * (i + 1)] = content[first : first + 16]
    path.write_bytes(content)
    assert "texts have lengths that cannot be" in refused(path)


def test_a_native_file_with_thousands_of_attributes_is_refused(tmp_path):
    from handstyle.network.weights import write_weights

    path = tmp_path / "a.h5"
    write_weights(path, slim())
    with h5py.File(path, "a") as file:
        for i in range(5000):
            file.attrs[f"note {i}"] = "x"
    assert "attributes, which no weight file has" in refused(path)


def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def test_an_onnx_file_of_millions_of_empty_fields_is_refused(tmp_path):
    path = tmp_path / "a.onnx"
    tensor = b"\x10\x01" + field(8, b"w") + field(9, b"") * 20_000_000
    node = field(1, b"x") + field(1, b"w") + field(1, b"w") + field(4, b"Conv")
    path.write_bytes(b"\x08\x08" + field(7, field(1, node) * 13 + field(5, tensor)))
    assert "more fields than any VGG needs" in refused(path)


def test_a_caffemodel_of_millions_of_empty_fields_is_refused(tmp_path):
    path = tmp_path / "a.caffemodel"
    layer = field(4, b"conv1_1") + b"\x28\x04" + field(6, field(5, b"") * 9_000_000) + field(6, field(5, bytes(4)))
    path.write_bytes(field(2, layer))
    assert "more fields than any VGG needs" in refused(path)


def test_a_keras_file_whose_layers_are_all_one_array_is_refused(tmp_path):
    path = tmp_path / "a.h5"

    def spoil(file):
        group = file["block5_conv4"]
        names = [f"block{i}_conv{j}" for i in range(6, 10) for j in range(10)]
        for name in list(group):
            del group[name]
        big = np.zeros((3, 3, 512, 512), np.float32)
        w, b = group.attrs["weight_names"]
        group.create_dataset(w.decode(), data=big, chunks=(3, 3, 512, 512), compression="gzip")
        group[b.decode()] = np.zeros(512, np.float32)
        for name in names:
            file[name] = group
        file.attrs["layer_names"] = np.array(names, "S")

    keras_with(path, spoil)
    assert path.stat().st_size < 200_000
    assert "layer conv6_0 found, but neither VGG-16 nor VGG-19 has such a layer" in refused(path)


def test_a_keras_3_file_whose_layers_are_all_one_array_is_refused(tmp_path):
    path = tmp_path / "a.weights.h5"
    shape = (3, 3, 512, 512)
    with h5py.File(path, "w") as file:
        file.create_dataset("kernel", data=np.zeros(shape), chunks=shape, compression="gzip")
        file["bias"] = np.zeros(512)
        for i in range(100):
            variables = file.create_group(f"layers/conv2d_{i}/vars")
            variables.attrs["name"] = f"block{i // 10}_conv{i % 10}"
            variables["0"], variables["1"] = file["kernel"], file["bias"]
    assert path.stat().st_size < 1_000_000
    assert "has such a layer" in refused(path)


def test_a_mat_file_of_many_arrays_is_refused(tmp_path):
    from scipy.io import savemat

    layers = np.empty((1, 150), object)
    kernel = np.zeros((3, 3, 512, 256))
    for i in range(150):
        layers[0, i] = {"name": f"conv{i}", "type": "conv", "filters": kernel, "biases": np.zeros((1, 256))}
    savemat(tmp_path / "a.mat", {"layers": layers}, do_compression=True)
    assert (tmp_path / "a.mat").stat().st_size < 3_000_000
    assert "MiB of arrays" in refused(tmp_path / "a.mat")


def test_a_safetensors_file_of_hundreds_of_thousands_of_tensors_is_refused(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "a.safetensors"
    tensor = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"features.{i}.weight": tensor for i in range(20_000)}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert f"its header declares {len(header)} bytes, more than any VGG needs" in refused(path)


def test_what_stays_in_bounds_is_read(tmp_path):
    """The bound of the process lets a good file through, so that the refusals above are the reader's own."""
    write_torch(tmp_path / "a.pth", slim())
    assert refused(tmp_path / "a.pth") == "read"
    write_npz(tmp_path / "a.npz", slim())
    assert refused(tmp_path / "a.npz") == "read"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict(np.load(tmp_path / "a.npz")))
    (tmp_path / "b.npz").write_bytes(buffer.getvalue())
    assert refused(tmp_path / "b.npz") == "read"
