"""The GPU benchmark's script, rehearsed on the processor, so that it does not fail first on the machine it is for."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from emulated import WHY_NOT

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu" / "run.py"


@pytest.mark.skipif(WHY_NOT is not None or not SCRIPT.exists(), reason=WHY_NOT or "the benchmarks are not in this tree")
def test_the_sections_run_and_leave_json(tmp_path):
    out = tmp_path / "gpu.json"
    wanted = ["machine", "peaks", "rungs", "processor"]
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
