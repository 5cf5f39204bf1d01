"""A file that carries its own fingerprint is told from every copy of it that was mixed up, and each mistake is named.

With the network that ships, so that it is shown wherever the tests run.
"""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from support.published_formats import slim, write_keras_h5

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CAFFE, CONVENTIONS, TORCHVISION
from handstyle.network.digests import sha256
from handstyle.network.weights import EMBEDDED_FILE, read_weights, write_weights
from weights_tools import registry as module
from weights_tools.convert import convert
from weights_tools.fingerprint import fingerprint, stored_fingerprint, with_fingerprint
from weights_tools.first_layer import ORIENTATIONS, find_input_mismatch, find_orientation, transform_kernels
from weights_tools.registry import Entry, identify
from weights_tools.verify import verify, verify_weights


@pytest.fixture(scope="module")
def shipped():
    return with_fingerprint(read_weights(EMBEDDED_FILE), np.float16)


def changed(weights, name, change):
    w, b = weights.layers[name]
    return replace(weights, layers={**weights.layers, name: change(w, b)})


def found(weights, fed=None):
    return {check.name: check for check in verify_weights(weights, fed)}


def failed(weights, fed=None):
    return [name for name, check in found(weights, fed).items() if check.passed is False]


def test_the_network_that_ships_passes_every_check(shipped):
    assert all(check.passed for check in verify_weights(shipped))


def test_exchanged_colors_are_caught_and_named(shipped):
    wrong = transform_kernels(shipped, exchanged=True)
    assert failed(wrong)[0] == "colors"
    assert "from relu1_1 on" in found(wrong)["fingerprint"].found
    assert "its colors were exchanged" in found(wrong)["colors"].found


@pytest.mark.parametrize("orientation", [name for name in ORIENTATIONS if name])
def test_turned_kernels_are_caught_and_named(orientation, shipped):
    wrong = transform_kernels(shipped, orientation)
    assert {"orientation", "fingerprint"} <= set(failed(wrong))
    assert orientation in found(wrong)["orientation"].found


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_first_layer_on_another_scale_or_with_the_mean_folded_in_is_caught_and_named(name, shipped):
    weights = shipped
    convention = CONVENTIONS[name]
    if name == "torchvision":
        weights = with_fingerprint(replace(shipped, convention=name))
    factor, said = (255, "from 0 to 1, not 0 to 255") if name == "caffe" else (1 / 255, "from 0 to 255, not 0 to 1")
    wrong = changed(weights, "conv1_1", lambda w, b: ((w * factor).astype("f4"), b))
    assert said in found(wrong)["convention"].found
    assert {"convention", "fingerprint"} <= set(failed(wrong))
    mean = np.asarray(convention.mean) / convention.std
    wrong = changed(weights, "conv1_1", lambda w, b: (w, (b - w.sum((0, 1)).T @ mean).astype("f4")))
    assert "mean is not subtracted" in found(wrong)["convention"].found
    assert {"convention", "fingerprint"} <= set(failed(wrong))


def test_a_wrong_convention_is_caught_and_named(shipped):
    wrong = replace(shipped, convention="torchvision")
    assert "expects the convention caffe, not torchvision" in found(wrong)["convention"].found
    assert {"convention", "fingerprint"} <= set(failed(wrong))


@pytest.mark.parametrize(
    "fed",
    [
        replace(CAFFE, mean=(0.0, 0.0, 0.0)),
        replace(CAFFE, scale=1.0, mean=tuple(m / 255 for m in CAFFE.mean)),
        replace(CAFFE, order="RGB", mean=CAFFE.mean[::-1]),
        TORCHVISION,
    ],
    ids=["missing mean", "0 to 1", "RGB", "torchvision"],
)
def test_a_picture_fed_wrongly_is_caught(fed, shipped):
    assert "fingerprint" in failed(shipped, fed)


@pytest.mark.parametrize(("one", "other"), [("conv3_2", "conv3_3"), ("conv4_3", "conv4_4")])
def test_two_exchanged_layers_are_caught_from_the_first_on(one, other, shipped):
    layers = {**shipped.layers, one: shipped.layers[other], other: shipped.layers[one]}
    wrong = replace(shipped, layers=layers)
    assert failed(wrong) == ["fingerprint"]
    assert f"from {one.replace('conv', 'relu')} on" in found(wrong)["fingerprint"].found


@pytest.mark.parametrize("name", ["conv1_1", "conv3_3", "conv5_1"])
def test_a_zeroed_layer_is_caught(name, shipped):
    wrong = changed(shipped, name, lambda w, b: (w * 0, b * 0))
    assert {"alive", "fingerprint"} <= set(failed(wrong))


@pytest.mark.parametrize("name", ["conv2_1", "conv4_3", "conv5_1"])
def test_one_layer_turned_is_caught(name, shipped):
    wrong = changed(shipped, name, lambda w, b: (w[::-1, ::-1], b))
    assert failed(wrong) == ["fingerprint"]
    assert f"from {name.replace('conv', 'relu')} on" in found(wrong)["fingerprint"].found


def test_what_nothing_explains_is_left_open(shipped):
    rng = np.random.default_rng(0)
    wrong = changed(shipped, "conv1_1", lambda w, b: (rng.normal(size=w.shape).astype("f4"), b))
    expected = stored_fingerprint(shipped)["relu1_1"]
    assert find_orientation(wrong, expected, 0.002) is None
    assert find_input_mismatch(wrong, expected, 0.002) is None
    checks = found(wrong)
    assert checks["colors"].passed is checks["orientation"].passed is None
    assert "does not answer as" in checks["colors"].found
    assert failed(wrong) == ["fingerprint"]


@pytest.mark.weights
def test_a_copy_within_the_tolerance_of_the_published_one_is_held_against_its_own_fingerprint(vgg19_weights):
    real = with_fingerprint(replace(vgg19_weights, provenance={}))
    assert found(real)["unchanged"].passed
    wrong = changed(real, "conv5_4", lambda w, b: (w * np.float32(1.01), b))
    assert failed(wrong) == ["unchanged"]


# The fingerprint in the file


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_fingerprint_is_written_beside_the_values_and_changes_none(dtype, tmp_path):
    path = tmp_path / "a.h5"
    weights = slim()
    write_weights(path, with_fingerprint(replace(weights, provenance={"license": "MIT"}), dtype), dtype)
    after = read_weights(path)
    assert after.provenance["license"] == "MIT"
    with h5py.File(path) as file:
        assert file["conv1_1/w"].dtype == dtype
    for name, (w, b) in weights.layers.items():
        np.testing.assert_array_equal(after.layers[name][0], w.astype(dtype))
        np.testing.assert_array_equal(after.layers[name][1], b.astype(dtype))
    np.testing.assert_allclose(list(stored_fingerprint(after).values()), list(fingerprint(after).values()), rtol=1e-6)
    assert verify(path).passed


def test_the_fingerprint_is_that_of_the_values_on_disk():
    weights = slim()
    layers = {
        name: (w.astype("f2").astype("f4"), b.astype("f2").astype("f4")) for name, (w, b) in weights.layers.items()
    }
    on_disk = stored_fingerprint(with_fingerprint(replace(weights, layers=layers)))
    assert stored_fingerprint(with_fingerprint(weights, np.float16)) == on_disk
    assert stored_fingerprint(with_fingerprint(weights)) != on_disk


# Which file it is


def test_the_file_that_ships_is_known_by_its_digest(tmp_path):
    shutil.copy(EMBEDDED_FILE, tmp_path / "other-name.h5")
    assert identify(tmp_path / "other-name.h5") == (True, verify(EMBEDDED_FILE).checks[0].found)
    damaged = bytearray(EMBEDDED_FILE.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged.h5").write_bytes(damaged)
    assert identify(tmp_path / "damaged.h5")[0] is None


def test_a_published_file_is_known_by_its_digest_and_a_converted_one_by_its_own_account(tmp_path, monkeypatch):
    source = tmp_path / "vgg.h5"
    write_keras_h5(source, slim())
    digest = sha256(source)
    for known, extent in ((digest, f"sha256 {digest}"), (digest[:8], f"begins with {digest[:8]}")):
        entries = {"slim": Entry("slim", "slim", "caffe", "MIT", ("http://a/vgg.h5",), f"sha256:{known}")}
        monkeypatch.setattr(module, "ENTRIES", entries)
        passed, said = identify(source)
        assert passed
        assert "published file of slim" in said
        assert extent in said
    convert(source, tmp_path / "a.h5", convention="caffe")
    passed, said = identify(tmp_path / "a.h5", read_weights(tmp_path / "a.h5"))
    assert passed is None, "what a file says of itself proves nothing"
    assert "vgg.h5" in said
    assert "slim" in said
    monkeypatch.setattr(module, "ENTRIES", {})
    assert identify(source) == (None, f"no file whose digest is known (its sha256 is {digest})")


def test_a_damaged_fingerprint_is_named(shipped):
    for text in ('{"relu1_1": [1, 2]}', "[]", "{", '{"relu1_1": "a"}'):
        damaged = replace(shipped, provenance={"fingerprint": text})
        with pytest.raises(HandstyleError, match="fingerprint is damaged"):
            verify_weights(damaged)
