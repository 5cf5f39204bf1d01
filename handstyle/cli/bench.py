"""Measure the time of one evaluation on the user's machine, with each engine and with PyTorch if it is installed.

The evaluation is that of the style objective, the main work of a run: the moments of the style layers, and their
gradient at the picture. The programs are timed in turn, so that disturbances affect all of them alike.
"""

import datetime
import importlib
import importlib.util
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handstyle.cli.energy import EnergyMeter, Meter, meter_of
from handstyle.cli.torch_peer import TorchObjective
from handstyle.foundations.atomic_file import replace_file
from handstyle.foundations.backend import Array, cpu_count, cpu_name
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_paths import expand_path
from handstyle.kernels.counting import Machine
from handstyle.losses.gram import Moments, StyleTerm, moments_forward
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import Forecast, Objective, engine_of
from handstyle.painting.recipe import environment

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
LAYER_WEIGHT = 1000.0  # of each style layer
PAUSE_SECONDS = 0.05  # seconds between two programs, in which the waiting threads of other libraries go to sleep
MAX_CHECKED_SIDE = 512  # pixels; for larger pictures gradients are compared with the first row, not with the reference
MAX_REFERENCE_SIDE = 256  # pixels; for larger pictures the reference engine is too slow to be measured


@dataclass(frozen=True)
class BenchRow:
    """The measurements of one program, an engine or PyTorch, at one size; what was not measured is NaN.

    Parameters
    ----------
    size : int
        Side of the picture in pixels.
    what : str
        The name of the program.
    fastest, median : float
        Seconds of an evaluation.
    difference : float
        Relative difference of its gradient from the reference engine's.
    first : float
        Seconds of the first evaluation, which includes preparation, compilation and allocation.
    spread : float
        Seconds between the quartiles.
    operations : float
        Multiplications and additions of direct convolution, whatever the method.
    memory : float
        Forecast bytes of an evaluation.
    low, high : float
        The bounds of the median's confidence interval, in seconds.
    done, moved : float
        Operations of the method that was used, and bytes that it moves to and from memory, both counted.
    joules : float
        Energy of an evaluation, of the processor or the GPU that computes it.

    Examples
    --------
    >>> row = BenchRow(256, "auto", fastest=0.1, median=0.125, difference=1e-6, done=2e9)
    >>> row.done / row.median / 1e9  # billions of operations per second
    16.0
    """

    size: int
    what: str
    fastest: float
    median: float
    difference: float
    first: float = math.nan
    spread: float = math.nan
    operations: float = math.nan
    memory: float = math.nan
    low: float = math.nan
    high: float = math.nan
    done: float = math.nan
    moved: float = math.nan
    joules: float = math.nan

    def share_of_roof(self, rates: Machine) -> float:
        """Return the speed of the method as a fraction of the roofline, its bound by arithmetic or memory.

        Parameters
        ----------
        rates : Machine
            The machine's operations and bytes per second.

        Returns
        -------
        float
            NaN if operations and bytes were not counted.

        Notes
        -----
        Williams, Waterman and Patterson (2009, Comm. ACM 52, 65): with `done` / `moved` operations per byte, at most
        ``min(rates.products, rates.moved done / moved)`` operations per second are possible.

        Examples
        --------
        >>> row = BenchRow(256, "auto", fastest=0.1, median=0.125, difference=1e-6, done=2e9, moved=1e8)
        >>> row.share_of_roof(Machine(products=64e9, moved=8e9))  # of 64e9 operations per second: 2e9 / 0.125 s
        0.25
        """
        roof = min(rates.products, rates.moved * self.done / self.moved)
        return self.done / self.median / roof


def bench(
    networks: dict[str, Network],
    sizes: Sequence[int] = (256, 512),
    rounds: int = 5,
) -> list[BenchRow]:
    """Measure the time of one evaluation, value and gradient, with several engines and with PyTorch if it is installed.

    Parameters
    ----------
    networks : dict of str to Network
        Networks with the same weights and different engines, on any backend; the keys are the names of the rows.
    sizes : sequence of int
        Sides of the pictures in pixels, at least 16.
    rounds : int
        Number of timed evaluations with each engine and size, after a first one that prepares and compiles.

    Returns
    -------
    list of BenchRow
        The measurements, by size; at each size those of the networks, then those of PyTorch.

    Raises
    ------
    HandstyleError
        If there are no networks, no rounds, or a size is too small.

    Examples
    --------
    >>> try:
    ...     bench({})
    ... except HandstyleError as error:
    ...     print(error)
    bench: give at least one network, one round, and sizes of 16 pixels or more
    """
    if not networks or rounds < 1 or min(sizes, default=0) < 16:
        raise HandstyleError("bench: give at least one network, one round, and sizes of 16 pixels or more")
    rows, meters = list[BenchRow](), {name: meter_of(network) for name, network in networks.items()}
    gpu = next((meters[name] for name, network in networks.items() if network.backend.name == "cupy"), None)
    for size in sizes:
        rng = np.random.default_rng(0)
        p = rng.uniform(0, 255, (size, size, 3))
        sides: dict[str, Callable[[], Array]] = {}
        targets: dict[str, Moments] = {}
        expected: dict[str, Forecast] = {}
        for name, network in networks.items():
            if network.engine.name != "reference" or size <= MAX_REFERENCE_SIDE:
                sides[name], terms = _own_evaluation(network, p, targets)
                if network.backend.name == "numpy":
                    expected[name] = engine_of(network).forecast(network, terms, p.shape)
        first = next(iter(networks.values()))
        if importlib.util.find_spec("torch") is not None:
            sides[host := f"PyTorch, {cpu_count()} threads"] = _pytorch_evaluation(first, p, targets)
            meters[host] = EnergyMeter()
            if gpu is not None and importlib.import_module("torch").cuda.is_available():
                sides["PyTorch float32, GPU"] = _pytorch_evaluation(first, p, targets, "cuda")
                sides["PyTorch TF32, GPU"] = _pytorch_evaluation(first, p, targets, "cuda", tf32=True)
                meters |= dict.fromkeys(("PyTorch float32, GPU", "PyTorch TF32, GPU"), gpu)
        exact = None
        if first.backend.name == "numpy" and size <= MAX_CHECKED_SIDE:
            exact = _own_evaluation(first.with_kernels("reference"), p, targets)[0]()
        rows += _rows(size, sides, rounds, operations(first, size), expected, meters, exact)
    return rows


@dataclass(frozen=True)
class TimedCall:
    """The time, the energy and the result of one timed call.

    Parameters
    ----------
    seconds : float
        The time.
    joules : float
        The energy; NaN if it cannot be read.
    result : any
        What the call returned.

    Examples
    --------
    >>> call = interleave({"sum": lambda: 1 + 1}, rounds=1)["sum"][0]
    >>> call.result, call.seconds < 1.0, call.joules
    (2, True, nan)
    """

    seconds: float
    joules: float
    result: Any


def interleave(
    sides: Mapping[str, Callable[[], Any]], rounds: int, meters: Mapping[str, Meter] | None = None
) -> dict[str, list[TimedCall]]:
    """Time several functions by calling them in turn, so that disturbances affect all of them alike.

    Parameters
    ----------
    sides : mapping of str to callable
        The functions to time, by name.
    rounds : int
        Number of calls of each; the first includes preparation, compilation and allocation.
    meters : mapping of str to EnergyMeter or GpuMeter, optional
        The meters to read before and after each call, by the functions' names.

    Returns
    -------
    dict of str to list of TimedCall
        The calls of each function, of which only the last ones have their results.

    Examples
    --------
    >>> calls = list[str]()
    >>> taken = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    >>> calls, {name: len(turns) for name, turns in taken.items()}
    (['a', 'b', 'a', 'b'], {'a': 2, 'b': 2})
    """
    taken: dict[str, list[TimedCall]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name, work in sides.items():
            time.sleep(PAUSE_SECONDS)
            meter = (meters or {}).get(name)
            if meter is not None:
                meter.joules()
            start = time.perf_counter()
            result = work()
            seconds = time.perf_counter() - start
            joules = math.nan if meter is None else meter.joules()
            taken[name].append(TimedCall(seconds, joules, result if turn == rounds - 1 else None))
    return taken


def median_interval(times: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Return a confidence interval for the median of a distribution, from independent draws.

    Parameters
    ----------
    times : sequence of float
        The independent draws.
    level : float
        The confidence level, 0 to 1. If there are too few draws for it, the smallest and the largest draw are returned;
        for five draws their level is 0.94.

    Notes
    -----
    The median of any distribution is between the k-th smallest and the k-th largest of n draws unless fewer than k of
    them are on one side of it. So the level is ``1 − 2 P(B < k)``, where B is binomial with n and 1/2.

    Examples
    --------
    >>> median_interval([3.0, 1.0, 2.0])  # three draws are too few for 95 %
    (1.0, 3.0)
    >>> median_interval(range(1, 101))
    (40, 61)
    """
    ordered, n = sorted(times), len(times)
    tail, k = 0.5**n, 0  # P(B <= k), the share of draws for which the next inner interval would miss on one side
    while 2 * tail <= 1 - level and 2 * (k + 1) < n:
        k += 1
        tail += math.comb(n, k) * 0.5**n
    k = max(0, k - 1)
    return ordered[k], ordered[n - 1 - k]


def _rows(
    size: int,
    sides: dict[str, Callable[[], Array]],
    rounds: int,
    operations: float,
    expected: dict[str, Forecast],
    meters: Mapping[str, Meter],
    exact: Array | None,
) -> list[BenchRow]:
    taken, rows = interleave(sides, rounds + 1, meters), []
    exact = next(iter(taken.values()))[-1].result if exact is None else exact
    for name, (first, *turns) in taken.items():
        times = [turn.seconds for turn in turns]
        low, median, high = (float(q) for q in np.quantile(times, (0.25, 0.5, 0.75)))
        difference = float(np.linalg.norm(turns[-1].result - exact) / np.linalg.norm(exact))
        told = expected.get(name, Forecast(0, 0))
        rows.append(
            BenchRow(
                size,
                name,
                min(times),
                median,
                difference,
                first.seconds,
                high - low,
                operations,
                told.bytes or math.nan,
                *median_interval(times),
                told.operations,
                told.moved,
                float(np.mean([turn.joules for turn in turns])),
            )
        )
    return rows


def operations(network: Network, size: int) -> float:
    """Return the number of operations of direct convolution up to relu5_1, forward and backward.

    Multiplications and additions are counted.

    Parameters
    ----------
    network : Network
        The network whose convolutions are counted.
    size : int
        Side of the picture in pixels.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> network = build_network(random_weights(deepest="conv1_1"))
    >>> int(operations(network, size=8))  # 2 * 2 * 8 * 8 * 3 * 3 * 3 * 16
    110592
    """
    shapes = {row.name: row.shape for row in summary(network, size, size)}
    total = 0.0
    for layer in network.layers:
        if isinstance(layer, Convolution):
            height, width, _ = shapes[layer.name]
            total += 2 * 2 * layer.w.size * height * width
        if layer.name == STYLE_LAYERS[-1]:
            break
    return total


def _own_evaluation(
    network: Network, p: Array, targets: dict[str, Moments]
) -> tuple[Callable[[], Array], list[StyleTerm]]:
    backend = network.backend
    if not targets:  # the moments of the first network, halved, so that the gradient is not zero
        x = backend.asarray(p[::-1] / 2 - 60, dtype=network.dtype)
        features, _ = network.forward(x, STYLE_LAYERS)
        for tap in STYLE_LAYERS:
            moments = moments_forward(features.pop(tap))
            targets[tap] = Moments(moments.count, backend.to_numpy(moments.sums), backend.to_numpy(moments.outer))
    terms = [
        StyleTerm(tap, Moments(m.count, backend.asarray(m.sums), backend.asarray(m.outer)), LAYER_WEIGHT)
        for tap, m in targets.items()
    ]
    objective, v = Objective(network, terms, p.shape), p.ravel()
    return lambda: objective(v)[1], terms


def _pytorch_evaluation(
    network: Network, p: Array, targets: dict[str, Moments], device: str = "cpu", tf32: bool = False
) -> Callable[[], Array]:
    peer = TorchObjective(network, None, targets, LAYER_WEIGHT * len(targets), device=device, tf32=tf32)
    return lambda: peer(p)[1].astype(np.float64).ravel()


@dataclass(frozen=True)
class Measurements:
    """Measurements with their date and machine.

    Parameters
    ----------
    rows : list of BenchRow
        The measurements.
    date : str
        The date and time, in ISO format.
    machine : dict of str to str
        Versions and devices (see `environment`), the processor, and the load before the measurements.
    path : str
        The path of their file, or a phrase in its place.

    Examples
    --------
    >>> measured = Measurements([BenchRow(256, "auto", 0.1, 0.125, 1e-6)], "2026-11-30", {"threads": "4"})
    >>> [(row.size, row.what) for row in measured.rows]
    [(256, 'auto')]
    """

    rows: list[BenchRow]
    date: str
    machine: dict[str, str]
    path: str = "these measurements"

    def warnings(self) -> list[str]:
        """Return a list with a warning if the machine was busy when the measurements began; otherwise an empty list.

        Examples
        --------
        >>> Measurements([], "2026-11-30", {"load": "3.0", "threads": "4"}).warnings()
        ['these measurements: the machine was busy (load 3.0 on 4 cores), so the times may be too long']
        >>> Measurements([], "2026-11-30", {"load": "0.5", "threads": "4"}).warnings()
        []
        """
        load, cores = float(self.machine.get("load", math.nan)), int(self.machine.get("threads", cpu_count()))
        said = f"{self.path}: the machine was busy (load {load:.1f} on {cores} cores), so the times may be too long"
        return [said] if _is_busy(load, cores) else []


def _is_busy(load: float, cores: int) -> bool:
    """Return whether other programs have work for more than half of the cores, by the load before the measurements."""
    return load > cores / 2


def average_load() -> float:
    """Return the number of threads with work, averaged over the last minute; NaN if the system has no count.

    Examples
    --------
    >>> load = average_load()
    >>> load >= 0 or math.isnan(load)
    True
    """
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def measurements_of(rows: Sequence[BenchRow], network: Network, load: float) -> Measurements:
    """Return the measurements in `rows` with the present date and a description of this machine.

    `network` is that of the first row; `load` is the machine's `average_load` before the measurements began.

    Examples
    --------
    >>> from handstyle.network.vgg import build_network, random_weights
    >>> measured = measurements_of([], build_network(random_weights()), load=0.5)
    >>> measured.machine["load"], measured.rows
    ('0.50', [])
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine = environment(network, network.engine.name) | {"processor": cpu_name(), "load": f"{load:.2f}"}
    return Measurements(list(rows), now, machine)


def make_record(measured: Measurements, rates: Machine | None = None) -> dict[str, Any]:
    """Return measurements as a dictionary of JSON values, which `write_record` writes.

    With `rates` it has the machine's operations and bytes per second too.

    Examples
    --------
    >>> row = BenchRow(256, "auto", 0.1, 0.125, 1e-6)
    >>> record = make_record(Measurements([row], "2026-11-30", {}))
    >>> record["rows"][0]["median"], record["rows"][0]["joules"]  # NaN becomes None
    (0.125, None)
    """
    numbers = [{k: None if v != v else v for k, v in asdict(row).items()} for row in measured.rows]  # NaN is no JSON
    record = {"handstyle": "bench", "date": measured.date, "machine": measured.machine, "rows": numbers}
    return record | ({} if rates is None else {"rates": asdict(rates)})


def write_record(measured: Measurements, rates: Machine | None, path: Path) -> None:
    """Write measurements to a new JSON file; see `make_record`.

    Examples
    --------
    >>> import tempfile
    >>> measured = Measurements([BenchRow(256, "auto", 0.1, 0.125, 1e-6)], "2026-11-30", {})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_record(measured, None, Path(folder, "measured.json"))
    ...     read_record(Path(folder, "measured.json")).rows[0].median
    0.125
    """
    check_new("--save", path)
    text = json.dumps(make_record(measured, rates), indent=1) + "\n"
    replace_file(expand_path(path), text.encode(), overwrite=False)


def read_record(path: Path) -> Measurements:
    """Read the measurements from a file written by `write_record`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "measured.json").write_text('{"date": "2026-11-30", "rows": []}')
    ...     read_record(Path(folder, "measured.json")).date
    '2026-11-30'
    """
    try:
        record: dict[str, Any] = json.loads(expand_path(path).read_bytes())
        known: list[dict[str, Any]] = [
            {key: math.nan if value is None else value for key, value in row.items()} for row in record["rows"]
        ]
        machine = {str(key): str(value) for key, value in record.get("machine", {}).items()}
        measured = Measurements([BenchRow(**row) for row in known], str(record["date"]), machine, str(path))
        measured.warnings()  # or a ValueError
        return measured
    except OSError as error:
        raise HandstyleError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise HandstyleError(f"{path}: not a file of measurements written by bench --save") from None


def compare(now: Measurements, earlier: Measurements) -> Iterator[str]:
    """Yield lines that compare measurements with earlier ones.

    There is a line for each program and size that both have, with the ratio of the medians, and whether the difference
    exceeds the spread; a warning for each of the two if the machine was busy; and one if the machines differ.

    Examples
    --------
    >>> earlier, now = (
    ...     Measurements([BenchRow(256, "auto", median, median, 1e-6, spread=0.01)], "2026-11-30", {})
    ...     for median in (0.2, 0.1)
    ... )
    >>> list(compare(now, earlier))
    ['256², auto: 0.50 of the time before']
    """
    before = {(row.size, row.what): row for row in earlier.rows}
    for row in now.rows:
        old = before.pop((row.size, row.what), None)
        if old is not None:
            told = ""
            if not (row.spread and old.spread):
                told = ", of single evaluations, so it may be chance"
            elif abs(row.median - old.median) <= row.spread + old.spread:
                told = ", a difference within the spread"
            yield f"{row.size}², {row.what}: {row.median / old.median:.2f} of the time before{told}"
    if len(before) == len(earlier.rows):
        yield "they have no row in common"
    yield from (*earlier.warnings(), *now.warnings())
    for name in ("processor", "threads", "blas"):
        values = [one.machine.get(name, "unknown") for one in (earlier, now)]
        if values[0] != values[1]:
            yield f"not of the same machine: {name} {values[0]} before, {values[1]} now"


def check_drawing(path: str | os.PathLike[str]) -> None:
    """Raise `HandstyleError`, before the measurements, if `draw` could not write to `path`.

    Examples
    --------
    >>> try:
    ...     check_drawing("bench.jpg")
    ... except HandstyleError as error:
    ...     print(error)
    --plot bench.jpg: name a file that ends in .png, .svg or .pdf
    """
    path = expand_path(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise HandstyleError("--plot needs matplotlib: pip install matplotlib")
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise HandstyleError(f"--plot {path}: name a file that ends in .png, .svg or .pdf")
    check_new("--plot", path)


def check_new(flag: str, path: Path) -> None:
    """Raise `HandstyleError`, before the measurements, if the file that `flag` names exists or cannot be written.

    Examples
    --------
    >>> try:
    ...     check_new("--save", Path(__file__))
    ... except HandstyleError as error:
    ...     print(str(error).split(": ")[-1])
    exists; choose another name
    """
    path = expand_path(path)
    if path.exists():
        raise HandstyleError(f"{flag} {path}: exists; choose another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise HandstyleError(f"{flag} {path}: the folder {path.parent} does not exist, or cannot be written to")


def draw(rows: Sequence[BenchRow], path: str | os.PathLike[str], rates: Machine | None = None) -> None:
    """Draw measurements as a bar chart, with the roofline below, and write it to a file.

    Parameters
    ----------
    rows : sequence of BenchRow
        The result of `bench`.
    path : path
        The file to write, in the format of its suffix.
    rates : Machine, optional
        The machine's operations and bytes per second, for the roofline; see `BenchRow.share_of_roof`.

    Raises
    ------
    HandstyleError
        If matplotlib is not installed, or the file cannot be written; see `check_drawing`.

    Examples
    --------
    .. code-block:: console

        $ handstyle bench 256 512 --plot bench.svg
    """
    check_drawing(path)
    path = expand_path(path)
    from matplotlib.figure import Figure

    counted = [] if rates is None else [row for row in rows if row.moved > 0]
    bars_high, roof_high = 0.6 + 0.42 * len(rows), 4.5 if counted else 0
    figure = Figure(figsize=(7, bars_high + roof_high), layout="constrained")
    axes, *below = figure.subplots(
        1 + bool(counted), squeeze=False, height_ratios=[bars_high, *[roof_high] * bool(counted)]
    )[:, 0]
    colors = {name: f"C{i}" for i, name in enumerate(dict.fromkeys(row.what for row in rows))}
    labels = [f"{row.size}² · {row.what}" for row in rows]
    bars = axes.barh(labels, [row.fastest for row in rows], color=[colors[row.what] for row in rows])
    axes.bar_label(bars, [f" {row.fastest:.3g} s" for row in rows])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("seconds for one evaluation: value and gradient, fastest of the rounds")
    axes.spines[["top", "right"]].set_visible(False)
    if rates is not None and counted:
        _draw_roofline(below[0], counted, rates, colors)
    replace_file(path, partial(figure.savefig, format=path.suffix[1:], dpi=150), overwrite=False)


def _draw_roofline(axes: Any, rows: Sequence[BenchRow], rates: Machine, colors: Mapping[str, str]) -> None:
    """Plot operations per second over operations per byte, in the colors of the bars, with the machine's bound."""
    corner = rates.products / rates.moved
    at = [row.done / row.moved for row in rows]
    wide = np.array([min(*at, corner) / 2, corner, max(*at, corner) * 2])
    axes.plot(wide, np.minimum(rates.products, rates.moved * wide) / 1e9, color="black", label="bound of the machine")
    for x, row in zip(at, rows, strict=True):
        axes.plot(x, row.done / row.median / 1e9, "o", color=colors[row.what])
        axes.annotate(f" {row.size}²", (x, row.done / row.median / 1e9), fontsize="small")
    axes.set(xscale="log", yscale="log", xlabel="operations per byte, as counted", ylabel="GFLOP/s, by the median")
    axes.legend(fontsize="small", frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def load_warning(load: float) -> list[str]:
    """Return a list with a warning if other programs use this machine's cores; otherwise an empty list.

    Examples
    --------
    >>> load_warning(0.0)
    []
    """
    cores = cpu_count()
    said = f"the machine is busy (load {load:.1f} on {cores} cores): alone, the run takes less time"
    return [said] if _is_busy(load, cores) else []
