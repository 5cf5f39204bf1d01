import os
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from handstyle.foundations import picture_writing
from handstyle.foundations.errors import HandstyleError
from handstyle.network.digests import sha256
from handstyle.network.vgg import Weights, convolution_names, random_weights
from handstyle.network.weights import read_weights, write_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.h5"


def equal(one: Weights, other: Weights) -> bool:
    return one.layers.keys() == other.layers.keys() and all(
        np.array_equal(w, other.layers[name][0]) and np.array_equal(b, other.layers[name][1])
        for name, (w, b) in one.layers.items()
    )


def test_round_trip(path: Path, tiny_weights: Weights) -> None:
    weights = replace(tiny_weights, convention="torchvision", provenance={"source": "here", "license": "MIT"})
    write_weights(path, weights)
    found = read_weights(path)
    assert equal(found, weights)
    assert (found.architecture, found.convention) == ("vgg19", "torchvision")
    assert found.provenance["source"] == "here"
    assert found.provenance["license"] == "MIT"
    assert found.provenance["tool"].startswith("handstyle ")
    assert found.provenance["file"] == "weights.h5"
    assert found.provenance["sha256"] == sha256(path)
    assert {w.dtype for w, _ in found.layers.values()} == {np.dtype(np.float32)}


def test_a_file_of_an_earlier_version_is_read_with_the_present_keys(path: Path, tiny_weights: Weights) -> None:
    earlier = replace(tiny_weights, provenance={"licence": "MIT", "normalised": "over three pictures"})
    write_weights(path, earlier)
    found = read_weights(path).provenance
    assert (found["license"], found["normalized"]) == ("MIT", "over three pictures")
    assert not set(earlier.provenance) & set(found)


def test_what_lies_in_the_file(path: Path, tiny_weights: Weights) -> None:
    write_weights(path, tiny_weights)
    with h5py.File(path) as file:
        assert file.attrs["format"] == "handstyle-weights 1"
        assert file.attrs["architecture"] == "vgg19"
        assert file.attrs["convention"] == "caffe"
        assert sorted(file) == ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
        assert file["conv1_1/w"].shape == (3, 3, 3, 4)
        assert file["conv1_1/b"].dtype == np.float32


def test_half_precision_on_disk(path: Path, tiny_weights: Weights) -> None:
    write_weights(path, tiny_weights, np.float16)
    with h5py.File(path) as file:
        assert file["conv2_1/w"].dtype == np.float16
    for name, (w, _) in read_weights(path).layers.items():
        assert w.dtype == np.float32
        np.testing.assert_array_equal(w, tiny_weights.layers[name][0].astype(np.float16))


def test_values_too_large_for_half_precision(path: Path, tiny_weights: Weights) -> None:
    w, b = tiny_weights.layers["conv2_1"]
    large = replace(tiny_weights, layers={**tiny_weights.layers, "conv2_1": (1e6 * w, b)})
    with pytest.raises(HandstyleError, match="layer conv2_1 holds values too large for float16"):
        write_weights(path, large, np.float16)
    assert not path.exists()


@pytest.mark.weights
def test_the_real_file(vgg19_weights: Weights) -> None:
    """The first biases are those that its notes give, and every layer has the published width."""
    _, b = vgg19_weights.layers["conv1_1"]
    np.testing.assert_allclose(b[:4], [0.7301776, 0.0649363, 0.0342885, 0.8260386], rtol=1e-5)
    assert list(vgg19_weights.layers) == convolution_names("vgg19")
    assert vgg19_weights.layers["conv5_4"][0].shape == (3, 3, 512, 512)


# --- what is refused, and how -----------------------------------------------------------------------------------


def spoil(path: Path, weights: Weights, change) -> None:
    write_weights(path, weights)
    with h5py.File(path, "r+") as file:
        change(file)


def delete(name: str):
    return lambda file: file.__delitem__(name)


def put(name: str, **dataset):
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **dataset)

    return change


def link(name: str, target):
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return change


def elsewhere(file: h5py.File) -> None:
    """Keep the values in a file of their own: HDF5's external storage."""
    values = Path(file.filename).with_name("values.bin")
    values.write_bytes(bytes(3 * 3 * 3 * 4 * 4))
    del file["conv1_1/w"]
    file.create_dataset("conv1_1/w", (3, 3, 3, 4), "f4", external=[(values, 0, h5py.h5f.UNLIMITED)])


def virtual(file: h5py.File) -> None:
    """Take the values from another file's dataset."""
    layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
    layout[...] = h5py.VirtualSource("other.h5", "w", (3, 3, 3, 4))
    del file["conv1_1/w"]
    file.create_virtual_dataset("conv1_1/w", layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (delete("conv1_2"), "layer conv1_2 is missing; 4 layers of vgg19 found"),
        (delete("conv1_1"), "layer conv1_1 is missing"),
        (delete("conv2_1/b"), "layer conv2_1 is missing its dataset conv2_1/b"),
        (
            put("conv2_1/w", data=np.zeros((3, 3, 9, 5), "f4")),
            r"layer conv2_1 has kernels of shape \(3, 3, 9, 5\), expected \(3, 3, 4, K\)",
        ),
        (put("conv2_1/b", data=np.zeros(6, "f4")), r"conv2_1 has a bias of shape \(6,\), expected \(5,\)"),
        (put("conv2_1/b", data=np.full(5, np.inf, "f4")), "conv2_1 holds values that are not finite"),
        (put("conv2_1/w", shape=(3, 3, 100000, 100000), dtype="f4"), "conv2_1 declares .*, more than any VGG has"),
        (put("conv2_1/b", shape=(5,), maxshape=(None,), chunks=(10**9,), dtype="f4"), r"declares \(1000000000,\)"),
        (put("conv2_1/w", data="text"), "conv2_1 holds object, expected floating point"),
        (put("conv2_1/w", data=h5py.Empty("f4")), "conv2_1 holds float32, expected floating point"),
        (put("conv2_1/w", data=np.zeros((3, 3, 4, 5), "i8")), "conv2_1 holds int64, expected floating point"),
        (link("conv2_1/w", h5py.SoftLink("/conv1_2/w")), "conv2_1 is missing its dataset"),
        (link("conv2_1/w", h5py.SoftLink("/nowhere")), "conv2_1 is missing its dataset"),
        (link("conv2_1", h5py.SoftLink("/nowhere")), "conv2_1 is missing"),
        (link("conv2_1/w", h5py.ExternalLink("/etc/passwd", "/w")), "conv2_1 is missing its dataset"),
        (link("conv2_1", h5py.ExternalLink("other.h5", "/conv2_1")), "conv2_1"),
        (elsewhere, "conv1_1 keeps its values in another file"),
        (virtual, "conv1_1 keeps its values in another file"),
        (lambda file: file.attrs.__setitem__("format", "handstyle-weights 2"), "not a handstyle weight file"),
        (lambda file: file.attrs.__setitem__("architecture", "vgg11"), "unknown architecture 'vgg11'"),
        (lambda file: file.attrs.__setitem__("convention", "jpeg"), "unknown convention 'jpeg'"),
        (lambda file: file.attrs.__delitem__("convention"), "cannot be read as HDF5 weights"),
    ],
)
def test_spoilt_files(change, message: str, path: Path, tiny_weights: Weights) -> None:
    spoil(path, tiny_weights, change)
    with pytest.raises(HandstyleError, match=message) as refusal:
        read_weights(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


def test_an_external_link_to_a_good_file_is_refused(path: Path, tiny_weights: Weights) -> None:
    """Its values would not be covered by the fingerprint of the file that was named."""
    write_weights(path.with_name("other.h5"), tiny_weights)
    spoil(path, tiny_weights, link("conv2_1", h5py.ExternalLink("other.h5", "/conv2_1")))
    with pytest.raises(HandstyleError, match="conv2_1"):
        read_weights(path)


@pytest.mark.parametrize("kept", [0.99, 0.5, 0.1])
def test_truncated_file(kept: float, path: Path, tiny_weights: Weights) -> None:
    write_weights(path, tiny_weights)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(HandstyleError, match="cannot be read as HDF5 weights") as refusal:
        read_weights(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not HDF5"])
def test_files_of_another_kind(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with pytest.raises(HandstyleError, match=r"cannot be read as HDF5 weights.*handstyle weights convert"):
        read_weights(path)


def test_hdf5_of_another_kind(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(HandstyleError, match="not a handstyle weight file; handstyle weights convert"):
        read_weights(path)


def test_no_such_file(path: Path) -> None:
    for absent in (path, path.parent):
        with pytest.raises(HandstyleError, match="no such weight file; handstyle weights list"):
            read_weights(absent)


# --- writing loses nothing --------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file(
    path: Path, tiny_weights: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(path, tiny_weights)
    before = path.read_bytes()

    def disk_is_full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_writing.os, "replace", disk_is_full)
    with pytest.raises(HandstyleError, match="cannot be written: No space left on device"):
        write_weights(path, random_weights(widths=(2,) * 5))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_misfits_are_refused_before_anything_is_written(path: Path, tiny_weights: Weights) -> None:
    write_weights(path, tiny_weights)
    before = path.read_bytes()
    w, _ = tiny_weights.layers["conv1_2"]
    with pytest.raises(HandstyleError, match="conv1_2 has a bias"):
        write_weights(path, replace(tiny_weights, layers={**tiny_weights.layers, "conv1_2": (w, np.zeros(9))}))
    assert path.read_bytes() == before


def test_places_that_cannot_be_written(tmp_path: Path, tiny_weights: Weights) -> None:
    for place in (tmp_path / "no such folder" / "weights.h5", tmp_path):
        with pytest.raises(HandstyleError, match="cannot be written"):
            write_weights(place, tiny_weights)


def test_others_may_read_what_was_written(path: Path, tiny_weights: Weights) -> None:
    """As for any new file the mask decides, not a temporary file's privacy."""
    before = os.umask(0o022)
    try:
        write_weights(path, tiny_weights)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644
