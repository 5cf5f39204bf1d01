"""The embedded network: how it is made, on a teacher small enough for a test, and what ships."""

from dataclasses import replace
from importlib.resources import as_file, files

import h5py
import numpy as np
import pytest
from PIL import Image

from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.gradcheck import check_projection
from handstyle.foundations.image import CAFFE, preprocess_forward
from handstyle.network.digests import tensors_sha256
from handstyle.network.vgg import Weights, build_network, convolution_names, random_weights
from handstyle.network.weights import read_weights, write_weights
from weights_tools.distill import __main__ as command
from weights_tools.distill import evaluate
from weights_tools.distill.match import match_forward
from weights_tools.distill.painting import TAPS
from weights_tools.distill.pictures import DRAWINGS, PHOTOGRAPHS, training_picture
from weights_tools.distill.prune import _fit_rectified, _hidden_error, fit_decoder, prune, select_channels
from weights_tools.distill.state import TrainingSettings, read_state, round_weights, small_weights
from weights_tools.distill.sweep import picture_gradient
from weights_tools.distill.train import DRAWN as DRAWN_LATER
from weights_tools.distill.train import PRUNING, Distiller, step_length
from weights_tools.verify import verify

TEACHER = random_weights(widths=(5, 6, 7, 8, 8), seed=3)
NAMES = convolution_names("vgg19")[:13]
WIDTHS = dict(zip(NAMES, (3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 5), strict=True))
TINY = TrainingSettings(
    WIDTHS,
    steps=4,
    size=32,
    pictures=6,
    judges=2,
    paintings=1,
    pool=8,
    batch=2,
    fresh=1,
    practice=2,
    photographs=False,
    learns_from="conv4_1",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    path = tmp_path_factory.mktemp("distill") / "whole.npz"
    lines = []
    run = Distiller(TEACHER, TINY, path, report=lines.append)
    run.run()
    return run, path, lines


def test_a_run_reports_each_layer_and_each_tap_and_ends_at_its_last_step(finished):
    run, path, lines = finished
    assert run.state.step == read_state(path, TINY).step == TINY.steps
    assert sum("conv5_1: 5 of 8 channels" in line for line in lines) == 2, "once without practice, once with"
    assert [line.split(":")[0] for line in lines if line.startswith("step")] == ["step 2", "step 4"]
    assert [tap for tap in TAPS if tap in lines[-1]] == ["relu4_1", "relu4_2", "relu5_1"]


def test_only_the_layers_that_learn_move_and_the_others_are_run_once(finished, tmp_path):
    run, _, _ = finished
    start = Distiller(TEACHER, TINY, tmp_path / "state.npz")
    moved = {name for name, a in start.state.parameters.items() if not np.array_equal(a, run.state.parameters[name])}
    deep = {f"{name}/{kind}" for name in NAMES[8:] for kind in "wb"}
    assert moved == deep | {f"relu{tap}/decoder" for tap in ("4_1", "4_2", "5_1")}
    x, targets = start.examples[0]
    network, p = start.network(), preprocess_forward(start.state.pool[0], CAFFE)
    np.testing.assert_array_equal(x, network.forward(p, ["pool3"])[0]["pool3"])
    assert list(targets) == ["relu4_1", "relu4_2", "relu5_1"]


def test_a_tap_of_full_width_learns_the_teachers_own_features(tmp_path):
    settings = replace(TINY, widths={**WIDTHS, "conv5_1": 8})
    run = Distiller(TEACHER, settings, tmp_path / "state.npz")
    start = run.state.parameters["relu5_1/decoder"].copy()
    np.testing.assert_allclose(start, start[0, 0] * np.eye(8), rtol=1e-6)
    p = preprocess_forward(run.state.pool[0], CAFFE)
    features, expected = (
        network.forward(p, ["relu5_1"])[0]["relu5_1"] for network in (run.network(), build_network(TEACHER))
    )
    assert np.vdot(features, expected) / np.vdot(features, features) == pytest.approx(start[0, 0], rel=0.3)
    run.descend()
    np.testing.assert_array_equal(run.state.parameters["relu5_1/decoder"], start)


def test_the_step_length_falls_to_nothing_before_each_restart():
    lengths = [step_length(step, TrainingSettings(WIDTHS, steps=700, restarts=(400, 500))) for step in range(700)]
    assert max(lengths) == pytest.approx(1, abs=0.05)
    assert lengths[399] < 1e-4
    assert max(lengths[400:500]) == pytest.approx(0.25, abs=0.05), "half, met halfway down by the end of the warm-up"
    assert lengths[499] < 1e-3
    assert max(lengths[500:]) == pytest.approx(0.43, abs=0.05), "half, met less than halfway down"
    assert lengths[699] < 1e-4
    assert step_length(3, TrainingSettings(WIDTHS, steps=4)) < 0.1


def test_kernels_are_rounded_to_few_bits_and_packed(tmp_path):
    weights = random_weights(widths=(64, 64, 64, 64, 64), seed=1)
    few = round_weights(weights, bits=4)
    for name, (w, b) in few.layers.items():
        exact, _ = weights.layers[name]
        assert np.all(np.abs(w - exact) <= (2**-5 + 2**-10) * np.abs(exact) + 2**-25)
        normal = w[np.abs(w) >= 2**-14].astype(np.float16)
        assert not np.any(normal.view(np.uint16) & 0x3F), "six of ten bits are zero"
        np.testing.assert_array_equal(b, weights.layers[name][1])
    plain, packed = tmp_path / "plain.h5", tmp_path / "packed.h5"
    write_weights(plain, few, np.float16)
    write_weights(packed, few, np.float16, compressed=True)
    assert packed.stat().st_size < 0.7 * plain.stat().st_size
    assert tensors_sha256(read_weights(plain)) == tensors_sha256(read_weights(packed)) == tensors_sha256(few)


def test_the_network_practices_and_sees_what_it_painted(finished):
    run, path, _ = finished
    drawn = {training_picture((0, PRUNING, i), 32, []).tobytes() for i in range(TINY.pictures)}
    drawn |= {training_picture((0, DRAWN_LATER, step), 32, []).tobytes() for step in range(TINY.steps)}
    painted = [p for p in run.state.pool if p.tobytes() not in drawn]
    assert len(painted) >= 2
    assert len(run.state.waiting) > 12, "two paintings at step 4 and what is left of two at step 2, six pictures each"
    assert len(read_state(path, TINY).waiting) == len(run.state.waiting)


def test_an_interrupted_run_ends_with_the_same_bits_on_any_number_of_threads(finished, tmp_path):
    whole, _, _ = finished

    def interrupt(line):
        if line.startswith("step 2"):
            raise KeyboardInterrupt

    path = tmp_path / "state.npz"
    first = Distiller(TEACHER, TINY, path, workers=2, report=interrupt)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = Distiller(TEACHER, TINY, path, workers=2)
    assert second.state.step == 2
    second.run()
    for name, expected in whole.state.parameters.items():
        np.testing.assert_array_equal(second.state.parameters[name], expected, err_msg=name)


def test_a_checkpoint_of_other_settings_is_refused(finished):
    _, path, _ = finished
    with pytest.raises(HandstyleError, match="other settings"):
        Distiller(TEACHER, TrainingSettings(WIDTHS, steps=5), path)


def test_descent_lowers_the_loss_on_pictures_it_has(tmp_path):
    settings = TrainingSettings(
        WIDTHS,
        steps=80,
        size=32,
        pictures=4,
        judges=1,
        paintings=0,
        pool=4,
        batch=4,
        fresh=99,
        rate=0.02,
        learns_from="conv1_1",
        photographs=False,
    )
    run = Distiller(TEACHER, settings, tmp_path / "state.npz")

    def loss():
        layers = run.network().layers
        # The first picture of the pool gives way to a new one.
        return sum(picture_gradient(layers, run.state.parameters, *example, 1.0)[0] for example in run.examples[1:])

    before = loss()
    for _ in range(settings.steps):
        run.descend()
    assert loss() < 0.9 * before


def test_the_gradient_at_every_parameter_by_projection():
    rng = np.random.default_rng(0)
    p = training_picture((1,), 32, []).astype(np.float64)
    teacher = build_network(TEACHER).astype(np.float64)
    targets, _ = teacher.forward(preprocess_forward(p, CAFFE), TAPS)
    small = random_weights(widths=(3, 4, 5, 6, 6), seed=1)
    parameters = {f"{name}/w": w.astype(np.float64) for name, (w, _) in small.layers.items()}
    parameters |= {f"{name}/b": rng.normal(0, 20, b.shape) for name, (_, b) in small.layers.items()}
    for tap in TAPS:
        shape = small.layers[tap.replace("relu", "conv")][1].size, targets[tap].shape[2]
        parameters[f"{tap}/decoder"] = rng.normal(0, 0.3, shape)

    x0 = preprocess_forward(p, CAFFE)

    def network(values):
        return build_network(small_weights(values, "caffe", {}))

    _, _, gradients = picture_gradient(network(parameters).layers, parameters, x0, targets, 0.7)
    assert set(gradients) == set(parameters)
    for name, x in parameters.items():

        def loss(value, name=name):
            values = {**parameters, name: value}
            return picture_gradient(network(values).layers, values, x0, targets, 0.7)[0]

        def signature(value, name=name):
            rectified = network({**parameters, name: value})
            features, _ = rectified.forward(x0, rectified.names)
            return np.concatenate([(f > 0).ravel() for f in features.values()])

        report = check_projection(loss, gradients[name], x, draws=3, signature=signature)
        assert report, f"{name}: {report}"


def test_the_loss_is_what_it_says():
    rng = np.random.default_rng(0)
    s, f, decoder = rng.random((4, 5, 3)), rng.random((4, 5, 6)), rng.random((3, 6))
    value, terms, _ = match_forward({"relu1_1": s}, {"relu1_1": f}, {"relu1_1": decoder}, 0.5)
    decoded, F = s.reshape(20, 3) @ decoder, f.reshape(20, 6)
    features = np.sum((decoded - F) ** 2) / np.sum(F**2)
    gram = np.sum((decoded.T @ decoded - F.T @ F) ** 2) / np.sum((F.T @ F) ** 2)
    np.testing.assert_allclose(terms["relu1_1"], (features, gram), rtol=1e-12)
    assert value == pytest.approx(features + 0.5 * gram, rel=1e-12)


def test_channels_that_others_predict_are_not_kept():
    rng = np.random.default_rng(0)
    own = rng.random((500, 3)) * (1, 2, 4)
    f = np.stack([own[:, 0], own[:, 1], own[:, 0], 0 * own[:, 0], own[:, 2], own[:, 1] + own[:, 2]], axis=1)
    kept = select_channels(f.T @ f, np.eye(6), 3)
    decoder, *_ = np.linalg.lstsq(f[:, kept], f, rcond=None)
    np.testing.assert_allclose(f[:, kept] @ decoder, f, atol=1e-9)
    assert len(set(select_channels(f.T @ f, np.eye(6), 6))) == 6, "more than there is to choose from"


def test_the_metric_decides_what_is_worth_keeping():
    second = np.diag([4.0, 1.0, 2.0])
    assert list(select_channels(second, np.eye(3), 2)) == [0, 2]
    assert list(select_channels(second, np.diag([0.1, 9.0, 1.0]), 2)) == [1, 2]


def test_pruning_to_the_full_width_gives_the_teacher_again():
    widths = {name: b.size for name, (_, b) in TEACHER.layers.items()}
    pictures = [training_picture((7, i), 32, []) for i in range(3)]
    pruned = prune(TEACHER, widths, pictures, TAPS)
    assert max(pruned.errors.values()) < 1e-4
    teacher = build_network(TEACHER)
    small = build_network(Weights("vgg19", "caffe", pruned.layers, {}))
    x = preprocess_forward(training_picture((8,), 32, []), CAFFE)
    expected, found = (network.forward(x, ["relu5_1"])[0]["relu5_1"] for network in (teacher, small))
    scale = np.vdot(found, expected) / np.vdot(found, found)
    assert np.linalg.norm(scale * found - expected) < 0.02 * np.linalg.norm(expected)


def test_a_layer_without_a_feature_is_an_error():
    dark = {name: (w, b - 1e6) for name, (w, b) in TEACHER.layers.items()}
    with pytest.raises(HandstyleError, match="conv1_1: the teacher's channels are zero on all pictures"):
        prune(Weights("vgg19", "caffe", dark, {}), {"conv1_1": 4}, [training_picture((7,), 32, [])], TAPS)


def test_what_the_rectifier_hides_is_no_error():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random((400, 3)), np.ones((400, 1))], axis=1)
    z = x @ rng.normal(size=(4, 2))
    z = np.where(z > 0, z, 5 * z**3 - 1)  # bent where nobody sees it: the visible half is exactly linear
    v = _fit_rectified(x, x.T @ x, z, np.zeros((4, 2)), 1e-9, sweeps=1000)
    once = _fit_rectified(x, x.T @ x, z, np.zeros((4, 2)), 1e-9, sweeps=1)
    assert _hidden_error(x, z, v) < 1e-3 < 0.1 * _hidden_error(x, z, once)


def test_the_decoder_is_least_squares():
    rng = np.random.default_rng(0)
    small = [rng.random((6, 7, 3)), rng.random((5, 4, 3))]
    true = rng.normal(size=(3, 5))
    decoder, error = fit_decoder(small, [s @ true for s in small])
    np.testing.assert_allclose(decoder, true, rtol=1e-3, atol=1e-3)
    assert error < 1e-6


@pytest.mark.parametrize("draw", DRAWINGS)
def test_drawn_pictures_are_functions_of_the_seed(draw):
    p, again, other = (draw(np.random.default_rng(seed), 48) for seed in (5, 5, 6))
    assert p.shape == (48, 48, 3)
    assert p.dtype == np.float32
    assert p.min() >= 0
    assert p.max() <= 255
    assert p.std() > 1
    np.testing.assert_array_equal(p, again)
    assert not np.array_equal(p, other)


def test_the_command_writes_a_network_and_refuses_to_replace_one(tmp_path, monkeypatch, capsys):
    teacher, out = tmp_path / "teacher.h5", tmp_path / "slim.h5"
    write_weights(teacher, TEACHER)
    monkeypatch.setattr(command, "settings_of", lambda arguments: TINY)
    line = ["distill", "--teacher", str(teacher), "--out", str(out), "--checkpoint", str(tmp_path / "state.npz")]
    monkeypatch.setattr("sys.argv", line)
    command.main()
    written = read_weights(out)
    assert [b.size for _, b in written.layers.values()] == list(WIDTHS.values())
    assert "CC BY 4.0" in written.provenance["license"]
    assert "fingerprint   every layer answers as when the file was written" in str(verify(out))
    with pytest.raises(SystemExit, match="--overwrite"):
        command.main()


def test_evaluation_judges_each_painter_and_paints_nothing_twice(tmp_path, monkeypatch):
    for i, name in enumerate(("harbour", "whirl")):
        p = training_picture((9, i), 40, [])[:32].clip(0, 255).astype(np.uint8)
        Image.fromarray(p).save(tmp_path / f"{name}.jpg")
    teacher, pairs = build_network(TEACHER), [("harbour", "whirl")]
    networks = {"vgg19": teacher, "untrained": build_network(random_weights(widths=(3, 4, 5, 6, 6)))}
    (row,) = evaluate.evaluate(teacher, networks, pairs, tmp_path, tmp_path, 40, 8)
    assert row["photograph"]["content"] == 0
    assert row["vgg19"]["gram_mean"] < 0.5 * row["photograph"]["gram_mean"]
    assert row["vgg19"]["gram_mean"] == pytest.approx(np.mean(list(row["vgg19"]["gram"].values())), abs=1e-4)
    assert evaluate.means([row, row], "vgg19")["content"] == row["vgg19"]["content"]
    assert evaluate.contact_sheet(pairs, list(networks), tmp_path).size == (86, 32)
    assert evaluate.contact_sheet(pairs, list(networks), tmp_path, tmp_path).size == (178, 32)
    monkeypatch.setattr(evaluate, "paint", None)
    assert evaluate.evaluate(teacher, networks, pairs, tmp_path, tmp_path, 40, 8) == [row]
    with pytest.raises(HandstyleError, match=r"nowhere\.jpg.*--pictures"):
        evaluate.read_picture("nowhere", tmp_path, 40)


def test_what_was_measured_is_written_into_the_file_and_nothing_else_changes(tmp_path):
    path = tmp_path / "slim.h5"
    write_weights(path, TEACHER, np.float16)
    before = read_weights(path)
    table = {"means": {"slim": {"gram_mean": 0.0512, "content": 0.7}}, "pairs": [1, 2], "size": 256, "iterations": 120}
    evaluate.record(path, before, evaluate.in_words(table))
    after = read_weights(path)
    assert "2 pairs" in after.provenance["measured"]
    assert "slim 0.051 (0.70)" in after.provenance["measured"]
    changed = {key for key, value in after.provenance.items() if before.provenance.get(key) != value}
    assert changed == {"measured", "fingerprint", "sha256"}
    assert {check.name: check.passed for check in verify(path).checks}["fingerprint"]
    for name, (w, b) in before.layers.items():
        np.testing.assert_array_equal(after.layers[name][0], w)
        np.testing.assert_array_equal(after.layers[name][1], b)


def test_no_picture_of_the_evaluation_is_trained_on():
    assert not set(PHOTOGRAPHS) & {*evaluate.CONTENTS, *evaluate.STYLES}


def test_the_embedded_network_ships_with_its_papers():
    with as_file(files("handstyle") / "data" / "vgg19-slim.h5") as path:
        assert path.stat().st_size < 4_000_000
        weights = read_weights(path)
        with h5py.File(path) as file:
            assert file["conv1_1/w"].dtype == np.float16
    assert list(weights.layers) == NAMES
    assert weights.convention == "caffe"
    said = weights.provenance
    assert said["license"] == "CC BY 4.0"
    assert "VGG-19" in said["source"]
    assert "Oxford" in said["source"]
    assert {"source_sha256", "training", "steps", "measured", "fingerprint"} <= set(said)
