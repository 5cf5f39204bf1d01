"""Weight files as people have them: each is read, or the line says what to do."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from support.published_formats import (
    keras_name,
    oihw,
    slim,
    torch_state,
    write_keras_h5,
    write_npy,
    write_npz,
    write_torch,
)

import handstyle
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Weights
from handstyle.painting.load import load_weights
from weights_tools.readers import read_any


def like_caffe(architecture="vgg19"):
    """A network whose small biases tell that it takes 0 to 255."""
    weights = slim(architecture, widths=(8, 9, 10, 11, 12))
    return Weights(architecture, "caffe", {name: (w, 1e-4 * b) for name, (w, b) in weights.layers.items()})


def assert_same(layers, expected):
    assert list(layers) == list(expected)
    for name, (w, b) in expected.items():
        np.testing.assert_array_equal(layers[name][0], w, err_msg=name)
        np.testing.assert_array_equal(layers[name][1], b, err_msg=name)


def in_bfloat16(weights):
    cut = {
        name: tuple((a.view("<u4") & np.uint32(0xFFFF0000)).view("<f4") for a in pair)
        for name, pair in weights.layers.items()
    }
    return Weights(weights.architecture, weights.convention, cut)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_a_pth_in_bfloat16_is_read(zipped, tmp_path):
    torch = pytest.importorskip("torch")
    weights = in_bfloat16(slim())
    state = {key: value.bfloat16() for key, value in torch_state(weights).items()}
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert_same(read_any(tmp_path / "a.pth").layers, weights.layers)


def test_a_safetensors_file_in_bfloat16_is_read(tmp_path):
    pytest.importorskip("torch")
    save_file = pytest.importorskip("safetensors.torch").save_file
    weights = in_bfloat16(slim())
    save_file({key: value.bfloat16() for key, value in torch_state(weights).items()}, tmp_path / "a.safetensors")
    assert_same(read_any(tmp_path / "a.safetensors").layers, weights.layers)


def torch_wrapped(*keys):
    import torch

    state = torch_state(slim())
    for key in keys:
        state = {"epoch": 3, "loss": torch.tensor(0.5), key: state, "optimizer": {"state": {0: {"step": 7}}}}
    return state


@pytest.mark.parametrize("keys", [("net",), ("model", "checkpoint"), ("state_dict", "student", "run")])
def test_a_state_one_or_more_levels_deeper_is_found(keys, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch_wrapped(*keys), tmp_path / "a.pth")
    assert_same(read_any(tmp_path / "a.pth").layers, slim().layers)


@pytest.mark.parametrize("protocol", [2, 4])
def test_numpy_scalars_and_arrays_in_a_checkpoint_do_no_harm(protocol, tmp_path):
    torch = pytest.importorskip("torch")
    state = {
        "best": np.float64(0.25), "epoch": np.int64(7), "done": np.bool_(True), "curve": np.arange(5.0),
        "net": torch_state(slim()),
    }  # fmt: skip
    torch.save(state, tmp_path / "a.pth", pickle_protocol=protocol)
    assert_same(read_any(tmp_path / "a.pth").layers, slim().layers)


def test_a_model_pickled_whole_is_told_how_to_be_saved(tmp_path):
    torch = pytest.importorskip("torch")
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    torch.save(model, tmp_path / "a.pth")
    with pytest.raises(HandstyleError, match=r"a whole model: .*torch\.save\(model\.state_dict\(\)") as caught:
        read_any(tmp_path / "a.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torchscript_file_is_told_how_to_be_saved(tmp_path):
    torch = pytest.importorskip("torch")
    torch.jit.script(torch.nn.Conv2d(3, 4, 3)).save(str(tmp_path / "a.pt"))
    with pytest.raises(HandstyleError, match=r"TorchScript.*torch\.save\(model\.state_dict\(\)") as caught:
        read_any(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)


# --- what --weights takes ---------------------------------------------------------------------------------------


def write_keras_3_by_hand(path, weights, prefix="layers"):
    """The layout of Keras 3, whose library need not be installed."""
    with h5py.File(path, "w") as file:
        for i, (name, (w, b)) in enumerate(weights.layers.items()):
            variables = file.create_group(f"{prefix}/conv2d_{i}/vars".replace("conv2d_0", "conv2d"))
            variables.attrs["name"] = keras_name(name)
            variables["0"], variables["1"] = w, b


def write_in_a_sequential(path, weights):
    torch = pytest.importorskip("torch")
    torch.save({f"0.{key}": value for key, value in torch_state(weights).items()}, path)


WRITERS = {
    "keras.weights.h5": write_keras_3_by_hand,
    "inside.weights.h5": lambda path, weights: write_keras_3_by_hand(path, weights, "layers/functional/layers"),
    "theano.h5": lambda path, weights: write_keras_h5(path, weights, theano=True),
    "full.h5": lambda path, weights: write_keras_h5(path, weights, inside=True),
    "a.pth": write_torch,
    "sequential.pth": write_in_a_sequential,
    "a.npz": write_npz,
    "a.npy": write_npy,
}


@pytest.mark.parametrize("name", WRITERS)
def test_weights_takes_every_file_that_convert_takes(name, tmp_path):
    weights = like_caffe()
    WRITERS[name](tmp_path / name, weights)
    found = load_weights(tmp_path / name)
    assert found.convention == "caffe"
    assert_same(found.layers, weights.layers)
    assert found.provenance["source"] == name
    assert handstyle.load_network(tmp_path / name).architecture == "vgg19"


def test_a_keras_archive_is_taken_too(tmp_path):
    import zipfile

    weights = like_caffe()
    write_keras_3_by_hand(tmp_path / "model.weights.h5", weights)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    assert_same(load_weights(tmp_path / "model.keras").layers, weights.layers)


def test_a_file_that_does_not_tell_its_convention_says_what_to_do(tmp_path):
    weights = slim()
    layers = {name: (w, 0 * b) for name, (w, b) in weights.layers.items()}
    write_torch(tmp_path / "a.pth", Weights("vgg19", "caffe", layers))
    with pytest.raises(HandstyleError, match=r"handstyle weights convert .*--convention"):
        load_weights(tmp_path / "a.pth")


def test_a_file_in_the_home_folder_is_found_by_its_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    weights = like_caffe()
    write_torch(tmp_path / "a.pth", weights)
    assert_same(load_weights("~/a.pth").layers, weights.layers)


def test_the_network_that_ships_is_loaded_without_the_tools_for_weight_files():
    program = (
        "import sys\n"
        "from handstyle.painting.load import load_weights\n"
        "load_weights()\n"
        "print(sorted(name for name in sys.modules if name.startswith('weights_tools')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "[]\n"


# --- a layer that is missing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["conv1_1", "conv3_2", "conv5_1"])
def test_a_missing_layer_is_called_by_vgg_s_name(missing, tmp_path):
    torch = pytest.importorskip("torch")
    state = torch_state(slim())
    key = next(key for key in state if np.array_equal(state[key], oihw(slim().layers[missing][0])))
    del state[key], state[key.replace("weight", "bias")]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(HandstyleError, match=f"layer {missing} of vgg19 .* is missing"):
        read_any(tmp_path / "a.pth")


# --- no home folder ---------------------------------------------------------------------------------------------

HOMELESS = """
import os, pwd, sys
for name in ("HOME", "HANDSTYLE_CACHE", "XDG_CACHE_HOME"):
    os.environ.pop(name, None)
def nobody(*_):
    raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = nobody
from handstyle.cli import app
from handstyle.foundations.errors import HandstyleError
try:
    print(app(sys.argv[1:], result_action="return_value", exit_on_error=False, print_error=False))
except HandstyleError as error:
    print("error:", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="users of Unix")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["weights", "list"], "set HANDSTYLE_CACHE"),
        (["weights", "get", "vgg19"], "error: there is no home folder to keep networks in: set HANDSTYLE_CACHE"),
        (["weights", "verify", "vgg19"], "error: vgg19 is not on this machine"),
        (["weights", "verify"], "0 failed"),
    ],
)
def test_without_a_home_folder_it_works_or_ends_in_one_line(words, expected):
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, *words], capture_output=True, text=True, timeout=100, env=dict(os.environ)
    )
    assert "Traceback" not in done.stderr
    assert expected in done.stdout
    assert ("error:" in done.stdout) == expected.startswith("error:")
