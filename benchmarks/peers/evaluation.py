"""Compare one evaluation of the objective with its peers: time, memory and error; and a whole run.

The peers are PyTorch in both of its memory formats, PyTorch by `torch.compile`, and JAX by `jit`; the ratio is to the
fastest of them at each size. A peer that is not installed, or fails, is left out, and a line says why.
``python -m benchmarks.peers.evaluation`` prints the table and writes dated JSON to ``benchmarks/results/``. All sides
have the same weights, pictures and threads, and take turns in one process; the first call of each, which compiles, is
timed apart. ``--quick`` leaves out 1024² and the whole run.
"""

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import common
from benchmarks.peers.tables import evaluation_table, fastest_peer
from handstyle.foundations.backend import Array, cpu_count
from handstyle.foundations.image import resize
from handstyle.losses.gram import Moments
from handstyle.network.vgg import Network, Weights, build_network
from handstyle.optimize.lbfgs import minimize_lbfgs
from handstyle.optimize.lbfgsb import minimize_lbfgsb
from handstyle.optimize.trace import Outcome
from handstyle.painting.config import StyleConfig
from handstyle.painting.inputs import scales
from handstyle.painting.plan import detail_beyond

COARSE = 30  # evaluations at each scale of the pyramid before the last
OWN_HISTORY = 30  # pairs of our L-BFGS: a pair of float32 takes a third of the bytes that SciPy's takes
# How ours runs: the optimizer, the dtype of its vectors, its history, and whether in the pyramid.
RUNS: dict[str, tuple[Callable[..., Outcome], Any, int, bool]] = {
    "L-BFGS-B": (minimize_lbfgsb, np.float64, 10, False),
    "own L-BFGS": (minimize_lbfgs, np.float32, OWN_HISTORY, False),
    "L-BFGS-B, pyramid": (minimize_lbfgsb, np.float64, 10, True),
    "own L-BFGS, pyramid": (minimize_lbfgs, np.float32, OWN_HISTORY, True),
}

Peer = Callable[[Array], tuple[float, Array]]
# The module and the class of each peer, and its arguments besides the weights and targets.
PEERS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "torch": ("handstyle.cli.torch_peer", "TorchObjective", {}),
    "torch channels last": ("handstyle.cli.torch_peer", "TorchObjective", {"channels_last": True}),
    "torch.compile": ("handstyle.cli.torch_peer", "TorchObjective", {"compiled": True}),
    "jax": ("benchmarks.peers.in_jax", "JaxObjective", {}),
}


def peer(name: str, network: Network, content: Array, styles: dict[str, Moments], **more: Any) -> Any:
    """Return a peer's objective; its library is imported here."""
    module, maker, options = PEERS[name]
    made = getattr(importlib.import_module(module), maker)
    return made(network, (common.CONTENT, content), styles, common.STYLE_WEIGHT, **options, **more)


def first_calls(
    sides: dict[str, Callable[[], Peer]], p: Array
) -> tuple[dict[str, Peer], dict[str, float], dict[str, str]]:
    """Make each side and call it once; return those that work, the seconds of the first call, and why others do not."""
    made, seconds, skipped = dict[str, Peer](), dict[str, float](), dict[str, str]()
    for name, make in sides.items():
        try:
            side = make()
            start = time.perf_counter()
            side(p)
            made[name], seconds[name] = side, time.perf_counter() - start
        except ImportError as error:
            skipped[name] = f"not installed: {error}"
        except Exception as error:  # a compiler that is missing or fails: each library has its own classes
            skipped[name] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
    return made, seconds, skipped


def times(size: int, kernels: str, rounds: int, peers: Sequence[str] = tuple(PEERS)) -> dict[str, Any]:
    """Time one evaluation of ours and of each peer's, in turn; the ratio is to the fastest peer."""
    network = common.network_with(kernels)
    content, styles = common.targets(network, size)
    p = common.picture("tubingen.jpg", size)
    own = common.objective(network, content, styles, size)

    def ours() -> Peer:
        return lambda p: own(p.astype(np.float64).ravel())

    makers = {name: lambda name=name: peer(name, network, content, styles) for name in peers}  # type: ignore[misc]
    made, first, skipped = first_calls({"ours": ours, **makers}, p)
    seconds = common.interleaved({name: lambda side=side: side(p) for name, side in made.items()}, rounds)  # type: ignore[misc]
    gradient = made.pop("ours")(p)[1].reshape(p.shape)
    row: dict[str, Any] = {"what": f"time {size}", "seconds": seconds, "first_call_s": first, "skipped": skipped}
    if not made:
        return row
    found = {name: side(p)[1] for name, side in made.items()}
    row["gradients_differ"] = {
        name: float(np.linalg.norm(gradient - theirs) / np.linalg.norm(theirs)) for name, theirs in found.items()
    }
    row["fastest"] = fastest_peer(row)
    return row | common.ratio(seconds["ours"], seconds[row["fastest"]])


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
    # After all imports, the peer's too. Weights, targets, picture and two evaluations are counted.
    if side != "ours":
        importlib.import_module("torch")
    before = psutil.Process().memory_info().rss
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak of the imports
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
        theirs = peer("torch", network, data["content"], styles)
        del network, layers
        for _ in range(2):
            theirs(p)
    # Not getrusage: a child's ru_maxrss starts at its parent's memory at the fork.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    print(int(status["VmHWM"].split()[0]) * 1024 - before)


def error(size: int, kernels: str) -> dict[str, Any]:
    """Compare float32 gradients with PyTorch's in float64, at the photograph, and with noise, which breaks ties."""
    network = common.network_with(kernels)
    content, styles = common.targets(network.astype(np.float64).with_kernels("reference"), size)
    ours = common.objective(network, content, styles, size)
    plain = peer("torch", network, content, styles)
    exact = peer("torch", network, content, styles, dtype="float64")
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


Trace = list[tuple[float, float]]  # seconds and loss after each evaluation


def theirs(turn: common.Turn, size: int, iterations: int) -> Trace:
    """Run PyTorch's L-BFGS for some iterations."""
    import torch

    network = common.network_with("auto")
    plain = peer("torch", network, *common.targets(network, size))
    leaf = torch.tensor(common.picture("tubingen.jpg", size), requires_grad=True)
    optimizer = torch.optim.LBFGS([leaf], max_iter=iterations, max_eval=10**6, tolerance_grad=0, tolerance_change=0)
    trace: Trace = []

    def closure() -> Any:
        turn.next()
        optimizer.zero_grad()
        value = plain.loss(leaf)
        value.backward()
        trace.append((turn.seconds, float(value.detach())))
        return value

    optimizer.step(closure)
    return trace


def ours(turn: common.Turn, size: int, iterations: int, kernels: str, how: str) -> Trace:
    """Run ours, by the optimizer `how` of `RUNS`, until the loss is PyTorch's at its end; return the last scale's."""
    minimize, dtype, history, pyramid = RUNS[how]
    network, trace = common.network_with(kernels), Trace()
    sides = [side for side, _ in scales(StyleConfig(), (size, size))] if pyramid else [size]
    measured = {side: common.targets(network, side) for side in sides}
    found = common.picture("tubingen.jpg", sides[0])
    for side in sides:
        last, trace = side == size, []
        objective = common.TurnTakingObjective(common.objective(network, *measured[side], side), turn, trace)

        def far_enough(_: Any, last: bool = last, trace: Trace = trace) -> None:
            if last and 0 in turn.finished and lowest(trace) <= lowest(turn.finished[0]):
                raise StopIteration

        detail = detail_beyond(common.picture("tubingen.jpg", side), found.shape[:2])  # none at the first scale
        start = (resize(found, (side, side)) + detail).astype(dtype).ravel()
        most = None if last else COARSE
        outcome = minimize(
            objective, start, 10 * iterations, lbfgs_history=history, evaluations=most, callback=far_enough
        )
        found = outcome.v.reshape(side, side, 3)
    return trace


def lowest(trace: Trace) -> float:
    """Return the lowest loss of a trace."""
    return min(value for _, value in trace)


def whole_run(
    size: int, kernels: str, iterations: int, fastest: tuple[str, float] | None, ours_by: Sequence[str]
) -> list[dict[str, Any]]:
    """Run PyTorch's L-BFGS for some iterations, and ours until they reach its loss: in turn, an evaluation at a time.

    PyTorch's is `torch.optim.LBFGS` as in its style transfer tutorial: history 100, no line search. Each side has a
    process of its own, and its seconds are those of its turns: evaluations, and the optimizer between them. PyTorch's
    are given a second time, with the time of the fastest peer for each of its evaluations.

    Parameters
    ----------
    size : int
        Long side of the picture.
    kernels : str
        Our engine.
    iterations : int
        Iterations of PyTorch's optimizer.
    fastest : (str, float), optional
        The fastest peer at this size, and the seconds of one of its evaluations.
    ours_by : sequence of str
        Our optimizers, of `RUNS`. In the pyramid, that of the default settings, there are `COARSE` evaluations at each
        scale before the last; their seconds count, but they are not among the evaluations of the result.
    """
    runs = [partial(ours, size=size, iterations=iterations, kernels=kernels, how=how) for how in ours_by]
    peers_trace, *traces = common.take_turns([partial(theirs, size=size, iterations=iterations), *runs])
    loss = lowest(peers_trace)
    evaluations, took = len(peers_trace), peers_trace[-1][0]
    rows = []
    for name, trace in zip(ours_by, traces, strict=True):
        at = next((i for i, (_, value) in enumerate(trace) if value <= loss), len(trace) - 1)
        rows.append(
            {
                "what": f"run {size} {name}",
                "loss": loss,
                "evaluations": [at + 1, evaluations],
                "ours_min_s": trace[at][0],
                "theirs_min_s": took,
                "reached": trace[at][1] <= loss,
                "ratio_of_minima": trace[at][0] / took,
                "theirs_trace": peers_trace,
                "ours_trace": trace[: at + 1],
            }
        )
        if fastest is not None:
            seconds = evaluations * fastest[1]
            rows[-1] |= {"fastest": fastest[0], "theirs_fastest_s": seconds, "ratio_to_fastest": trace[at][0] / seconds}
    return rows


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        _child(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[256, 512, 1024])
    parser.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=9, help="rounds at each size; a third as many at 1024")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--memory", type=int, default=512, help="size at which memory is measured; 0 to leave it out")
    parser.add_argument(
        "--error", type=int, default=384, help="size at which gradients are compared with float64; 0 to leave it out"
    )
    parser.add_argument("--run", type=int, default=100, help="iterations of the whole run; 0 to leave it out")
    parser.add_argument("--run-size", type=int, default=512, help="size of the whole run's picture")
    parser.add_argument("--ours", nargs="*", choices=tuple(RUNS), default=list(RUNS), help="our sides of the whole run")
    parser.add_argument("--quick", action="store_true", help="256 and 512, five rounds, no whole run")
    parser.add_argument("--name", default="evaluation", help="name of the JSON file")
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.rounds, options.run = [256, 512], 5, 0
    common.weights_to()  # read by a process that is forked, which must be before JAX has threads
    rows: list[dict[str, Any]] = []
    for size in options.sizes:
        rounds = options.rounds if size < 1024 else max(3, options.rounds // 3)
        rows.append(times(size, options.kernels, rounds, options.peers))
        for name, why in rows[-1]["skipped"].items():
            print(f"{size}²: without {name}: {why}", flush=True)
        if "fastest" in rows[-1]:
            print(evaluation_table(rows[-1:]).splitlines()[-1], flush=True)
    if any("torch" in row["skipped"] for row in rows):
        print("memory, error and the whole run are compared with PyTorch, which is not installed")
    else:
        if options.memory:
            rows.append(memory(options.memory, options.kernels))
        if options.error:
            rows.append(error(options.error, options.kernels))
        if options.run:
            at = [row for row in rows if row["what"] == f"time {options.run_size}"]
            fastest = (at[0]["fastest"], at[0]["theirs_min_s"]) if at else None
            rows += whole_run(options.run_size, options.kernels, options.run, fastest, options.ours)
    rows = [row for row in rows if not row["what"].startswith("time") or "fastest" in row]
    if not rows:
        sys.exit("no peer is installed: pip install --group peers")
    print(evaluation_table(rows))
    print(common.write_results(options.name, rows, threads=cpu_count(), kernels=options.kernels))


if __name__ == "__main__":
    main()
