"""Each published format, written with its own library, is read back bit for bit."""

import pickle
import struct

import numpy as np
import pytest
from support.published_formats import (
    adain_state,
    slim,
    write_adain,
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

FORMATS = {
    "keras-tf.h5": (write_keras_h5, {}),
    "keras-th.h5": (write_keras_h5, {"theano": True}),
    "keras-top.h5": (write_keras_h5, {"top": True}),
    "keras-th-top.h5": (write_keras_h5, {"theano": True, "top": True}),
    "keras-full.h5": (write_keras_h5, {"inside": True}),
    "keras-0.h5": (write_keras_0, {}),
    "keras.weights.h5": (write_keras_3, {}),
    "model.keras": (write_keras_3, {}),
    "model.h5": (write_keras_3, {}),
    "zip.pth": (write_torch, {}),
    "gatys.pth": (write_torch, {"keys": "gatys"}),
    "stream.pth": (write_torch, {"zipped": False}),
    "tar.pth": (write_torch_tar, {}),
    "vgg.safetensors": (write_safetensors, {}),
    "timm.safetensors": (write_safetensors, {"keys": "timm"}),
    "new.mat": (write_matconvnet, {}),
    "plain.mat": (write_matconvnet, {"compressed": False}),
    "old.mat": (write_matconvnet, {"old": True}),
    "v1.caffemodel": (write_caffemodel, {}),
    "v2.caffemodel": (write_caffemodel, {"version": 2}),
    "double.caffemodel": (write_caffemodel, {"version": 2, "double": True}),
    "vgg.npz": (write_npz, {}),
    "vgg.npy": (write_npy, {}),
    "nested.npy": (write_npy, {"nested": True}),
    "raw.onnx": (write_onnx, {}),
    "values.onnx": (write_onnx, {"raw": False}),
}


@pytest.fixture(autouse=True)
def _keras_on_torch(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")


def write(name, path, weights):
    writer, options = FORMATS[name]
    writer(path, weights, **options)


@pytest.mark.parametrize("architecture", ["vgg16", "vgg19"])
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Keras' own, while it saves; below, on its older format
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_each_format_is_read_back_bit_for_bit(name, architecture, tmp_path):
    weights = slim(architecture)
    write(name, tmp_path / name, weights)
    reading = read_any(tmp_path / name)
    assert reading.architecture == architecture
    assert list(reading.layers) == list(weights.layers)
    for layer, (w, b) in reading.layers.items():
        expected, bias = weights.layers[layer]
        if layer == "conv1_1" and reading.order == "RGB":
            w = w[:, :, ::-1]
        assert w.dtype == b.dtype == np.float32
        np.testing.assert_array_equal(w, expected, err_msg=layer)
        np.testing.assert_array_equal(b, bias, err_msg=layer)
    assert reading.turned == (name in ("keras-th.h5", "keras-th-top.h5", "keras-0.h5"))


def test_the_tar_archive_of_the_test_is_one_that_pytorch_reads(tmp_path):
    torch = pytest.importorskip("torch")
    weights = slim()
    write_torch_tar(tmp_path / "tar.pth", weights)
    state = torch.load(tmp_path / "tar.pth", weights_only=False)
    np.testing.assert_array_equal(
        state["features.0.weight"].numpy(), weights.layers["conv1_1"][0].transpose(3, 2, 0, 1)
    )


def test_adain_s_normalized_network_is_read_behind_its_layer_for_colors(tmp_path):
    torch = pytest.importorskip("torch")
    weights = slim("vgg19")
    write_adain(tmp_path / "vgg_normalised.pth", weights)
    reading = read_any(tmp_path / "vgg_normalised.pth")
    assert reading.order == "BGR"
    assert "--padding reflect" in reading.layout
    assert list(reading.layers) == list(weights.layers)
    for layer, (w, b) in reading.layers.items():
        np.testing.assert_array_equal(w, weights.layers[layer][0])
        np.testing.assert_array_equal(b, weights.layers[layer][1])
    state = adain_state(weights)
    cut = {key: value for key, value in state.items() if int(key.split(".")[0]) < 31}  # as AdaIN uses it, to relu4_1
    torch.save(cut, tmp_path / "cut.pth")
    assert list(read_any(tmp_path / "cut.pth").layers)[-1] == "conv4_1"
    torch.save({**state, "0.bias": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(HandstyleError, match="first layer, of 1 x 1"):
        read_any(tmp_path / "other.pth")
    torch.save({**state, "3.weight": torch.zeros(3)}, tmp_path / "strange.pth")
    with pytest.raises(HandstyleError, match=r"there is 3\.weight, which VGG-19 does not have"):
        read_any(tmp_path / "strange.pth")


def test_a_state_inside_a_checkpoint_is_found(tmp_path):
    torch = pytest.importorskip("torch")
    from support.published_formats import torch_state

    weights = slim()
    torch.save({"epoch": 3, "state_dict": torch_state(weights)}, tmp_path / "a.pth")
    np.testing.assert_array_equal(read_any(tmp_path / "a.pth").layers["conv5_4"][0], weights.layers["conv5_4"][0])


def test_views_of_one_storage_are_read_as_views(tmp_path):
    torch = pytest.importorskip("torch")
    from support.published_formats import torch_state

    weights = slim()
    state = torch_state(weights)
    both = torch.stack([torch.zeros_like(state["features.2.weight"]), state["features.2.weight"]], -1)
    state["features.2.weight"] = both[..., 1]
    torch.save(state, tmp_path / "a.pth")
    np.testing.assert_array_equal(read_any(tmp_path / "a.pth").layers["conv1_2"][0], weights.layers["conv1_2"][0])


def test_half_precision_becomes_single(tmp_path):
    torch = pytest.importorskip("torch")
    from support.published_formats import torch_state

    weights = slim()
    torch.save({key: value.half() for key, value in torch_state(weights).items()}, tmp_path / "a.pth")
    w = read_any(tmp_path / "a.pth").layers["conv3_1"][0]
    np.testing.assert_array_equal(w, weights.layers["conv3_1"][0].astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("change", ["batch norm", "other positions", "no bias", "integers", "no VGG"])
def test_another_network_is_refused_by_name(change, tmp_path):
    torch = pytest.importorskip("torch")
    from support.published_formats import torch_state

    state = torch_state(slim("vgg16"))
    expected = {
        "batch norm": "batch normalization",
        "other positions": "neither VGG-16 nor VGG-19",
        "no bias": "conv1_2 has only a kernel",
        "integers": "conv1_1 holds int64",
        "no VGG": "no convolution of a VGG",
    }[change]
    if change == "batch norm":
        state["features.1.running_mean"] = torch.zeros(3)
    if change == "other positions":
        state["features.3.weight"] = state.pop("features.2.weight")
        state["features.3.bias"] = state.pop("features.2.bias")
    if change == "no bias":
        del state["features.2.bias"]
    if change == "integers":
        state["features.0.weight"] = state["features.0.weight"].long()
    if change == "no VGG":
        state = {"layer1.0.conv1.weight": torch.zeros(3, 3, 3, 3)}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(HandstyleError, match=expected) as caught:
        read_any(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x89PNG\r\n", "no supported format"),
        (b"\x80\x04K\x01.", "bare pickle"),
        (b"MATLAB 7.3 MAT-file, Platform", "7.3"),
    ],
)
def test_what_is_no_weight_file_is_named(head, expected, tmp_path):
    (tmp_path / "a").write_bytes(head)
    with pytest.raises(HandstyleError, match=expected):
        read_any(tmp_path / "a")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HandstyleError, match="no such weight file"):
        read_any(tmp_path / "none.pth")


class Python2(pickle._Pickler):
    """Pickles text and bytes as Python 2 pickled its byte strings, in which the dictionaries of 2016 were saved."""

    def save_string(self, value):
        data = value.encode("latin1") if isinstance(value, str) else value
        short = len(data) < 256
        self.write((b"U" + bytes([len(data)]) if short else b"T" + struct.pack("<i", len(data))) + data)

    dispatch = {**pickle._Pickler.dispatch, str: save_string, bytes: save_string}


def test_a_dictionary_saved_by_python_2_is_read(tmp_path):
    weights = slim()
    array = np.empty((), object)
    array[()] = {name: [w, b] for name, (w, b) in weights.layers.items()}
    with open(tmp_path / "vgg19.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        Python2(file, 2).dump(array)
    reading = read_any(tmp_path / "vgg19.npy")
    for name, (w, b) in weights.layers.items():
        np.testing.assert_array_equal(reading.layers[name][0], w)
        np.testing.assert_array_equal(reading.layers[name][1], b)
