"""What a file's first layer expects, told from its content; and the self-test, shown each fault it must catch."""

from dataclasses import replace

import numpy as np
import pytest
from support.published_formats import slim, write_keras_h5, write_matconvnet, write_npz, write_torch

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.image import CAFFE, TORCHVISION, preprocess_forward
from handstyle.network.vgg import Weights, build_network
from handstyle.network.weights import EMBEDDED_FILE, read_weights
from weights_tools.convention import TORCHVISION_ABOVE, WIDTHS, bias_share, decide
from weights_tools.fingerprint import deviation, fingerprint, picture
from weights_tools.first_layer import ORIENTATIONS, recognize, transform_kernels
from weights_tools.known import KNOWN, tolerance
from weights_tools.normalize import normalize
from weights_tools.readers import Reading, read_any
from weights_tools.verify import verify, verify_weights

PICTURE_SUM, PICTURE_MOMENT = 3253875, 407385923


def stamped(known, widths=(8, 9, 10, 11, 12), bias=1e-4):
    """A random slim network whose first kernel is that of a published one; its biases tell of Caffe."""
    weights = slim(known.architecture, widths)
    layers = {name: (w, bias * b) for name, (w, b) in weights.layers.items()}
    layers["conv1_1"][0][..., 0] = np.nan_to_num(known.landmark, nan=0.1)
    return Weights(known.architecture, known.convention, layers)


def changed(weights, name, change):
    w, b = weights.layers[name]
    return replace(weights, layers={**weights.layers, name: change(w, b)})


def failed(checks):
    return [check.name for check in checks if check.passed is False]


def test_the_picture_is_the_one_that_fingerprints_were_made_with():
    p = picture()
    assert p.shape == (80, 96, 3)
    assert p.dtype == np.float32
    assert int(p.astype(np.int64).sum()) == PICTURE_SUM
    ramp = np.arange(p.size).reshape(p.shape) % 251
    assert int((p.astype(np.int64) * ramp).sum()) == PICTURE_MOMENT


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.title)
def test_a_network_is_recognized_however_it_was_turned(known):
    weights = stamped(known)
    for orientation in ORIENTATIONS:
        for exchanged in (False, True):
            match = recognize(transform_kernels(weights, orientation, exchanged).layers, known.architecture)
            assert match is not None
            assert (match.known, match.orientation, match.exchanged) == (known, orientation, exchanged)
            assert match.scale == pytest.approx(1, abs=2e-3)


def test_no_random_network_is_recognized():
    for seed in range(20):
        for architecture in ("vgg16", "vgg19"):
            assert recognize(slim(architecture, seed=seed).layers, architecture) is None


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.title)
def test_what_was_turned_is_turned_back(known):
    weights = stamped(known)
    for orientation in ORIENTATIONS:
        wrong = transform_kernels(weights, orientation, exchanged=True)
        decided, findings = decide(Reading("a test", known.architecture, wrong.layers))
        assert decided.convention == known.convention
        for name, (w, b) in weights.layers.items():
            np.testing.assert_array_equal(decided.layers[name][0], w)
            np.testing.assert_array_equal(decided.layers[name][1], b)
        assert any("colors" in finding for finding in findings)
        assert any("kernels were" in finding for finding in findings) == bool(orientation)


@pytest.mark.parametrize("scale", [255, 1 / 255, 1.001])
def test_a_mistaken_scale_is_not_taken_for_rescaled_filters(scale):
    weights = stamped(KNOWN[0])
    layers = {
        **weights.layers,
        "conv1_1": (weights.layers["conv1_1"][0] * np.float32(scale), weights.layers["conv1_1"][1]),
    }
    decided, findings = decide(Reading("a test", "vgg19", layers))
    assert "normalized" not in decided.provenance
    assert not any("rescaled" in finding for finding in findings)


@pytest.mark.weights
def test_a_published_network_with_rescaled_filters_passes_and_one_with_a_turned_layer_fails(real, tmp_path):
    scaled = normalize(real, [picture()], "the fingerprint's picture")
    write_torch(tmp_path / "vgg_normalised.pth", scaled, keys="gatys")
    verification = verify(tmp_path / "vgg_normalised.pth")
    assert verification.passed
    assert "times the published one: its filters were rescaled" in str(verification)
    w, b = scaled.layers["conv2_2"]
    scaled.layers["conv2_2"] = np.ascontiguousarray(w[::-1, ::-1]), b
    write_torch(tmp_path / "b.pth", scaled, keys="gatys")
    verification = verify(tmp_path / "b.pth")
    assert failed(verification.checks) == ["fingerprint"]
    assert "from relu" in str(verification)


def test_a_theano_file_with_unflipped_kernels_is_put_right(tmp_path):
    weights = stamped(KNOWN[0])
    unflipped = transform_kernels(weights, "rotated by 180 degrees")  # the writer will flip them once more
    write_keras_h5(tmp_path / "a.h5", unflipped, theano=True)
    decided, findings = decide(read_any(tmp_path / "a.h5"))
    np.testing.assert_array_equal(decided.layers["conv3_2"][0], weights.layers["conv3_2"][0])
    assert any("rotated by 180 degrees" in finding for finding in findings)


@pytest.mark.parametrize("write", [write_matconvnet, write_npz])
def test_a_format_in_rgb_is_brought_to_bgr(write, tmp_path):
    weights = stamped(KNOWN[1])
    write(tmp_path / "known", weights)
    np.testing.assert_array_equal(
        decide(read_any(tmp_path / "known"))[0].layers["conv1_1"][0], weights.layers["conv1_1"][0]
    )
    weights = slim("vgg16")
    write(tmp_path / "unknown", weights)
    decided, _ = decide(read_any(tmp_path / "unknown"), "caffe")
    np.testing.assert_array_equal(decided.layers["conv1_1"][0], weights.layers["conv1_1"][0])


def test_an_unknown_network_is_told_by_the_weight_of_its_biases():
    for bias, widths, expected in ((1e-4, (4, 5, 6, 7, 7), "caffe"), (1.0, WIDTHS, "torchvision")):
        weights = slim("vgg16", widths)
        layers = {name: (w, bias * b) for name, (w, b) in weights.layers.items()}
        decided, findings = decide(Reading("a test", "vgg16", layers))
        assert decided.convention == expected
        assert any("biases weigh" in finding for finding in findings)


def test_large_biases_tell_nothing_of_a_network_of_other_widths():
    shipped = read_weights(EMBEDDED_FILE)  # of Caffe's convention, with biases as large as torchvision's
    assert bias_share(shipped) > TORCHVISION_ABOVE
    reading = Reading("a test", "vgg19", shipped.layers)
    with pytest.raises(HandstyleError, match=r"widths are not VGG's own.*--convention"):
        decide(reading)
    assert decide(reading, "caffe").weights.convention == "caffe"


def with_biases(factor):
    """A slim network with biases in blocks 3 and 4 only."""
    weights = slim()
    layers = {name: (w, b * (factor if name[4] in "34" else 0)) for name, (w, b) in weights.layers.items()}
    return Weights("vgg19", "caffe", layers)


def test_biases_are_weighed_against_the_response_without_them():
    # Against the response with them, no share could exceed 1 by much.
    assert bias_share(with_biases(1e3)) > 2


def test_a_network_that_does_not_tell_asks_for_a_convention():
    between = 1e-3 * 0.012 / bias_share(with_biases(1e-3))  # biases this small move nothing, so the share is linear
    for factor, expected in ((0.0, "no biases"), (between, "between")):
        reading = Reading("a test", "vgg19", with_biases(factor).layers)
        with pytest.raises(HandstyleError, match=f"{expected}.*--convention"):
            decide(reading)
        assert decide(reading, "torchvision")[0].convention == "torchvision"


def test_a_convention_against_the_evidence_is_refused():
    with pytest.raises(HandstyleError, match="convention caffe, not torchvision"):
        decide(Reading("a test", "vgg19", stamped(KNOWN[0]).layers), "torchvision")
    with pytest.raises(HandstyleError, match="unknown convention"):
        decide(Reading("a test", "vgg19", slim().layers), "lab")


def test_rescaling_filters_does_not_change_the_share_of_the_biases():
    weights = slim()
    factors = {
        name: np.random.default_rng(1).uniform(0.5, 2, b.size).astype("f4") for name, (_, b) in weights.layers.items()
    }
    layers, before = {}, np.ones(3, np.float32)
    for name, (w, b) in weights.layers.items():
        layers[name] = (w / before[:, None] * factors[name], b * factors[name])
        before = factors[name]
    assert bias_share(Weights("vgg19", "caffe", layers)) == pytest.approx(bias_share(weights), rel=1e-4)


# The self-test without the real weights: what it can tell of any network.


def test_an_unknown_network_passes_and_says_that_it_is_unknown():
    checks = verify_weights(slim())
    assert {check.name: check.passed for check in checks if check.passed is None}.keys() >= {"colors", "fingerprint"}
    assert "unknown network: only the structure" in str(checks[-1].found)


def test_biases_of_another_size_are_evidence_and_no_verdict():
    weights = slim()
    layers = {name: (w, np.float32(1e-4) * b) for name, (w, b) in weights.layers.items()}

    def check(convention, layers):
        checks = verify_weights(replace(weights, convention=convention, layers=layers))
        return next(check for check in checks if check.name == "convention")

    assert check("caffe", layers).passed is True
    wrong = check("torchvision", layers)
    assert wrong.passed is None
    assert "BUT biases weigh" in wrong.found
    pruned = check("caffe", weights.layers)  # large biases, and the widths of no VGG
    assert pruned.passed is None
    assert "inconclusive" in pruned.found


def test_structure_is_checked_first():
    weights = slim()
    del weights.layers["conv2_1"]
    (check,) = verify_weights(weights)
    assert check.passed is False
    assert "conv2_1 is missing" in check.found


def test_a_zeroed_layer_of_any_network_is_named():
    checks = verify_weights(changed(slim(), "conv4_2", lambda w, b: (w * 0, b)))
    assert "every kernel of conv4_2 is zero" in [check.found for check in checks]


def test_a_foreign_file_is_verified_as_it_would_be_converted(tmp_path):
    write_torch(tmp_path / "a.pth", stamped(KNOWN[2]))
    verification = verify(tmp_path / "a.pth")
    assert verification.passed
    assert "VGG-19 of torchvision" in str(verification)
    (tmp_path / "b.pth").write_bytes(b"no")
    with pytest.raises(HandstyleError, match=r"b\.pth"):
        verify(tmp_path / "b.pth")


# And with the real ones, every fault.


@pytest.fixture(scope="module")
def real(vgg19_weights):
    return Weights("vgg19", "caffe", vgg19_weights.layers, {})


@pytest.mark.weights
def test_the_real_network_passes_every_check(real):
    assert all(check.passed for check in verify_weights(real))


# Of scikit-image's astronaut at 224², by another program than this one: fraction of zeros, mean, maximum.
ASTRONAUT = {
    "relu1_1": (0.47, 26, 764),
    "relu2_1": (0.37, 156, 4879),
    "relu3_1": (0.53, 177, 7074),
    "relu4_1": (0.50, 681, 21704),
    "relu4_2": (0.62, 482, 22016),
    "relu5_1": (0.77, 71, 4222),
}


@pytest.mark.weights
def test_the_real_network_answers_a_photograph_as_it_does_elsewhere(real):
    data, transform = pytest.importorskip("skimage.data"), pytest.importorskip("skimage.transform")
    p = 255 * transform.resize(data.astronaut(), (224, 224), anti_aliasing=True)
    network = build_network(real).with_kernels("auto")
    features, _ = network.forward(preprocess_forward(p.astype(np.float32), CAFFE), list(ASTRONAUT))
    for name, (zeros, mean, maximum) in ASTRONAUT.items():
        assert np.mean(features[name] == 0) == pytest.approx(zeros, abs=0.0051), name
        assert features[name].mean() == pytest.approx(mean, abs=0.51), name
        assert features[name].max() == pytest.approx(maximum, rel=1e-3), name


@pytest.mark.weights
def test_the_real_network_is_caffe_s_by_its_biases_too(real):
    assert bias_share(real) == pytest.approx(0.00078, rel=0.05)


@pytest.mark.weights
def test_a_network_cut_short_or_in_half_precision_passes(real):
    names = list(real.layers)[:9]
    cut = replace(real, layers={name: real.layers[name] for name in names})
    assert all(check.passed for check in verify_weights(cut))
    half = {name: (w.astype("f2").astype("f4"), b.astype("f2").astype("f4")) for name, (w, b) in real.layers.items()}
    assert all(check.passed for check in verify_weights(replace(real, layers=half)))


@pytest.mark.weights
def test_exchanged_colors_are_caught(real):
    checks = verify_weights(transform_kernels(real, exchanged=True))
    assert failed(checks) == ["colors", "fingerprint"]
    assert "from relu1_1 on" in checks[-1].found


@pytest.mark.weights
@pytest.mark.parametrize("orientation", [name for name in ORIENTATIONS if name])
def test_turned_kernels_are_caught_by_landmark_and_by_fingerprint(orientation, real):
    checks = verify_weights(transform_kernels(real, orientation))
    assert failed(checks) == ["orientation", "fingerprint"]
    assert "from relu1_1 on" in checks[-1].found
    assert orientation in next(check.found for check in checks if check.name == "orientation")


@pytest.mark.weights
@pytest.mark.parametrize(
    ("fed", "what"),
    [
        (replace(CAFFE, mean=(0.0, 0.0, 0.0)), "missing mean"),
        (replace(CAFFE, scale=1.0, mean=tuple(m / 255 for m in CAFFE.mean)), "0 to 1"),
        (replace(CAFFE, order="RGB", mean=CAFFE.mean[::-1]), "RGB"),
        (TORCHVISION, "torchvision"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_picture_fed_wrongly_is_caught(fed, what, real):
    assert "fingerprint" in failed(verify_weights(real, fed))


@pytest.mark.weights
def test_weights_that_claim_the_wrong_convention_are_caught(real):
    assert failed(verify_weights(replace(real, convention="torchvision"))) == ["convention", "fingerprint"]


@pytest.mark.weights
def test_a_first_layer_for_0_to_1_is_caught_and_named(real):
    checks = verify_weights(changed(real, "conv1_1", lambda w, b: (w * 255, b)))
    assert "conv1_1 expects pictures from 0 to 1, not 0 to 255" in [check.found for check in checks]
    assert "fingerprint" in failed(checks)


@pytest.mark.weights
def test_a_first_layer_with_the_mean_folded_in_is_caught_and_named(real):
    mean = np.asarray(CAFFE.mean, np.float32)
    checks = verify_weights(changed(real, "conv1_1", lambda w, b: (w, b - w.sum((0, 1)).T @ mean)))
    assert failed(checks) == ["fingerprint"]
    assert "mean is not subtracted" in checks[-1].found


@pytest.mark.weights
@pytest.mark.parametrize(("one", "other"), [("conv3_2", "conv3_3"), ("conv4_2", "conv4_4"), ("conv5_1", "conv5_4")])
def test_two_exchanged_layers_are_caught_from_the_first_on(one, other, real):
    layers = {**real.layers, one: real.layers[other], other: real.layers[one]}
    checks = verify_weights(replace(real, layers=layers))
    assert failed(checks) == ["fingerprint"]
    assert f"from {one.replace('conv', 'relu')} on" in checks[-1].found


@pytest.mark.weights
@pytest.mark.parametrize("name", ["conv1_2", "conv3_3", "conv5_4"])
def test_a_zeroed_layer_is_caught(name, real):
    checks = verify_weights(changed(real, name, lambda w, b: (w * 0, b * 0)))
    assert failed(checks) == ["alive", "fingerprint"]


@pytest.mark.weights
@pytest.mark.parametrize("name", ["conv2_1", "conv3_4", "conv4_3", "conv5_3"])
def test_one_layer_turned_is_caught(name, real):
    checks = verify_weights(changed(real, name, lambda w, b: (w[::-1, ::-1], b)))
    assert f"from {name.replace('conv', 'relu')} on" in checks[-1].found


@pytest.mark.weights
def test_the_tolerance_covers_another_quantization_and_no_more(real):
    draw = np.random.default_rng(0)

    def quantized(name, w, b):
        step = (w.max() - w.min()) / 255
        return ((w + draw.uniform(-step / 2, step / 2, w.shape)).astype("f4"), b) if name[4] in "45" else (w, b)

    layers = {name: quantized(name, w, b) for name, (w, b) in real.layers.items()}
    found, expected = fingerprint(replace(real, layers=layers)), KNOWN[0].fingerprint
    worst = {
        block: max(deviation(found[n], expected[n]) / tolerance(n) for n in found if n[4] == block) for block in "12345"
    }
    assert max(worst.values()) < 0.6
    assert max(worst["4"], worst["5"]) > 0.2
