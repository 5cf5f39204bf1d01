"""Time one evaluation on the user's machine, by each engine and by PyTorch if it is installed.

The evaluation is that of the style objective, the main work of a run: the moments of the style layers, and their
gradient at the picture. The contestants take turns, so that disturbances affect all of them alike.
"""

import datetime
import importlib
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array, cpu_count
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import expanded
from handstyle.losses.gram import Moments, StyleTerm, moments_forward
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Objective, engine_of
from handstyle.painting.recipe import environment

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
PAUSE = 0.05  # seconds between two contestants, in which the threads of other libraries stop spinning
REFERENCE_SIDE = 256  # pixels; for larger pictures the reference engine is too slow to be measured


@dataclass(frozen=True)
class BenchRow:
    """The measurements of one contestant at one size."""

    size: int  # pixels a side
    what: str
    fastest: float  # seconds
    median: float
    difference: float  # relative difference of its gradient from that of the first row of this size
    first: float = math.nan  # seconds of the first evaluation, which includes preparation, compilation, allocation
    spread: float = math.nan  # seconds between the quartiles
    operations: float = math.nan  # multiplications and additions of the direct method
    memory: float = math.nan  # forecast bytes of an evaluation


def bench(
    networks: dict[str, Network],
    sizes: Sequence[int] = (256, 512),
    rounds: int = 5,
) -> list[BenchRow]:
    """Time one evaluation, value and gradient, by several networks with the same weights.

    Parameters
    ----------
    networks : dict of str to Network
        The networks by the names for their rows, on any backend. PyTorch is added if it is installed.
    sizes : sequence of int
        Sides of the pictures in pixels.
    rounds : int
        Number of evaluations of each contestant, after one to warm up.

    Returns
    -------
    list of BenchRow
    """
    if not networks or rounds < 1 or min(sizes, default=0) < 16:
        raise HandstyleError("bench: give at least one network, one round, and sizes of 16 pixels or more")
    rows: list[BenchRow] = []
    for size in sizes:
        rng = np.random.default_rng(0)
        p = rng.uniform(0, 255, (size, size, 3))
        sides: dict[str, Callable[[], Array]] = {}
        targets: dict[str, Moments] = {}
        memory: dict[str, float] = {}
        for name, network in networks.items():
            if network.engine.name != "reference" or size <= REFERENCE_SIDE:
                sides[name], terms = _ours(network, p, targets)
                if network.backend.name == "numpy":
                    memory[name] = engine_of(network).forecast(network, terms, p.shape).bytes
        if importlib.util.find_spec("torch") is not None:
            first = next(iter(networks.values()))
            sides[f"PyTorch, {cpu_count()} threads"] = _pytorch(first, p, targets)
            on_gpu = any(network.backend.name == "cupy" for network in networks.values())
            if on_gpu and importlib.import_module("torch").cuda.is_available():
                sides["PyTorch float32, GPU"] = _pytorch(first, p, targets, "cuda")
                sides["PyTorch TF32, GPU"] = _pytorch(first, p, targets, "cuda", tf32=True)
        rows += _take_turns(size, sides, rounds, operations(next(iter(networks.values())), size), memory)
    return rows


def _take_turns(
    size: int, sides: dict[str, Callable[[], Array]], rounds: int, operations: float, memory: dict[str, float]
) -> list[BenchRow]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    gradients: dict[str, Array] = {}
    for _ in range(rounds + 1):
        for name, work in sides.items():
            time.sleep(PAUSE)
            start = time.perf_counter()
            gradients[name] = work()
            seconds[name].append(time.perf_counter() - start)
    reference = next(iter(gradients.values()))
    rows = []
    for name, (first, *times) in seconds.items():
        low, median, high = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
        difference = float(np.linalg.norm(gradients[name] - reference) / np.linalg.norm(reference))
        taken = memory.get(name, math.nan)
        rows.append(BenchRow(size, name, min(times), median, difference, first, high - low, operations, taken))
    return rows


def operations(network: Network, size: int) -> float:
    """Return the number of multiplications and additions of direct convolutions up to relu5_1, forward and backward.

    Parameters
    ----------
    network : Network
        The network whose convolutions are counted.
    size : int
        Side of the picture in pixels.
    """
    shapes = {row.name: row.shape for row in summary(network, size, size)}
    total = 0.0
    for layer in network.layers:
        if isinstance(layer, Convolution):
            height, width, _ = shapes[layer.name]
            total += 2 * 2 * layer.w.size * height * width
        if layer.name == STYLE[-1]:
            break
    return total


def _ours(network: Network, p: Array, targets: dict[str, Moments]) -> tuple[Callable[[], Array], list[StyleTerm]]:
    backend = network.backend
    if not targets:  # the moments of the first network, halved, so that the gradient is not zero
        x = backend.asarray(p[::-1] / 2 - 60, dtype=network.dtype)
        features, _ = network.forward(x, STYLE)
        for tap in STYLE:
            moments = moments_forward(features.pop(tap))
            targets[tap] = Moments(moments.count, backend.to_numpy(moments.sums), backend.to_numpy(moments.outer))
    terms = [
        StyleTerm(tap, Moments(m.count, backend.asarray(m.sums), backend.asarray(m.outer)), 1000.0)
        for tap, m in targets.items()
    ]
    objective, v = Objective(network, terms, p.shape), p.ravel()
    return lambda: objective(v)[1], terms


def _pytorch(
    network: Network, p: Array, targets: dict[str, Moments], device: str = "cpu", tf32: bool = False
) -> Callable[[], Array]:
    torch: Any = importlib.import_module("torch")  # for the comparison only

    torch.set_num_threads(cpu_count())
    backend, dtype = network.backend, torch.float32

    def tensor(a: Array) -> Any:
        return torch.tensor(np.ascontiguousarray(backend.to_numpy(a)), dtype=dtype, device=device)

    layers = [
        (layer.name, tensor(layer.w.transpose(3, 2, 0, 1)), tensor(layer.b))
        if isinstance(layer, Convolution)
        else (layer.name, None, None)
        for layer in network.layers
    ]
    wanted = {
        tap: (tensor(m.outer / m.count), 1000.0 / float(((m.outer / m.count) ** 2).sum())) for tap, m in targets.items()
    }
    convention = network.convention
    mean, std = (tensor(np.array(values)[:, None, None]) for values in (convention.mean, convention.std))

    def run() -> Array:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
        leaf = torch.tensor(p, dtype=dtype, device=device, requires_grad=True)
        x = leaf.permute(2, 0, 1)
        x = ((x.flip(0) if convention.order == "BGR" else x) * (convention.scale / 255) - mean) / std
        x, value = x[None], torch.zeros((), device=device)
        for name, w, b in layers:
            if w is not None:
                x = torch.nn.functional.conv2d(x, w, b, padding=1)
            else:
                x = torch.relu(x) if name.startswith("relu") else torch.nn.functional.max_pool2d(x, 2)
            if name in wanted:
                A, weight = wanted[name]
                f = x[0].flatten(1)
                value = value + weight * (f @ f.T / f.shape[1] - A).square().sum()
            if name == STYLE[-1]:
                break
        value.backward()
        gradient: Array = leaf.grad.cpu().numpy().astype(np.float64).ravel()
        return gradient

    return run


def write_rows(rows: Sequence[BenchRow], network: Network, path: Path) -> None:
    """Write rows, the date and a description of the machine as JSON into a new file."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    machine = environment(network, network.engine.name) | {"load": f"{load:.2f}"}
    record = {"handstyle": "bench", "date": now, "machine": machine, "rows": [asdict(row) for row in rows]}
    check_new("--save", path)
    replace_file(expanded(path), (json.dumps(record, indent=1) + "\n").encode(), overwrite=False)


def read_rows(path: Path) -> tuple[str, list[BenchRow]]:
    """Read the date and the rows from a file written by `write_rows`."""
    try:
        record = json.loads(expanded(path).read_bytes())
        return str(record["date"])[:10], [BenchRow(**row) for row in record["rows"]]
    except OSError as error:
        raise HandstyleError(f"--against {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise HandstyleError(f"--against {path}: no measurements that bench --save wrote") from None


def compared(rows: Sequence[BenchRow], earlier: Sequence[BenchRow]) -> Iterator[str]:
    """Return a line for each row that was measured before: the ratio of the medians, and whether it exceeds the spread.

    Parameters
    ----------
    rows, earlier : sequence of BenchRow
        The rows of two runs on the same machine.
    """
    before = {(row.size, row.what): row for row in earlier}
    for row in rows:
        old = before.get((row.size, row.what))
        if old is not None:
            clear = abs(row.median - old.median) > (row.spread + old.spread)
            told = "" if clear else ", no more than the spread"
            yield f"{row.size}², {row.what}: {row.median / old.median:.2f} of the time before{told}"


def check_drawing(path: str | os.PathLike[str]) -> None:
    """Raise `HandstyleError` if `draw` cannot write to `path`; called before the measurements."""
    path = expanded(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise HandstyleError("to draw needs matplotlib: pip install matplotlib")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise HandstyleError(f"--plot {path}: name a file that ends in .png, .svg or .pdf")
    check_new("--plot", path)


def check_new(flag: str, path: Path) -> None:
    """Raise `HandstyleError` if a file exists or cannot be written; called before the measurements."""
    path = expanded(path)
    if path.exists():
        raise HandstyleError(f"{flag} {path}: exists; choose another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise HandstyleError(f"{flag} {path}: the folder {path.parent} does not exist, or cannot be written to")


def draw(rows: Sequence[BenchRow], path: str | os.PathLike[str]) -> None:
    """Draw the rows as bars, in one group for each size, and write the picture.

    Parameters
    ----------
    rows : sequence of BenchRow
        The rows from `bench`.
    path : path
        The file to write, in the format of its suffix.

    Raises
    ------
    HandstyleError
        If matplotlib is not installed, or the file cannot be written; see `check_drawing`.
    """
    check_drawing(path)
    path = expanded(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 0.42 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    colors = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(row.what for row in rows))}
    labels = [f"{row.size}² · {row.what}" for row in rows]
    bars = axes.barh(labels, [row.fastest for row in rows], color=[colors[row.what] for row in rows])
    axes.bar_label(bars, [f" {row.fastest:.3g} s" for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds for one evaluation: value and gradient, fastest of the rounds")
    axes.spines[["top", "right"]].set_visible(False)
    replace_file(path, partial(figure.savefig, format=path.suffix[1:], dpi=150), overwrite=False)
