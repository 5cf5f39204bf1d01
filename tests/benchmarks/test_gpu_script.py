"""The GPU benchmark's script, rehearsed on the processor, so that it does not fail first on the machine it is for."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.emulated_device import WHY_NOT

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.py"


@pytest.mark.skipif(WHY_NOT is not None or not SCRIPT.exists(), reason=WHY_NOT or "the benchmarks are not in this tree")
def test_the_sections_run_and_leave_json(tmp_path):
    out = tmp_path / "gpu.json"
    wanted = ["machine", "peaks", "transfers", "rungs", "processor", "largest"]
    command = [sys.executable, str(SCRIPT), "--rehearse", "--out", str(out), "--sections", ",".join(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(out.read_text())
    assert results["errors"] == {}
    assert results["machine"]["rehearsal"] is True
    assert all(row["bytes"] > 0 and row["wall_s"] > 0 for row in results["rungs"].values())
    report = [sys.executable, str(SCRIPT.with_name("report.py")), str(out)]
    done = subprocess.run(report, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "a rehearsal, its times mean nothing" in done.stdout
    assert "required" not in done.stdout


@pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this tree")
def test_a_ladder_has_its_rungs_and_what_each_gains():
    spec = importlib.util.spec_from_file_location("report", SCRIPT.with_name("report.py"))
    report = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(report)
    times = {"im2col, naive": 8e-6, "im2col, coalesced": 2e-6, "mec": 1e-6, "tensor, weights": 1e-6}
    rungs = {name: {"wall_s": time, "bytes": 4000} for name, time in times.items()}
    results = {"rungs": rungs, "peaks": {"copy_bytes_per_s": 1e9}}
    assert report.ladders(results) == {
        "im2col": [("naive", 8e-6, 4000), ("coalesced", 2e-6, 4000), ("mec", 1e-6, 4000)]
    }
    assert "| im2col | naive 8, coalesced 2 (4.0×), mec 1 (8.0×) | 4.0 |" in report.ladders_table(results)


def measure():
    """Return the script's module of measuring, which is in no package."""
    spec = importlib.util.spec_from_file_location("measure", SCRIPT.with_name("measure.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this tree")
def test_what_fails_costs_nothing_else_and_what_is_done_is_on_disk(tmp_path, capsys):
    path = tmp_path / "out.json"
    book, on_disk = measure().ResultFile(path), []

    def section(found):
        found.attempt("first", lambda: 1)
        on_disk.append(json.loads(path.read_text())["section"])
        assert not found.attempt("second", lambda: 1 / 0)
        found.attempt("third", lambda: 3)
        raise KeyError("at the end")

    book.section("section", section)
    book.section("next", lambda found: found.attempt("only", lambda: 4))
    results = json.loads(path.read_text())
    assert on_disk == [{"first": 1}]
    assert results["section"] == {"first": 1, "third": 3}
    assert results["next"] == {"only": 4}
    assert set(results["errors"]) == {"section: second", "section"}
    assert "ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this tree")
def test_nothing_new_is_begun_after_the_time(tmp_path):
    book = measure().ResultFile(tmp_path / "out.json", minutes=0)
    book.section("section", lambda found: found.attempt("late", lambda: 1))
    assert book.results["section"] == {}
    assert "TimeoutError" in book.results["errors"]["section: late"]


# Times as a file of results has them, for what the report makes of them; no machine ever gave these.
INVENTED = {
    "errors": {},
    "machine": {"gpu": "invented"},
    "peaks": {"float32_flops": 5e13, "tf32_flops": 3e14, "copy_bytes_per_s": 3e12},
    "evaluation": {
        "1024": {
            "times": {n: {"event_s": t, "wall_s": t} for n, t in
                      {"ours cuda": 0.03, "torch float32": 0.05, "ours cuda-tf32": 0.02, "torch tf32": 0.02}.items()},
            "peak_bytes": {"ours cuda": 1 << 29, "torch float32": 1 << 31},
        }
    },
    "painting": {"lbfgs tf32": {"iterations": 500, "seconds": 7.0}},
    "processor": {"1024": {"ours 16 threads": {"wall_s": 1.8}}},
    "transfers": {"512 plain": {"wall_s": 0.004}},
    "largest": {"6000": {"fits": True, "taken_bytes": 22 << 30, "forecast_bytes": 21 << 30, "wall_s": 1.0},
                "6656": {"fits": False, "taken_bytes": 28 << 30, "forecast_bytes": 27 << 30}},
    "layers": {"conv1_2": {"layer": "conv1_2", "side": 512, "C": 64, "K": 64, "direct_flop": 2e10,
                           "chosen float32": "winograd4", "winograd4 float32 forward": {"wall_s": 2e-3},
                           "mec float32 forward": {"wall_s": 1e-3},
                           "chosen tf32": "winograd2", "winograd2 tf32 forward": {"wall_s": 2e-3},
                           "tensor tf32 forward": {"wall_s": 1e-3}, "winograd4 tf32 forward": {"wall_s": 5e-4},
                           "chosen tf32 adjoint": "tensor", "tensor tf32 adjoint": {"wall_s": 1e-3},
                           "winograd2 tf32 adjoint": {"wall_s": 5e-4}}},
}  # fmt: skip


@pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this tree")
def test_the_report_says_what_is_required_and_what_was_chosen_wrongly(tmp_path):
    (tmp_path / "gpu.json").write_text(json.dumps(INVENTED))
    report = [sys.executable, str(SCRIPT.with_name("report.py")), str(tmp_path / "gpu.json")]
    done = subprocess.run(report, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = " ".join(done.stdout.split())
    for told in (
        "PyTorch float32, 1024 px 0.6 required ≤ 1.0",
        "PyTorch TF32, 1024 px 1 required ≤ 2.0",
        "seconds 7 required ≤ 10",
        "one evaluation, 1024 px 60 required ≥ 30",
        "peak memory / PyTorch's, float32, 1024 px 0.25 required ≤ 0.5",
        "1024 px float32 30.00 ms, PyTorch 50.00 ms, ratio 0.60; 512 MiB, PyTorch 2048 MiB",
        "24 GiB, px 6e+03 required ≥ 6000",
        "conv1_2 float32: winograd4 was chosen, mec takes 0.50 of its time",
        "conv1_2 tf32: winograd2 was chosen, tensor takes 0.50 of its time",
        "conv1_2 tf32: tensor was chosen, winograd2 takes 0.50 of its time, adjoint",
        "float32: what was chosen takes 100.0 % longer than the best, on average",
        "512 plain 4.00 ms",
        "6000²: 22.00 GiB taken, 21.00 GiB of them forecast",
    ):
        assert told in lines, (told, done.stdout)


@pytest.mark.skipif(not SCRIPT.exists(), reason="the benchmarks are not in this tree")
def test_the_accounts_that_are_kept_are_those_of_this_code(tmp_path):
    out = tmp_path / "accounts.json"
    command = [sys.executable, str(SCRIPT.with_name("accounts.py")), "--sizes", "256", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = max((SCRIPT.parents[1] / "results").glob("*-gpu-memory.json"))
    for precision, found in json.loads(out.read_text())["256"].items():
        assert found == pytest.approx(json.loads(kept.read_text())["256"][precision], rel=0.01)
