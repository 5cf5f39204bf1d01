"""Conversion writes what it found; normalizing keeps the features up to a factor each; card and comparison are true."""

import json

import numpy as np
import pytest
from PIL import Image
from support.published_formats import slim, write_caffemodel, write_npy, write_torch

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CAFFE, preprocess_forward
from handstyle.network.digests import sha256
from handstyle.network.vgg import Weights, build_network
from handstyle.network.weights import read_weights, write_weights
from weights_tools.card import describe, filters_sheet
from weights_tools.compare import compare
from weights_tools.convert import convert, load
from weights_tools.fingerprint import fingerprint, picture, stored_fingerprint
from weights_tools.normalize import mean_activations, normalize
from weights_tools.verify import verify


@pytest.fixture
def source(tmp_path):
    write_npy(tmp_path / "vgg19.npy", slim())
    return tmp_path / "vgg19.npy"


def test_a_converted_file_holds_the_same_values_and_says_where_they_are_from(source, tmp_path):
    findings = convert(source, tmp_path / "a.h5", convention="caffe", license="CC BY 4.0")
    weights = read_weights(tmp_path / "a.h5")
    for name, (w, b) in slim().layers.items():
        np.testing.assert_array_equal(weights.layers[name][0], w)
        np.testing.assert_array_equal(weights.layers[name][1], b)
    provenance = weights.provenance
    assert weights.convention == "caffe"
    assert provenance["source"] == "vgg19.npy"
    assert provenance["source_sha256"] == sha256(source)
    assert provenance["license"] == "CC BY 4.0"
    assert provenance["format_read"] == "NumPy, dictionary"
    assert provenance["tool"].startswith("handstyle ")
    assert provenance["found"] == "; ".join(findings)
    stored, measured = stored_fingerprint(weights), fingerprint(weights)
    assert list(stored) == list(measured)
    np.testing.assert_allclose(list(stored.values()), list(measured.values()), rtol=1e-5)


def test_a_license_that_nobody_stated_is_not_invented(source, tmp_path):
    convert(source, tmp_path / "a.h5", convention="caffe")
    assert read_weights(tmp_path / "a.h5").provenance["license"] == "not stated"


def test_a_target_whose_name_promises_another_format_is_refused(source, tmp_path):
    with pytest.raises(HandstyleError, match=r"a.npz: what is written is HDF5: give it a name that ends in .h5"):
        convert(source, tmp_path / "a.npz", convention="caffe")


def test_an_existing_file_is_kept_unless_told_otherwise(source, tmp_path):
    target = tmp_path / "a.h5"
    target.write_bytes(b"precious")
    with pytest.raises(HandstyleError, match="`overwrite` replaces it"):
        convert(source, target, convention="caffe")
    assert target.read_bytes() == b"precious"
    convert(source, target, convention="caffe", overwrite=True)
    assert read_weights(target).architecture == "vgg19"


def test_a_conversion_that_fails_writes_nothing(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"nothing of use")
    with pytest.raises(HandstyleError):
        convert(tmp_path / "a.pth", tmp_path / "a.h5")
    with pytest.raises(HandstyleError, match="no folder"):
        convert(tmp_path / "a.pth", tmp_path / "none" / "a.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_a_convention_that_is_not_told_is_asked_for_by_file_name(tmp_path):
    weights = slim()
    layers = {name: (w, b * 0) for name, (w, b) in weights.layers.items()}
    write_npy(tmp_path / "a.npy", Weights("vgg19", "caffe", layers))
    with pytest.raises(HandstyleError, match=r"a\.npy: .*--convention"):
        convert(tmp_path / "a.npy", tmp_path / "a.h5")


def test_a_native_file_is_converted_again_with_its_history(source, tmp_path):
    convert(source, tmp_path / "a.h5", convention="caffe")
    convert(tmp_path / "a.h5", tmp_path / "b.h5", normalized=True)
    provenance = read_weights(tmp_path / "b.h5").provenance
    assert provenance["source"] == "a.h5"
    assert provenance["source_sha256"] == sha256(tmp_path / "a.h5")
    assert "three pictures that ship with the package" in provenance["normalized"]
    with pytest.raises(HandstyleError, match="the file has convention caffe"):
        convert(tmp_path / "a.h5", tmp_path / "c.h5", convention="torchvision")


def test_damage_after_conversion_is_found_by_the_file_s_own_fingerprint(source, tmp_path):
    convert(source, tmp_path / "a.h5", convention="caffe")
    assert verify(tmp_path / "a.h5").passed
    weights = read_weights(tmp_path / "a.h5")
    layers = {**weights.layers, "conv3_2": weights.layers["conv3_3"], "conv3_3": weights.layers["conv3_2"]}
    write_weights(tmp_path / "b.h5", Weights("vgg19", "caffe", layers, weights.provenance))
    verification = verify(tmp_path / "b.h5")
    assert not verification.passed
    assert "from relu3_2 on" in str(verification)
    damaged = {**weights.provenance, "fingerprint": json.dumps({"relu1_1": [1, 2]})}
    write_weights(tmp_path / "c.h5", Weights("vgg19", "caffe", weights.layers, damaged))
    with pytest.raises(HandstyleError, match="fingerprint is damaged"):
        verify(tmp_path / "c.h5")


# Normalizing


def test_after_normalizing_every_filter_has_mean_activation_one_and_features_keep_their_shape(rng):
    weights = slim(widths=(8, 8, 8, 8, 8))
    pictures = [rng.uniform(0, 255, (48, 40, 3)), rng.uniform(0, 255, (32, 64, 3))]
    means = mean_activations(weights, pictures)
    scaled = normalize(weights, pictures, "two")
    again = mean_activations(scaled, pictures)
    x = preprocess_forward(pictures[0].astype(np.float32), CAFFE)
    taps = [name.replace("conv", "relu") for name in weights.layers]
    before, _ = build_network(weights).forward(x, taps)
    after, _ = build_network(scaled).forward(x, taps)
    answering = 0
    for name, m in means.items():
        alive = m > 0
        answering += alive.sum()
        np.testing.assert_allclose(again[name][alive], 1, rtol=1e-4, err_msg=name)
        np.testing.assert_array_equal(again[name][~alive], 0)
        f, g = (features[name.replace("conv", "relu")] for features in (before, after))
        np.testing.assert_allclose(g * np.where(alive, m, 1), f, rtol=1e-3, atol=1e-4 * float(f.max()), err_msg=name)
    assert answering > 100
    silent = sum(int((m == 0).sum()) for m in means.values())
    assert ("are zero on them" in scaled.provenance["normalized"]) == (silent > 0)


def test_a_filter_that_never_answers_is_left_and_counted(rng):
    weights = slim()
    w, b = weights.layers["conv2_1"]
    b = b.copy()
    b[1] = -1e9
    weights.layers["conv2_1"] = w, b
    scaled = normalize(weights, [rng.uniform(0, 255, (32, 32, 3))], "noise")
    assert scaled.layers["conv2_1"][1][1] == np.float32(-1e9)
    assert "are zero on them" in scaled.provenance["normalized"]
    with pytest.raises(HandstyleError, match="at least one picture"):
        normalize(weights, [], "nothing")


def test_normalizing_uses_the_pictures_that_are_given(source, tmp_path, rng):
    Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(tmp_path / "mine.png")
    convert(source, tmp_path / "a.h5", convention="caffe", normalized=True, pictures=[tmp_path / "mine.png"])
    assert "over mine.png" in read_weights(tmp_path / "a.h5").provenance["normalized"]
    with pytest.raises(HandstyleError, match="only to normalize"):
        convert(source, tmp_path / "b.h5", convention="caffe", pictures=[tmp_path / "mine.png"])


@pytest.mark.weights
def test_the_real_network_normalized_is_still_recognized(vgg19_weights, tmp_path):
    source = Weights("vgg19", "caffe", vgg19_weights.layers, {"network": "VGG-19"})
    scaled = normalize(source, [picture()], "the fingerprint's picture")
    write_weights(tmp_path / "a.h5", scaled)
    verification = verify(tmp_path / "a.h5")
    assert verification.passed
    assert "filters rescaled" in str(verification)
    scaled.provenance["normalised"] = scaled.provenance.pop("normalized")  # as version 0.1.0 wrote it
    write_weights(tmp_path / "a.h5", scaled)
    assert "filters rescaled" in str(verify(tmp_path / "a.h5"))


# Comparing and describing


def test_a_network_compared_with_itself_differs_in_nothing_and_with_another_where_it_does():
    weights = slim()
    assert all(row[1:] == (0, 0, 0) for row in compare(weights, weights))
    w, b = weights.layers["conv2_2"]
    other = Weights("vgg19", "caffe", {**weights.layers, "conv2_2": (w * np.float32(1.01), b)})
    rows = {row.layer: row for row in compare(weights, other)}
    assert rows["conv2_1"].features == 0
    assert rows["conv2_2"].kernel == pytest.approx(0.01, rel=1e-3)
    assert rows["conv2_2"].bias == 0
    assert 0 < rows["conv2_2"].features < 0.02
    assert rows["conv5_4"].features > 0


def test_networks_of_other_shapes_are_not_compared():
    with pytest.raises(HandstyleError, match="cannot be compared"):
        compare(slim("vgg16"), slim("vgg19"))
    with pytest.raises(HandstyleError, match="conv1_1 is"):
        compare(slim(widths=(4, 5, 6, 7, 7)), slim(widths=(5, 5, 6, 7, 7)))


def test_the_same_network_in_two_formats_is_the_same(tmp_path):
    write_torch(tmp_path / "a.pth", slim())
    write_caffemodel(tmp_path / "a.caffemodel", slim())
    first, second = (load(tmp_path / name, "caffe").weights for name in ("a.pth", "a.caffemodel"))
    assert all(row[1:] == (0, 0, 0) for row in compare(first, second))


def test_the_card_tells_what_the_arrays_are():
    rows = dict(describe(slim()))
    assert rows["architecture"] == "vgg19, to conv5_4"
    assert rows["widths"] == "4, 5, 6, 7, 7"
    assert "BGR, 0 to 255" in rows["convention"]
    assert "fingerprint" not in rows


def test_the_sheet_shows_each_filter_in_its_true_colors():
    weights = slim()
    w, b = weights.layers["conv1_1"]
    w = np.zeros_like(w)
    w[0, 2, 2, 1] = 1  # in BGR the third channel is red: filter 1 answers to red in its upper right corner
    sheet = filters_sheet(Weights("vgg19", "caffe", {"conv1_1": (w, b)}))
    assert sheet.dtype == np.uint8
    patch = sheet[6 : 6 + 54, 66 : 66 + 54]
    assert tuple(patch[5, 50]) == (255, 128, 128)
    assert tuple(patch[50, 5]) == (128, 128, 128)
