"""Count the GPU memory that one evaluation takes, without a GPU.

    python benchmarks/gpu/accounts.py --out accounts.json

The objective of ``run.py`` is built and evaluated three times on a fake CuPy (``tests/support/fake_cupy.py``): no
kernel runs, and its memory pools count as CuPy's do. As in ``run.py``, everything is counted except the code of the
kernels and the workspace of cuBLAS.
"""

import argparse
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from measure import ResultFile  # noqa: E402
from run import Bench  # noqa: E402
from support.fake_cupy import pretend  # noqa: E402

from handstyle.kernels.cuda.engine import CudaEngine  # noqa: E402


def account(side, precision, out):
    """Return the bytes that an objective and its evaluation take on an empty GPU."""
    with pytest.MonkeyPatch.context() as patch:
        pretend(patch)
        bench = Bench(argparse.Namespace(rehearse=False, weights=None), ResultFile(out))
        engine = CudaEngine(bench.device(precision))
        bench.forget()
        return bench.ready(side, engine)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("accounts.json"))
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=[256, 512, 1024, 2048])
    options = parser.parse_args()
    found = {}
    for side in options.sizes:
        for precision in ("float32", "tf32"):
            found.setdefault(side, {})[precision] = account(side, precision, options.out)
            print(f"{side} {precision}: {found[side][precision] / 2**20:.0f} MiB", flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
