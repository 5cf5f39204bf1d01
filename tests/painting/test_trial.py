"""The forecast of time: which sizes are tried, what follows from them, and that a trial is iterations of the run."""

import math
from dataclasses import replace

import numpy as np
import pytest

from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.objective import Objective
from handstyle.painting import targets, trial
from handstyle.painting.config import StyleConfig
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.trial import run_time, seconds_of_iteration

CONFIG = StyleConfig(size=64, style_layers=("relu1_1", "relu2_1"), content_layers=("relu2_2",), pyramid_min_size=0)


def run(kernels: str = "auto", free: int = 1 << 40, **changes: object) -> RunMemory:
    network = build_network(random_weights(deepest="conv2_2")).with_kernels(kernels)
    config = replace(CONFIG, **changes)  # type: ignore[arg-type]
    return RunMemory(config, network, dummy_picture(8192), [dummy_picture(8192)], False, free)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Let a trial find a millionth of a second a pixel, and return the sizes that are tried."""
    tried: list[tuple[int, int]] = []
    monkeypatch.setattr(
        trial, "seconds_of_iteration", lambda _, size: (tried.append(size), 1e-6 * size[0] * size[1])[1]
    )
    return tried


def test_every_scale_that_is_quick_is_tried(sizes: list[tuple[int, int]]) -> None:
    time = run_time(run(size=256, pyramid_min_size=64, iterations=10))
    assert sizes == [(64, 64), (128, 128), (256, 256)]
    assert time.seconds == pytest.approx([1e-6 * side**2 for side in (64, 128, 256)])
    assert time.total == pytest.approx(10 * sum(time.seconds))
    assert "256 x 256 px takes 0.0655 s (tried here); 30 iterations: 1 s" in str(time)


def test_others_follow_from_the_largest_that_was_tried(sizes: list[tuple[int, int]]) -> None:
    time = run_time(run(size=8192, pyramid_min_size=1024))
    assert sizes[0] == (1024, 1024)
    height, width = sizes[-1]
    assert 1024 <= width < 8192
    assert f"({'tried here' if width == 8192 else f'from {width} x {height} px, tried here'})" in str(time)
    assert time.seconds[-1] == pytest.approx(1e-6 * 8192**2, rel=0.2)


def test_a_part_of_a_scale_too_slow_to_be_tried_is(sizes: list[tuple[int, int]]) -> None:
    time = run_time(run(size=8192))
    (tried,) = sizes
    assert 64 <= tried[0] < 8192
    assert time.seconds == pytest.approx([1e-6 * 8192**2], rel=0.3)


@pytest.mark.parametrize("changes", [{"kernels": "reference"}, {"free": 1 << 10}])
def test_there_is_no_time_without_a_count_or_memory(sizes: list[tuple[int, int]], changes: dict) -> None:
    time = run_time(run(**changes))
    assert math.isnan(time.total)
    assert str(time) == ""
    assert not sizes


def test_restarts_and_limits_are_counted_in_evaluations(sizes: list[tuple[int, int]]) -> None:
    plain = run_time(run(iterations=100)).total
    assert run_time(run(restarts=10, evaluations=20)).total == pytest.approx(2 * plain)
    assert run_time(run(iterations=100, evaluations=50)).total == pytest.approx(plain / 2)


@pytest.mark.parametrize("optimizer", ["lbfgsb", "lbfgs", "lbfgs-fixed", "adam", "descent"])
def test_a_trial_is_iterations_of_the_runs_optimizer_on_its_terms(optimizer: str, monkeypatch) -> None:
    seen, genuine = [], trial.choose_optimizer

    def noted(config, *others, **files):
        def minimize(objective, start):
            outcome = genuine(config, *others, **files)(objective, start)
            seen.append((objective.names, config.optimizer, len(outcome.trace), objective.shape))
            return outcome

        return minimize

    monkeypatch.setattr(trial, "choose_optimizer", noted)
    monkeypatch.setattr(trial, "MAX_ITERATIONS", 10)
    monkeypatch.setattr(trial, "TRIAL_SECONDS", math.inf)
    tried = run(optimizer=optimizer, lbfgs_history=4)
    assert 0 < seconds_of_iteration(tried, (48, 64)) < 5
    names = [term.name for term in tried.terms((48, 64))]
    assert seen == [(names, optimizer, 10, (48, 64, 3))]


@pytest.mark.parametrize("changes", [{"restarts": 3, "evaluations": 20}, {"evaluations": 1}, {"stop_below": 0.9}])
def test_a_trial_is_long_enough_whatever_ends_the_run_early(changes: dict) -> None:
    assert seconds_of_iteration(run(**changes), (32, 32)) > 0


def test_a_trial_has_the_statistic_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, genuine = [], targets.wasserstein_loss
    monkeypatch.setattr(targets, "wasserstein_loss", lambda *words: (calls.append(1), genuine(*words))[1])
    assert seconds_of_iteration(run(style_statistic="wasserstein"), (32, 32)) > 0
    assert calls


def test_a_trial_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "TRIAL_SECONDS", 0.0)
    calls, genuine = [], Objective.on_device
    monkeypatch.setattr(Objective, "on_device", lambda *words: (calls.append(1), genuine(*words))[1])
    seconds_of_iteration(run(optimizer="adam"), (32, 32))
    assert len(calls) == 1 + trial.MIN_ITERATIONS


def test_a_trial_without_memory_gives_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Objective, "__call__", failing)
    assert np.isnan(seconds_of_iteration(run(), (32, 32)))


@pytest.mark.parametrize("optimizer", ["adam", "descent", "lbfgs-fixed"])
def test_no_rate_ends_a_trial_early(optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls, genuine = [], Objective.on_device
    monkeypatch.setattr(Objective, "on_device", lambda *words: (calls.append(1), genuine(*words))[1])
    monkeypatch.setattr(trial, "MAX_ITERATIONS", 20)
    monkeypatch.setattr(trial, "TRIAL_SECONDS", math.inf)
    assert seconds_of_iteration(run(optimizer=optimizer, learning_rate=1000.0), (32, 32)) > 0
    assert len(calls) >= 20


def test_an_interruption_ends_a_trial_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, genuine = [], Objective.__call__

    def interrupted(self: Objective, v: np.ndarray) -> tuple[float, np.ndarray]:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return genuine(self, v)

    monkeypatch.setattr(Objective, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seconds_of_iteration(run(), (32, 32))
