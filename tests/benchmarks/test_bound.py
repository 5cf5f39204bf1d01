"""The table of layers and bounds: what it counts is what the forecast counts, and what it times is an evaluation."""

import json
import re

import numpy as np
import pytest

bound = pytest.importorskip("benchmarks.bound", reason="the benchmarks are not in this tree")
common = pytest.importorskip("benchmarks.common")
report = pytest.importorskip("benchmarks.report", reason="matplotlib is not installed")


def test_layers_and_rest_add_up_and_no_operation_is_lost(monkeypatch):
    monkeypatch.setattr(bound, "PRODUCT", 64)
    monkeypatch.setattr(bound, "COPY", 1 << 12)
    network = common.network_with("auto", np.float32)
    row = bound.measure(64, 1)
    by_layer = {layer["layer"]: layer for layer in row["layers"]}
    assert sum(layer["seconds"] for layer in row["layers"]) == pytest.approx(row["evaluation"])
    assert {"conv1_1 forward", "conv5_1 backward", bound.LOSSES, bound.REST} <= set(by_layer)
    content, styles = common.targets(network, 64)
    terms = common.objective(network, content, styles, 64).prepared.terms
    rows = bound.dry_run(bound.engine.auto_engine(), network, terms, (64, 64, 3)).rows
    counted = sum(one.cost.products for one in rows)
    assert sum(layer["operations"] for layer in row["layers"]) == pytest.approx(counted, abs=10)  # thirds are rounded
    # conv1_2 reads 64 channels and writes the pooled map.
    assert by_layer["conv1_2 forward"]["bytes"] == 4 * 64 * 64 * (64 + 64 // 4)
    assert bound.table(row).count("\n") == len(row["layers"]) + 2


def test_a_bound_is_operations_at_one_rate_and_bytes_at_the_other():
    layer = {"layer": "a", "kernel": "", "operations": 6e9, "bytes": 1e9, "seconds": 4.0}
    row = {"size": 1, "evaluation": 4.0, "operations_a_second": 3e9, "bytes_a_second": 2e9, "layers": [layer]}
    assert bound.bound(row, layer) == 2.5
    assert "| 2500.0 ms | 62% |" in bound.table(row)


def test_the_newest_file_that_has_such_a_row_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    for name, rows in {
        "2026-01-01-evaluation": ["time 256", "run 512 a"],
        "2026-01-02-evaluation": ["time 256", "memory 512"],
        "2026-01-02-memory": ["memory 512"],
        "2026-01-03-layers": ["run 512 b"],
    }.items():
        content = {"name": name, "rows": [{"what": what} for what in rows]}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    found = {what: report.newest_with(what)[0]["name"] for what in ("time", "memory", "run")}
    assert found == {
        "time": "2026-01-02-evaluation", "memory": "2026-01-02-memory", "run": "2026-01-01-evaluation"
    }  # fmt: skip
    with pytest.raises(FileNotFoundError, match="row of error"):
        report.newest_with("error")


def test_the_line_about_a_result_names_its_file():
    for name in ("evaluation", "layers", "lock", "choices", "bound", "precondition"):
        line = report.machine_line(report.newest(name))
        assert re.match(rf"`benchmarks/results/\d{{4}}-\d\d-\d\d-{name}\.json`: ", line), line
