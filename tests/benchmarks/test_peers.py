"""The comparison with other programs: the fastest of them counts, and what is missing is left out with a word."""

import json
import time
from functools import partial

import numpy as np
import pytest

tables = pytest.importorskip("benchmarks.peers.tables", reason="the benchmarks are not in this tree")
evaluation = pytest.importorskip("benchmarks.peers.evaluation", reason="psutil is not installed")
common = pytest.importorskip("benchmarks.common")

ROW = {"what": "time 256", "seconds": {"ours": [1.0, 1.2], "torch": [4.0, 4.0], "jax": [2.0, 3.0]}}


def test_the_ratio_is_to_the_fastest_and_the_others_stand_beside():
    assert tables.fastest_peer(ROW) == "jax"
    assert tables.ratios(ROW) == pytest.approx((0.5, 0.45))
    line = tables.evaluation_table([ROW]).splitlines()[-1]
    assert line == "| time 256 | 1.000 s | 2.000 s (JAX) | 0.50 | 0.45 | PyTorch 4.000 s | 0.45 | 0.38 |"


def test_columns_without_an_entry_go():
    table = "| a | b | c |\n|---|---|---|\n| 1 | | 3 |"
    assert tables.without_empty_columns(table) == "| a | c |\n|---|---|\n| 1 | 3 |"


def test_results_that_are_kept_still_make_a_table():
    for path in common.RESULTS.glob("*-evaluation.json"):
        rows = json.loads(path.read_text())["rows"]
        lines = tables.evaluation_table(rows).splitlines()
        assert len(lines) == len(rows) + 2
        assert {line.count("|") for line in lines} == {9}


def test_a_peer_that_is_not_installed_or_fails_is_left_out_with_its_reason():
    def missing():
        raise ImportError("No module named 'jax'")

    def failing():
        return lambda p: 1 / 0

    made, seconds, skipped = evaluation.first_calls(
        {"a": lambda: lambda p: (0.0, p), "b": missing, "c": failing}, np.zeros(1)
    )
    assert [*made] == [*seconds] == ["a"]
    assert skipped == {"b": "not installed: No module named 'jax'", "c": "ZeroDivisionError: division by zero"}


@pytest.mark.torch
def test_every_peer_that_is_installed_has_our_gradient():
    network = common.build_network(common.random_weights(widths=(4, 6, 8, 8, 8), deepest="conv5_1"))
    p = np.random.default_rng(0).uniform(0, 255, (32, 32, 3)).astype(np.float32)
    content, styles = common.targets(network, 32)
    value, gradient = common.objective(network, content, styles, 32)(p.astype(np.float64).ravel())
    makers = {
        name: lambda name=name: evaluation.peer(name, network, content, styles)
        for name in evaluation.PEERS
        if name != "torch.compile"  # a minute
    }
    made, _, skipped = evaluation.first_calls(makers, p)
    assert all(reason.startswith("not installed") for reason in skipped.values()), skipped
    for name, side in made.items():
        found, theirs = side(p)
        assert found == pytest.approx(value, rel=1e-4), name
        assert np.linalg.norm(theirs.ravel() - gradient) < 2e-3 * np.linalg.norm(gradient), name


def steps_of(turn, length, steps):
    stamps = []
    for _ in range(steps):
        turn.next()
        stamps.append((time.monotonic(), dict(turn.finished)))
        time.sleep(length)
    return stamps, turn.seconds


def failing(turn):
    turn.next()
    raise ZeroDivisionError("by nothing")


def test_runs_take_turns_and_each_has_its_own_seconds():
    found = common.take_turns([partial(steps_of, length=0.03, steps=3), partial(steps_of, length=0.01, steps=5)])
    order = sorted((when, index) for index, (stamps, _) in enumerate(found) for when, _ in stamps)
    assert [index for _, index in order] == [0, 1, 0, 1, 0, 1, 1, 1]
    assert found[0][1] >= 0.09
    assert found[1][1] >= 0.05
    assert [set(finished) for _, finished in found[1][0]] == [set(), set(), {0}, {0}, {0}]  # its third turn ends run 0


def test_a_run_that_fails_ends_its_turns():
    with pytest.raises(RuntimeError, match="run 0: ZeroDivisionError: by nothing"):
        common.take_turns([failing, partial(steps_of, length=0.01, steps=5)])
