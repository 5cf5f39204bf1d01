"""Damaged and hostile files end in one line, run nothing, and cost no more memory than they weigh."""

import contextlib
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.published_formats import (
    slim,
    torch_state,
    write_caffemodel,
    write_keras_0,
    write_keras_3,
    write_keras_h5,
    write_matconvnet,
    write_npy,
    write_npz,
    write_onnx,
    write_safetensors,
    write_torch,
    write_torch_tar,
)

from handstyle.foundations.errors import HandstyleError
from weights_tools.readers import read_any

# Address space that one reading may take on top of what Python and the libraries have taken.
ALLOWANCE = 512 << 20

BOUNDED = """
import resource, sys
from handstyle.foundations.errors import HandstyleError
from weights_tools.readers import read_any
try:
    import safetensors
except ImportError:
    pass
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
for path in sys.argv[2:]:
    print(path, end=": ", flush=True)
    try:
        read_any(path)
        print("read", flush=True)
    except HandstyleError as error:
        print(repr(str(error)), flush=True)
"""


def refuse(*paths):
    """Read files in one process of bounded memory and time; return the line that each ends with."""
    if not sys.platform.startswith("linux"):
        pytest.skip("memory is bounded by Linux's means")
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(ALLOWANCE), *map(str, paths)],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths)
    assert not any("\\n" in line for line in lines)
    # The names of files and tests must not stand for what the message says.
    return [line.replace(str(path), "FILE") for line, path in zip(lines, paths, strict=True)]


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def pth(path, program, storages=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", program)
        archive.writestr("a/byteorder", "little")
        for key, data in storages:
            archive.writestr(f"a/data/{key}", data)


def attack_zip(path, program):
    pth(path, program)


def attack_stream(path, program):
    head = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    path.write_bytes(head + program)


def attack_tar(path, program):
    write_torch_tar(path, slim())
    with tarfile.open(path) as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
    members["pickle"] = program
    with tarfile.open(path, "w:") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def attack_npy(path, program):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(header.getvalue() + program)


@pytest.fixture(scope="module")
def after_attacks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attacks")
    program = pickle.dumps({"features.0.weight": Attack(folder / "trace")}, 2)
    attacks = (attack_zip, attack_stream, attack_tar, attack_npy)
    for attack in attacks:
        attack(folder / attack.__name__, program)
    lines = refuse(*(folder / attack.__name__ for attack in attacks))
    return folder / "trace", dict(zip(("zip", "stream", "tar", "npy"), lines, strict=True))


@pytest.mark.parametrize("container", ["zip", "stream", "tar", "npy"])
def test_a_pickle_that_calls_a_program_is_refused_and_runs_nothing(container, after_attacks):
    trace, lines = after_attacks
    assert f"asks for {os.name}.system" in lines[container]
    assert not trace.exists()


def test_the_attack_of_the_test_is_a_real_one(tmp_path):
    pickle.loads(pickle.dumps(Attack(tmp_path / "trace"), 2))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize(
    "name", ["builtins.eval", "builtins.getattr", "torch.load", "numpy.core.multiarray.fromstring"]
)
def test_any_name_off_the_table_is_refused(name, tmp_path):
    module, _, function = name.rpartition(".")
    pth(tmp_path / "a.pth", f"\x80\x02c{module}\n{function}\nX\x01\0\0\0a\x85R.".encode("latin1"))
    with pytest.raises(HandstyleError, match=f"asks for {name}"):
        read_any(tmp_path / "a.pth")


def hdf5_huge(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["block1_conv1"], "S")
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = np.array(["w", "b"], "S")
        group.create_dataset("w", (3, 3, 3, 1 << 28), "f4", chunks=(3, 3, 3, 64), compression="gzip")
        group.create_dataset("b", (1 << 28,), "f4", chunks=(64,))


def hdf5_huge_chunk(path):
    hdf5_huge(path)
    with h5py.File(path, "a") as file:
        group = file["block1_conv1"]
        del group["w"], group["b"]
        unlimited = (None, None, None, None)
        group.create_dataset("w", (3, 3, 3, 4), "f4", maxshape=unlimited, chunks=(3, 3, 3, 1 << 17), compression="gzip")
        group["w"][0, 0, 0, 0] = 1
        group["b"] = np.zeros(4, np.float32)


def hdf5_circle(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["block1_conv1"], "S")
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = np.array(["w", "again/again/again/b"], "S")
        group["w"] = h5py.SoftLink("/block1_conv1/w")
        group["again"] = group


def hdf5_elsewhere(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array(["block1_conv1"], "S")
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = np.array(["w", "b"], "S")
        group.create_dataset("w", (3, 3, 3, 4), "f4", external=[("/etc/passwd", 0, 432)])
        group["b"] = np.zeros(4, np.float32)


def keras_3_huge(path):
    with h5py.File(path, "w") as file:
        for i in range(13):
            group = file.create_group(f"layers/conv2d_{i}/vars".replace("_0", ""))
            group.create_dataset("0", (3, 3, 3, 1 << 28), "f4", chunks=(3, 3, 3, 64), compression="gzip")
            group.create_dataset("1", (1 << 28,), "f4", chunks=(64,))


def keras_3_circle(path):
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        for i in range(13):
            layers[f"conv2d_{i}".removesuffix("_0")] = layers
        layers["vars"] = layers


def keras_bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 28))


def keras_archive_huge(path):
    inner = path.with_suffix(".inner")
    keras_3_huge(inner)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(inner, "model.weights.h5")


def hdf5_many_names(path):
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["layer_names"] = np.zeros(1 << 17, "S64")


def pth_bomb(path):
    zeros = bytes(1 << 28)
    write_torch(path, slim())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, zeros if name.endswith("data/0") else data)


def pth_huge_tensor(path):
    state = torch_state(slim())
    torch = pytest.importorskip("torch")
    state["features.0.weight"] = torch.zeros(1).expand(1 << 20, 1 << 10, 3, 3)
    torch.save(state, path)


def pth_short_storage(path):
    write_torch(path, slim())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data[:-8] if "/data/" in name else data)


def pth_circle(path):
    circle = {}
    circle["state_dict"] = circle["model"] = circle
    circle["features.0.weight"] = [circle]
    pth(path, pickle.dumps(circle, 2))


def pth_many_steps(path):
    pth(path, b"\x80\x02" + b"]" * (1 << 21))


def pth_huge_memo(path):
    pth(path, b"\x80\x02]r\xff\xff\xff\x7f.")


def pth_huge_bytes(path):
    pth(path, b"\x80\x02\x8e" + struct.pack("<Q", 1 << 62) + b"a.")


def npz_bomb(path):
    header = io.BytesIO()
    shape = (1 << 14, 1 << 14)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conv1_1_W.npy", header.getvalue() + bytes(1 << 28))
        archive.writestr("conv1_1_b.npy", header.getvalue())


def npz_objects(path):
    write_npz(path, slim())
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    array = io.BytesIO()
    np.save(array, np.array([Attack("/nowhere")], object), allow_pickle=True)
    parts["conv1_1_W.npy"] = array.getvalue()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def mat_bomb(path):
    import zlib

    squeeze = zlib.compressobj(9)
    body = struct.pack("<IIIIII", 14, 0x7FFFFFF0, 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1 << 30)
    body += struct.pack("<HH4s", 1, 4, b"laye")
    data = b"".join([squeeze.compress(body), *(squeeze.compress(bytes(1 << 20)) for _ in range(256)), squeeze.flush()])
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(data)) + data)


def mat_huge_cell(path):
    name = struct.pack("<II", 1, 6) + b"layers\0\0"
    body = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 0x7FFFFFFF) + name
    body += struct.pack("<II", 14, 0) * 30_000
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, len(body)) + body)


def mat_deep(path):
    inner = b""
    for _ in range(400):
        head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
        inner = struct.pack("<II", 14, len(head + inner)) + head + inner
    name = struct.pack("<II", 1, 6) + b"layers\0\0"
    body = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIii", 5, 8, 1, 1) + name + inner
    path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, len(body)) + body)


def caffe_huge(path):
    blob = b"\x08\x80\x80\x80\x80\x01\x10\x03\x18\x03\x20\x03\x2a\x04\0\0\0\0"
    layer = b"\x22\x07conv1_1\x28\x04" + 2 * (b"\x32" + bytes([len(blob)]) + blob)
    path.write_bytes(b"\x12" + bytes([len(layer)]) + layer)


def caffe_long(path):
    path.write_bytes(b"\x12" + b"\xff" * 9 + b"\x01")


def onnx_huge(path):
    onnx = pytest.importorskip("onnx")
    write_onnx(path, slim())
    model = onnx.load(path)
    model.graph.initializer[0].dims[:] = [1 << 20, 1 << 20, 3, 3]
    path.write_bytes(model.SerializeToString())


def onnx_elsewhere(path):
    onnx = pytest.importorskip("onnx")
    write_onnx(path, slim())
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="/etc/passwd")
    path.write_bytes(model.SerializeToString())


def safetensors_huge(path):
    header = b'{"features.0.weight":{"dtype":"F32","shape":[1099511627776,3,3,3],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


HOSTILE = [
    (hdf5_huge, "more than any VGG has"),
    (hdf5_huge_chunk, "more than any VGG has"),
    (hdf5_circle, "is missing its dataset"),
    (hdf5_elsewhere, "in another file"),
    (keras_3_huge, "more than any VGG has"),
    (keras_3_circle, "is missing its dataset"),
    (keras_bomb, "compressed, which Keras never does"),
    (keras_archive_huge, "more than any VGG has"),
    (hdf5_many_names, "longer than any weight file's"),
    (pth_bomb, "larger than it may be"),
    (pth_huge_tensor, "more than any VGG has"),
    (pth_short_storage, "cut short"),
    (pth_circle, "no convolution of a VGG"),
    (pth_many_steps, "steps"),
    (pth_huge_memo, "not a state dictionary"),
    (pth_huge_bytes, "cut short"),
    (npz_bomb, "more than any VGG has"),
    (npz_objects, "floating point"),
    (mat_bomb, "without the variable layers"),
    (mat_huge_cell, "more than 20000 parts"),
    (mat_deep, "nested more than"),
    (caffe_huge, "more than any VGG has"),
    (caffe_long, "cut short"),
    (onnx_huge, "more than any VGG has"),
    (onnx_elsewhere, "in another file"),
    (safetensors_huge, "safetensors"),
]


@pytest.fixture(scope="module")
def after_hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    made = []
    for make, _ in HOSTILE:
        with contextlib.suppress(pytest.skip.Exception):  # a library that the writer needs is not installed
            make(folder / make.__name__)
            made.append(make)
    return dict(zip(made, refuse(*(folder / make.__name__ for make in made)), strict=True))


@pytest.mark.parametrize(("make", "expected"), HOSTILE, ids=[make.__name__ for make, _ in HOSTILE])
def test_a_hostile_file_ends_in_one_line_within_bounded_memory(make, expected, after_hostile):
    if make not in after_hostile:
        pytest.skip("the library that writes this file is not installed")
    assert expected in after_hostile[make]


WRITERS = {
    "keras.h5": write_keras_h5,
    "theano.h5": lambda path, weights: write_keras_h5(path, weights, theano=True),
    "keras-0.h5": write_keras_0,
    "keras.weights.h5": write_keras_3,
    "model.keras": write_keras_3,
    "zip.pth": write_torch,
    "stream.pth": lambda path, weights: write_torch(path, weights, zipped=False),
    "tar.pth": write_torch_tar,
    "a.safetensors": write_safetensors,
    "a.mat": write_matconvnet,
    "a.caffemodel": write_caffemodel,
    "a.npz": write_npz,
    "a.npy": write_npy,
    "a.onnx": write_onnx,
}


@pytest.fixture(autouse=True)
def _keras_on_torch(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras")  # its own, while it saves


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file_is_refused_wherever_it_is_cut(name, tmp_path):
    path = tmp_path / name
    WRITERS[name](path, slim())
    whole = path.read_bytes().rstrip(b"\0")  # a tar archive ends in zeros that hold nothing
    for part in (0.02, 0.3, 0.6, 0.9, 0.97):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(HandstyleError) as caught:
            read_any(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name, writer in WRITERS.items() if writer is not write_keras_3])
def test_a_wrong_shape_is_refused_by_the_layer_s_name(name, tmp_path):
    weights = slim()
    w, b = weights.layers["conv3_2"]
    weights.layers["conv3_2"] = np.concatenate([w, w], 2), b
    WRITERS[name](tmp_path / name, weights)
    with pytest.raises(HandstyleError, match="conv3_2"):
        read_any(tmp_path / name)


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_a_wrong_shape_that_keras_would_not_write_is_refused_by_the_layer_s_name(ending, tmp_path):
    path = inner = tmp_path / f"a{ending}"
    write_keras_3(path, slim())
    if ending == ".keras":
        inner = tmp_path / "model.weights.h5"
        with zipfile.ZipFile(path) as archive:
            archive.extract("model.weights.h5", tmp_path)
    with h5py.File(inner, "a") as file:
        variables = next(
            layer["vars"] for layer in file["layers"].values() if layer["vars"].attrs.get("name") == "block3_conv2"
        )
        w = variables["0"][()]
        del variables["0"]
        variables["0"] = np.concatenate([w, w], 2)
    if ending == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(inner, "model.weights.h5")
    with pytest.raises(HandstyleError, match="conv3_2"):
        read_any(path)


def test_a_value_that_is_not_finite_is_refused_by_the_layer_s_name(tmp_path):
    weights = slim()
    weights.layers["conv4_3"][0][1, 1, 1, 1] = np.nan
    write_keras_h5(tmp_path / "a.h5", weights)
    with pytest.raises(HandstyleError, match=r"conv4_3.*not finite"):
        read_any(tmp_path / "a.h5")


# The two readers of binary formats that are this project's own: pickles (in a tar or a stream), and protocol buffers.

FUZZED = ("stream.pth", "tar.pth", "a.npy", "a.mat", "a.caffemodel", "a.onnx")


@pytest.fixture(scope="module", params=FUZZED)
def whole(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / request.param
    WRITERS[request.param](path, slim(widths=(4, 1, 1, 1, 1)))
    return path, path.read_bytes()


@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_worse(whole, data):
    path, original = whole
    damaged = bytearray(original)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["byte", "cut", "insert", "repeat"]))
        if kind == "byte":
            damaged[at] = data.draw(st.integers(0, 255))
        elif kind == "cut":
            del damaged[at : at + data.draw(st.integers(1, 64))]
        elif kind == "insert":
            damaged[at:at] = data.draw(st.binary(min_size=1, max_size=16))
        else:
            damaged[at:at] = damaged[at : at + 64]
        if not damaged:
            damaged = bytearray(1)
    path.write_bytes(damaged)
    with contextlib.suppress(HandstyleError):
        read_any(path)


@settings(max_examples=300)
@given(program=st.binary(max_size=200))
def test_no_pickle_program_does_more_than_end(program):
    from weights_tools.readers.pickle_machine import PickleMachine
    from weights_tools.readers.torch_pickle import _NAMES

    with contextlib.suppress(HandstyleError):
        PickleMachine(memoryview(b"\x80\x02" + program), _NAMES, lambda key: key).load()


def opcodes():
    return st.lists(st.sampled_from([bytes([code]) for code in b"(0N)]}.tsuaeldqhbRQ\x85\x86\x81"]
                                    + [b"K\x01", b"q\x01", b"h\x01", b"ctorch._utils\n_rebuild_tensor\n",
                                       b"ccollections\nOrderedDict\n", b"X\x01\0\0\0a"]), max_size=40)  # fmt: skip


@settings(max_examples=300)
@given(codes=opcodes())
def test_no_sequence_of_opcodes_does_more_than_end(codes):
    test_no_pickle_program_does_more_than_end.hypothesis.inner_test(b"".join(codes))


@settings(max_examples=300)
@given(data=st.binary(max_size=300), head=st.sampled_from([b"\x12", b"\xa2\x06", b"\x0a", b"\x08\x01\x3a"]))
def test_no_protocol_buffer_does_more_than_end(data, head, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    path.write_bytes(head + data)
    with pytest.raises(HandstyleError) as caught:
        read_any(path)
    assert "\n" not in str(caught.value)


def test_the_pickle_machine_agrees_with_pickle_on_plain_data():
    from weights_tools.readers.pickle_machine import PickleMachine

    value = {"a": [1, -2, 300, 70000, 1 << 40, True, None, 0.5], "b": (1, (2, 3), "é"), 7: {}, "c": (1, 2, 3, 4)}
    for protocol in (2, 3, 4):
        data = memoryview(pickle.dumps(value, protocol))
        assert PickleMachine(data, {}).load() == (value, len(data))
