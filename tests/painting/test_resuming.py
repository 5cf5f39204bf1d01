"""Runs put down and taken up: bit for bit the run that was never interrupted, and refusals of everything else."""

import json
from functools import wraps

import numpy as np
import pytest

import handstyle
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.adam import minimize_adam
from handstyle.painting.config import StyleConfig

pytestmark = pytest.mark.smoke
PYRAMID = {
    "size": 48,
    "pyramid_min_size": 24,
    "iterations_by_scale": (4, 5),
    "style_layers": ("relu1_1", "relu2_1", "relu3_1"),
}
KINDS = {
    "lbfgs": {},
    "lbfgs preconditioned": {"optimizer": "lbfgs", "precondition": 0.5},
    "lbfgs-fixed": {},
    "adam": {"averaging": 0.9, "clamp": True, "learning_rate_schedule": "root:0.2"},
    "descent": {"learning_rate": 1e-3, "learning_rate_schedule": "exponential:0.9:2"},
    "lbfgsb": {"restarts": 3, "evaluations": 4, "pyramid_min_size": 0, "iterations_by_scale": ()},
}


@pytest.fixture(scope="module")
def network():
    return build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=1))


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(5)
    smooth = np.clip(np.cumsum(rng.normal(0, 8, (2, 48, 40, 3)), axis=2) + 128, 0, 255)
    return [picture.astype(np.uint8) for picture in smooth]


def paint_and_save(network, pictures, config, path, at):
    """Paint, saving the run after iteration `at` and interrupting it there."""

    def put_down(progress):
        if progress.iteration == at:
            progress.save(path)
            raise KeyboardInterrupt

    with pytest.raises(handstyle.PaintingInterrupted) as caught:
        handstyle.stylize(*pictures, network=network, config=config, callback=put_down)
    return caught.value.result


@pytest.mark.parametrize("at", [2, 4, 7], ids=["coarse", "end of coarse", "fine"])
@pytest.mark.parametrize("optimizer", KINDS)
def test_a_run_taken_up_is_the_run_never_put_down(network, pictures, tmp_path, optimizer, at):
    config = StyleConfig(**PYRAMID | {"optimizer": optimizer} | KINDS[optimizer])
    at = min(at, config.restarts or at)
    whole = handstyle.stylize(*pictures, network=network, config=config)
    part = paint_and_save(network, pictures, config, tmp_path / "run.npz", at)
    assert part.stopped.startswith(f"interrupted after {at} iterations")
    seen = []
    rest = handstyle.stylize(
        *pictures, network=network, config=config, resume=tmp_path / "run.npz", callback=lambda row: seen.append(row)
    )
    assert [row.iteration for row in seen] == list(range(at + 1, 1 + len(whole.trace)))
    np.testing.assert_array_equal(rest.array, whole.array)
    assert [(r.iteration, r.evaluations, r.value, r.terms) for r in rest.trace] == [
        (r.iteration, r.evaluations, r.value, r.terms) for r in whole.trace
    ]
    assert rest.evaluations == whole.evaluations
    assert rest.stopped == whole.stopped


def test_a_run_taken_up_may_go_further(network, pictures, tmp_path):
    config = StyleConfig(
        **{**PYRAMID, "pyramid_min_size": 0, "iterations_by_scale": ()}, optimizer="lbfgs", iterations=6
    )
    further = StyleConfig(
        **{**PYRAMID, "pyramid_min_size": 0, "iterations_by_scale": ()}, optimizer="lbfgs", iterations=9
    )
    paint_and_save(network, pictures, config, tmp_path / "run.npz", 6)
    rest = handstyle.stylize(*pictures, network=network, config=further, resume=tmp_path / "run.npz")
    np.testing.assert_array_equal(rest.array, handstyle.stylize(*pictures, network=network, config=further).array)


def test_a_schedule_begins_anew_at_every_scale_also_after_a_pause(network, pictures, tmp_path, monkeypatch):
    config, rates = StyleConfig(**PYRAMID, optimizer="adam", **KINDS["adam"]), []

    @wraps(minimize_adam)
    def watched(objective, v0, iterations, learning_rate, *rest, **named):
        return minimize_adam(
            objective, v0, iterations, lambda step: rates.append(learning_rate(step)) or rates[-1], *rest, **named
        )

    monkeypatch.setattr("handstyle.optimize.adam.minimize_adam", watched)
    paint_and_save(network, pictures, config, tmp_path / "run.npz", 7)
    assert rates == [config.learning_rate_at(step) for step in (1, 2, 3, 4, 1, 2, 3)]
    rates.clear()
    handstyle.stylize(*pictures, network=network, config=config, resume=tmp_path / "run.npz")
    assert rates == [config.learning_rate_at(step) for step in (4, 5)]


@pytest.mark.parametrize("at", [3, 4, 7], ids=["coarse", "end of coarse", "fine"])
def test_scipys_run_goes_on_from_its_picture_and_says_so(network, pictures, tmp_path, at):
    config = StyleConfig(**PYRAMID)
    part = paint_and_save(network, pictures, config, tmp_path / "run.npz", at)
    rest = handstyle.stylize(*pictures, network=network, config=config, resume=tmp_path / "run.npz")
    assert any("resumed from the picture" in note for note in rest.notes)
    assert len(rest.trace) == 9
    assert [(r.value, r.terms) for r in rest.trace[:at]] == [(r.value, r.terms) for r in part.trace]
    if at != 4:  # there the next value is of another size
        assert rest.trace[at].value < rest.trace[at - 1].value
    assert rest.stopped == "all 9 iterations done at 2 scales"
    again = handstyle.stylize(*pictures, network=network, config=config, resume=tmp_path / "run.npz")
    np.testing.assert_array_equal(rest.array, again.array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"style_weight": 3.0}, "style_weight=None, this one style_weight=3.0"),
        (
            {"style_layers": ("relu1_1", "relu2_1")},
            "style_layers=('relu1_1', 'relu2_1', 'relu3_1'), this one style_layers=('relu1_1', 'relu2_1')",
        ),
        ({"optimizer": "adam"}, "optimizer='lbfgs', this one optimizer='adam'"),
    ],
)
def test_other_settings_are_refused(network, pictures, tmp_path, change, words):
    config = StyleConfig(**PYRAMID, optimizer="lbfgs")
    paint_and_save(network, pictures, config, tmp_path / "run.npz", 2)
    other = StyleConfig(**{**PYRAMID, "optimizer": "lbfgs", **change})
    with pytest.raises(handstyle.HandstyleError) as caught:
        handstyle.stylize(*pictures, network=network, config=other, resume=tmp_path / "run.npz")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_of_more_scales_is_refused_by_the_setting_that_differs(network, pictures, tmp_path):
    config, path = StyleConfig(**PYRAMID, optimizer="lbfgs"), tmp_path / "run.npz"
    paint_and_save(network, pictures, config, path, 7)  # at the second scale
    other = StyleConfig(**PYRAMID | {"optimizer": "lbfgs", "size": 32})
    with pytest.raises(handstyle.HandstyleError, match="that run has size=48, this one size=32"):
        handstyle.stylize(*pictures, network=network, config=other, resume=path)


def test_other_pictures_networks_and_files_are_refused(network, pictures, tmp_path):
    config, path = StyleConfig(**PYRAMID, optimizer="lbfgs"), tmp_path / "run.npz"
    paint_and_save(network, pictures, config, path, 2)
    changed = [pictures[0], 255 - pictures[1]]
    with pytest.raises(handstyle.HandstyleError, match="other pictures"):
        handstyle.stylize(*changed, network=network, config=config, resume=path)
    other = build_network(random_weights(widths=(4, 6, 8, 8, 8), seed=2))
    with pytest.raises(handstyle.HandstyleError, match="another network"):
        handstyle.stylize(*pictures, network=other, config=config, resume=path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(handstyle.HandstyleError, match=r"not a checkpoint|damaged"):
        handstyle.stylize(*pictures, network=network, config=config, resume=path)
    np.savez(path, facts=json.dumps({"method": "L-BFGS"}))
    with pytest.raises(handstyle.HandstyleError, match="not by a run"):
        handstyle.stylize(*pictures, network=network, config=config, resume=path)
