"""Kept runs of optimizers: one is used only if the objective is the same to the last bit near its start and its end."""

import json
import os
import sys
from types import ModuleType

import numpy as np
import pytest
from conftest_docs import DOCS

sys.path.insert(0, str(DOCS / "_ext"))

import paintings

from handstyle.losses import gram
from handstyle.losses.content import ContentTerm
from handstyle.losses.gram import StyleTerm, moments_forward
from handstyle.network.vgg import build_network, random_weights
from handstyle.optimize.adam import Adam, minimize_adam
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.loop import Loop
from handstyle.optimize.objective import Evaluable, Objective
from handstyle.optimize.precondition import Preconditioned, Spectrum

PHOTOGRAPH, PAINTING = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
LOOP = "handstyle/optimize/loop.py:Loop.run"


def objective(content: float = 1.0) -> Objective:
    network = build_network(random_weights())
    wanted, manner = (network.forward(p / 255, ["relu1_1"])[0]["relu1_1"] for p in (PHOTOGRAPH, PAINTING))
    terms = [ContentTerm("relu1_1", wanted, content), StyleTerm("relu1_1", moments_forward(manner), 10.0)]
    return Objective(network, terms, (16, 16, 3))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs an optimizer of a fresh process and says whether the run was painted or kept."""
    monkeypatch.setattr(paintings, "counts", {"painted": 0, "kept": 0})
    monkeypatch.setattr(paintings, "loaded", [])
    optimizers = tmp_path / paintings.OPTIMIZERS
    codes = {"": "libraries", "handstyle/optimize/loop.py": "loop", "handstyle/optimize/adam.py": "adam"}

    def go(f=None, minimize=minimize_lbfgsb, options=None, changed=(), same_process=False, start=PHOTOGRAPH):
        paintings.folder_of(tmp_path).mkdir(parents=True, exist_ok=True)
        (paintings.folder_of(tmp_path) / "codes.json").write_text(json.dumps({**codes, **dict(changed)}))
        module, noted = ModuleType(minimize.__module__), []
        module.__file__, module.minimize_it, module.Loop = str(optimizers / "made.py"), minimize, Loop
        paintings.keep(module, tmp_path, {LOOP}, noted.append)
        if not same_process:
            paintings.times.clear()
        before = dict(paintings.counts)
        outcome = module.minimize_it(f or objective(), start.ravel().copy(), 5, **(options or {}))
        what = next((kind for kind in before if paintings.counts[kind] > before[kind]), "made")
        return what, outcome, noted

    return go


def test_a_run_is_kept_with_its_picture_and_its_trace(run):
    (first, painted, _), (second, kept, noted) = run(), run()
    assert (first, second) == ("painted", "kept")
    assert np.array_equal(painted.v, kept.v)
    assert painted.trace == kept.trace
    assert noted == [LOOP]  # the record has what the run ran, though it did not run here


def test_the_same_run_again_in_one_process_is_made_and_kept_for_itself(run):
    assert [run()[0], run(same_process=True)[0]] == ["painted", "painted"]
    assert [run()[0], run(same_process=True)[0]] == ["kept", "kept"]


def bit(values):
    values = np.array(values)
    values.flat[0] = np.nextafter(values.flat[0], np.inf)
    return values


def test_a_bit_of_the_loss_that_has_changed_is_seen(run, monkeypatch):
    run()
    true = gram.gram_loss
    monkeypatch.setattr(gram, "gram_loss", lambda *given: (true(*given)[0] * (1 + 2**-50), true(*given)[1]))
    assert [run()[0], run()[0]] == ["painted", "kept"]
    monkeypatch.undo()


def test_a_change_that_shows_only_at_the_result_is_seen(run, monkeypatch):
    f, end = objective(), run()[1].v
    true = Objective.__call__

    def changed(self, v):
        value, gradient = true(self, v)
        return value, bit(gradient) if np.array_equal(v, end) else gradient

    monkeypatch.setattr(Objective, "__call__", changed)
    assert run(f)[0] == "painted"


def test_another_start_is_another_run_even_where_the_objective_is_the_same_in_float32(run):
    assert [run()[0], run()[0], run(start=PHOTOGRAPH + 1e-12)[0]] == ["painted", "kept", "painted"]


def test_a_weight_that_does_not_show_at_the_start_is_seen(run):
    assert [run(objective(1.0))[0], run(objective(2.0))[0], run(objective(1.0))[0]] == ["painted", "painted", "kept"]


@pytest.mark.parametrize("options", [{"lbfgs_history": 3}, {"tolerance": 1e-9}, {"evaluations": 4}])
def test_other_options_are_another_run(run, options):
    run()
    assert [run(options=options)[0], run(options=options)[0]] == ["painted", "kept"]


def test_a_change_of_an_optimizer_paints_its_own_runs(run):
    run()
    assert run(changed={"handstyle/optimize/adam.py": "changed"})[0] == "kept"
    assert run(changed={"handstyle/optimize/loop.py": "changed"})[0] == "painted"
    assert run(changed={"": "other libraries"})[0] == "painted"


def test_a_callback_is_called_with_the_kept_iterations(run):
    met = []
    options = {"callback": lambda row: met.append((row.iteration, row.value, row.v.copy(), row.v.fill(0)))}
    assert [run()[0], run(options=options)[0], run(options=options)[0], run()[0]] == [
        "painted",
        "painted",
        "kept",
        "kept",
    ]
    assert [row[:2] for row in met[:5]] == [row[:2] for row in met[5:]]
    assert all(np.array_equal(one[2], other[2]) for one, other in zip(met[:5], met[5:], strict=True))


def test_a_run_without_an_iteration_is_kept_though_its_callback_was_told_nothing(run, monkeypatch):
    true, met = Objective.__call__, []
    monkeypatch.setattr(Objective, "__call__", lambda self, v: (true(self, v)[0], np.zeros(v.size)))
    options = {"callback": met.append}  # flat: it ends where it begins
    assert [run(options=options)[0], run(options=options)[0], run()[0]] == ["painted", "kept", "kept"]
    assert met == []


def test_runs_that_end_by_a_callback_or_write_checkpoints_are_made_each_time(run, tmp_path):
    def ends(row):
        raise StopIteration

    options = {"callback": lambda row: row.save(tmp_path / "checkpoint.npz")}
    assert [run(options=options)[0] for _ in range(2)] == ["made", "made"]
    assert [run(options={"callback": ends})[0] for _ in range(2)] == ["made", "made"]
    run(options={"callback": lambda row: None})
    with pytest.raises(RuntimeError, match="a callback ends a run that is kept whole"):
        run(options={"callback": ends})


class Noting(Evaluable):
    """An objective that counts its evaluations."""

    def __init__(self):
        self.objective, self.terms, self.met = objective(), {}, 0

    def __call__(self, v):
        """Evaluate and count."""
        self.met += 1
        return self.objective(v)


def test_a_function_that_may_take_notes_is_called_each_time(run):
    one, other = Noting(), Noting()
    assert [run(one)[0], run(other)[0]] == ["made", "made"]
    assert one.met == other.met >= 5
    for _ in range(2):
        preconditioned = Preconditioned(Noting(), Spectrum.of((16, 16, 3), 0.5, PHOTOGRAPH))
        preconditioned.objective.shape = (16, 16, 3)
        assert run(preconditioned)[0] == "made"


def test_a_run_for_scaled_coefficients_is_kept(run):
    kinds = [run(Preconditioned(objective(), Spectrum.of((16, 16, 3), 0.5, PHOTOGRAPH)))[0] for _ in range(2)]
    assert kinds == ["painted", "kept"]


def test_a_run_by_an_optimizer_with_a_bug_is_neither_taken_nor_kept(run, monkeypatch):
    run()
    true, other = Loop.accept, {"tolerance": 1e-9}
    with monkeypatch.context() as patched:
        patched.setattr(Loop, "accept", lambda self, *given: true(self, *given))
        assert [run()[0], run(options=other)[0]] == ["made", "made"]
    paintings.loaded.clear()  # as in a new process
    assert [run()[0], run(options=other)[0]] == ["kept", "painted"]


def test_adam_passes_on_its_state(run):
    states = [Adam(np.zeros(768), np.zeros(768)) for _ in range(2)]
    ways = [run(minimize=minimize_adam, options={"start": state, "learning_rate": lambda k: 1 / k}) for state in states]
    assert [way[0] for way in ways] == ["painted", "kept"]
    assert np.array_equal(states[0].first, states[1].first)
    assert states[1].steps == 5
    start = Adam(np.zeros(768), np.zeros(768))
    assert run(minimize=minimize_adam, options={"start": start, "learning_rate": 1.0})[0] == "painted"
    later = {"start": states[1], "learning_rate": lambda k: 1 / (k - 5)}  # a rate by the steps of this scale
    assert run(minimize=minimize_adam, options=later)[0] == "painted"


def test_the_oldest_go_when_all_are_too_large(tmp_path, monkeypatch):
    folder = paintings.folder_of(tmp_path)
    paintings.begin(tmp_path, "libraries")
    for n in range(3):
        (folder / f"{n}.pickle").write_bytes(bytes(10))
        os.utime(folder / f"{n}.pickle", (n, n))
    monkeypatch.setattr(paintings, "LARGEST", 20)
    paintings.begin(tmp_path, "libraries")
    assert sorted(path.name for path in folder.glob("*.pickle")) == ["1.pickle", "2.pickle"]
