"""Two chapters as notebooks, run top to bottom with the installed package alone, outside of the checkout.

`make smoke` writes the notebooks beside its copy of the tests; in the checkout itself there is nothing to run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.smoke
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FILES = ("network_convolution", "painting_color")


@pytest.mark.skipif(not NOTEBOOKS.is_dir(), reason="in a checkout; make smoke runs chapters from the wheel")
@pytest.mark.parametrize("name", FILES)
def test_a_chapter_runs_from_the_wheel(name, tmp_path):
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    where = "import handstyle\nprint('package:', handstyle.__file__)"
    (tmp_path / "cells.py").write_text("\n\n".join([*code, where]), encoding="utf-8")
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    package = Path(done.stdout.rpartition("package: ")[2].strip())
    assert not (package.parents[1] / "docs").exists(), f"{package} is of a checkout"
