"""What one evaluation takes of a GPU's memory, by accounts kept without one.

    python benchmarks/gpu/accounts.py --out accounts.json

The very objective of ``run.py`` is built and evaluated three times on a CuPy that only pretends: no kernel runs, and
every array takes memory from pools that keep account as CuPy's do (``tests/pretended.py``). As in ``run.py``, all
counts but the code of the kernels and the workspace of cuBLAS.
"""

import argparse
import gc
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]

from measure import Book  # noqa: E402
from pretended import pretend  # noqa: E402
from run import Bench  # noqa: E402

from handstyle.kernels.cuda_engine import CudaEngine  # noqa: E402


def account(bench, cupy, side, precision):
    """Return the bytes that an objective and its evaluation hold."""
    engine = CudaEngine(bench.device(precision))
    bench.gpu.tidy()
    before = cupy.held
    objective, start = bench.objective(side, bench.gpu, engine)
    for _ in range(3):
        objective.evaluate(start)
    return cupy.held - before


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=Path("accounts.json"))
    parser.add_argument("--sizes", type=lambda s: [int(n) for n in s.split(",")], default=[256, 512, 1024, 2048])
    options = parser.parse_args()
    with pytest.MonkeyPatch.context() as patch:
        cupy = pretend(patch)
        bench = Bench(argparse.Namespace(rehearse=False, weights=None, repeats=3), Book(options.out))
        found = {}
        for side in options.sizes:
            for precision in ("float32", "tf32"):
                found.setdefault(side, {})[precision] = account(bench, cupy, side, precision)
                gc.collect()
                print(f"{side} {precision}: {found[side][precision] / 2**20:.0f} MiB", flush=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
