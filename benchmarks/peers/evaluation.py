"""Compare one evaluation of the objective with PyTorch's: time, memory and error; and a whole run.

``python -m benchmarks.peers.evaluation`` prints the table and writes dated JSON to ``benchmarks/results/``. Both
sides have the same weights, pictures and threads, and take turns in one process. ``--quick`` leaves out 1024² and the
whole run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

from benchmarks import common
from benchmarks.peers.pytorch import TorchObjective
from benchmarks.peers.tables import evaluation_table
from handstyle.foundations.backend import Array, cpu_count
from handstyle.losses.gram import Moments
from handstyle.network.vgg import Network, Weights, build_network
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.trace import Callback

OWN_MEMORY = 30  # pairs of our L-BFGS: a pair of float32 takes a third of the bytes that SciPy's takes


def torch_objective(network: Network, content: Array, styles: dict[str, Moments], **more: Any) -> TorchObjective:
    return TorchObjective(network, (common.CONTENT, content), styles, common.STYLE_WEIGHT, **more)


def times(size: int, kernels: str, rounds: int) -> dict[str, Any]:
    """Time one evaluation of ours and of PyTorch's in both memory formats, in turn; the ratio is to the faster."""
    network = common.network_with(kernels)
    content, styles = common.targets(network, size)
    p = common.picture("tubingen.jpg", size)
    ours, v = common.objective(network, content, styles, size), p.astype(np.float64).ravel()
    plain, last = (torch_objective(network, content, styles, channels_last=last) for last in (False, True))
    sides = {"ours": lambda: ours(v), "torch": lambda: plain(p), "torch channels last": lambda: last(p)}
    seconds = common.interleaved(sides, rounds)
    faster = min(("torch", "torch channels last"), key=lambda side: min(seconds[side]))
    difference = float(np.linalg.norm(ours(v)[1].reshape(p.shape) - plain(p)[1]) / np.linalg.norm(plain(p)[1]))
    row = {"what": f"time {size}", "seconds": seconds, "against": faster, "gradients_differ": difference}
    return (
        row
        | common.ratio(seconds["ours"], seconds["torch"])
        | {"ratio_to_faster_format": min(seconds["ours"]) / min(seconds[faster])}
    )


def memory(size: int, kernels: str) -> dict[str, Any]:
    """Measure the peak memory of one evaluation, less that after the imports, each side in a separate process."""
    network = common.network_with(kernels)
    content, styles = common.targets(network, size)
    arrays = {"content": content} | {f"style {tap}": m.outer / m.count for tap, m in styles.items()}
    for name, (w, b) in common.weights_to().layers.items():
        arrays |= {f"w {name}": w, f"b {name}": b}
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work.npz"
        np.savez(path, **arrays)
        for side in ("ours", "torch"):
            command = [
                sys.executable,
                "-m",
                "benchmarks.peers.evaluation",
                "--child",
                side,
                str(path),
                str(size),
                kernels,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            peaks[side] = json.loads(done.stdout.splitlines()[-1])
    return {
        "what": f"memory {size}",
        "ours_bytes": peaks["ours"],
        "theirs_bytes": peaks["torch"],
        "ratio_of_minima": peaks["ours"] / peaks["torch"],
    }


def _child(side: str, path: str, size: int, kernels: str) -> None:
    # After all imports. Weights, targets, picture and two evaluations are counted.
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
    torch.set_num_threads(cpu_count())
    data = np.load(path)
    layers = {name[2:]: (data[name], data[f"b {name[2:]}"]) for name in data.files if name.startswith("w ")}
    network = build_network(Weights("vgg19", "caffe", layers)).with_kernels(kernels)
    styles = {tap: Moments(1.0, np.zeros(1), data[f"style {tap}"]) for tap in common.STYLE}
    p = common.picture("tubingen.jpg", size)
    if side == "ours":
        objective, v = common.objective(network, data["content"], styles, size), p.astype(np.float64).ravel()
        for _ in range(2):
            objective(v)
    else:
        peer = torch_objective(network, data["content"], styles)
        del network, layers
        for _ in range(2):
            peer(p)
    # Not getrusage: a child's ru_maxrss starts at its parent's memory at the fork.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) * 1024 - before)


def _peak() -> int:
    # The high-water mark of this program's own memory: getrusage's is inherited from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def error(size: int, kernels: str) -> dict[str, Any]:
    """Compare float32 gradients with PyTorch's in float64, at the photograph, and with noise, which breaks ties."""
    network = common.network_with(kernels)
    content, styles = common.targets(network.astype(np.float64).with_kernels("reference"), size)
    ours = common.objective(network, content, styles, size)
    plain = torch_objective(network, content, styles)
    exact = torch_objective(network, content, styles, dtype=torch.float64)
    photograph = common.picture("tubingen.jpg", size)
    rng = np.random.default_rng(0)
    rows = {}
    pictures = {"photograph": photograph}
    for i in range(4):
        pictures[f"photograph, noise {i}"] = (photograph + rng.normal(0, 2, photograph.shape)).astype(np.float32)
    for name, p in pictures.items():
        truth = exact(p)[1]
        found = ours(p.astype(np.float64).ravel())[1].reshape(p.shape), plain(p)[1]
        rows[name] = [float(np.linalg.norm(g - truth) / np.linalg.norm(truth)) for g in found]
    return {
        "what": f"error {size}",
        "relative_l2 [ours, torch]": rows,
        "ours": rows["photograph"][0],
        "theirs": rows["photograph"][1],
        "ours_median": float(np.median([row[0] for row in rows.values()])),
        "theirs_median": float(np.median([row[1] for row in rows.values()])),
    }


def whole_run(size: int, kernels: str, iterations: int) -> list[dict[str, Any]]:
    """Time our L-BFGS-B and our own L-BFGS until they reach the loss that PyTorch's has after some iterations.

    PyTorch's is `torch.optim.LBFGS` as in its style transfer tutorial: history 100, no line search. L-BFGS-B keeps 10
    pairs, SciPy's default, and our own L-BFGS keeps `OWN_MEMORY`.
    """
    network = common.network_with(kernels)
    content, styles = common.targets(network, size)
    p = common.picture("tubingen.jpg", size)
    peer = torch_objective(network, content, styles)
    leaf = torch.tensor(p, requires_grad=True)
    optimizer = torch.optim.LBFGS([leaf], max_iter=iterations, max_eval=10**6, tolerance_grad=0, tolerance_change=0)
    theirs: list[tuple[float, float]] = []
    start = time.perf_counter()

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = peer.loss(leaf)
        value.backward()
        theirs.append((time.perf_counter() - start, float(value.detach())))
        return value

    optimizer.step(closure)
    took, reached = time.perf_counter() - start, min(value for _, value in theirs)
    objective = common.objective(network, content, styles, size)
    ours: dict[str, Callable[[Callback], object]] = {
        "L-BFGS-B": lambda callback: minimize_lbfgsb(
            objective, p.astype(np.float64).ravel(), 10 * iterations, callback=callback
        ),
        "own L-BFGS": lambda callback: minimize_lbfgs(
            objective, p.ravel(), 10 * iterations, memory=OWN_MEMORY, callback=callback
        ),
    }
    return [
        {"what": f"run {size} {name}", "loss": reached, "theirs_min_s": took, "theirs_trace": theirs}
        | _run_to(reached, run, took, iterations)
        for name, run in ours.items()
    ]


def _run_to(reached: float, run: Callable[[Callback], object], took: float, iterations: int) -> dict[str, Any]:
    trace: list[tuple[float, float]] = []
    start = time.perf_counter()

    def callback(row: Any) -> None:
        trace.append((time.perf_counter() - start, row.value))
        if row.value <= reached:
            raise StopIteration

    run(callback)
    return {
        "iterations": [len(trace), iterations],
        "ours_min_s": trace[-1][0],
        "reached": trace[-1][1] <= reached,
        "ratio_of_minima": trace[-1][0] / took,
        "ours_trace": trace,
    }


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--rounds", type=int, default=9, help="of each size; a third of them at 1024")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--run", type=int, default=100, help="iterations of the whole run at 512; 0 for none")
    parser.add_argument("--quick", action="store_true", help="256 and 512, five rounds, no whole run")
    parser.add_argument("--name", default="evaluation", help="of the JSON file")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds, options.run = [256, 512], 5, 0
    torch.set_num_threads(cpu_count())
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        rows.append(times(size, options.kernels, options.rounds if size < 1024 else max(3, options.rounds // 3)))
        print(evaluation_table(rows[-1:]).splitlines()[-1], flush=True)
    rows.append(memory(512, options.kernels))
    rows.append(error(384, options.kernels))
    if options.run:
        rows += whole_run(512, options.kernels, options.run)
    print(evaluation_table(rows))
    print(common.write_results(options.name, rows, threads=cpu_count(), kernels=options.kernels))


if __name__ == "__main__":
    main()
