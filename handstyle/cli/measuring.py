"""The command ``bench``, which measures an evaluation."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from handstyle.cli.bench import (
    BenchRow,
    average_load,
    check_drawing,
    check_new,
    draw,
    load_warning,
    make_record,
    measurements_of,
    read_record,
    write_record,
)
from handstyle.cli.bench import bench as take_turns
from handstyle.cli.bench import compare as compare_measurements
from handstyle.cli.energy import unknown_energies
from handstyle.cli.options import Flat, NetworkConfig, Whole
from handstyle.cli.terminal import event, out, say, set_output_form
from handstyle.foundations.backend import choose_backend, cpu_count
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.counting import Machine
from handstyle.kernels.cpu.rates import measure_rates


def bench(
    *sizes: Whole,
    rounds: Whole = 5,
    threads: Whole | None = None,
    plot: Path | None = None,
    save: Path | None = None,
    against: Path | None = None,
    compare: Annotated[tuple[Path, ...], Parameter(negative="")] = (),
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Measure the time of one evaluation on this machine with every engine, on CPU and GPU, and with PyTorch.

    The times are those of the first evaluation, of the fastest of the others, and their median with its 95 % interval.
    GFLOP/s count the operations of direct convolution for all methods, so methods that need fewer show larger numbers.
    The gradient is compared with that of the reference engine up to 512 px, above with that of the first row. The
    second table compares the operations and bytes of each method with the rates of this machine (roofline). It also has
    the forecast memory, and the energy of the processor or the GPU if its counter (RAPL, NVML) can be read.

    Parameters
    ----------
    sizes : int
        Sides of the pictures in pixels; 256 and 512 by default.
    rounds : int
        Number of evaluations with each engine, 5 by default.
    threads : int
        Number of cores to use; all by default.
    plot : Path
        Draw the comparison, and the roofline, into this new file.
    save : Path
        Write the measurements into this new file, as JSON.
    against : Path
        Compare with the measurements in this file, written by --save.
    compare : Path, Path
        Compare the measurements in the second file with those in the first, without measuring.
    json_ : bool
        Print the measurements as JSON in place of tables.

    Examples
    --------
    .. code-block:: console

        $ handstyle bench 256 512 --rounds 10 --save today.json
        $ handstyle bench --compare yesterday.json today.json
    """
    if compare:
        if len(compare) != 2:
            raise HandstyleError(f"--compare: {len(compare)} given; give two files of --save, the earlier first")
        set_output_form(as_json=json_)
        first, second = map(read_record, compare)
        lines = list(compare_measurements(second, first))
        say(f"{second.path} against {first.path} of {first.date[:10]}:", *lines)
        event("comparison", now=second.path, earlier=first.path, lines=lines)
        return 0
    if plot is not None:
        check_drawing(plot)
    if save is not None:
        check_new("--save", save)
    earlier = None if against is None else read_record(against)
    if threads is not None:
        _use_cores(threads)
    host = replace(network, backend="numpy", kernels="auto").load("float32")
    contestants = {f"{kernels}, CPU": host.with_kernels(kernels) for kernels in ("auto", "im2col", "reference")}
    device = choose_backend(network.backend)
    if device.name == "cupy":
        there = host.to(device)
        for kernels in ("cuda", "cuda-tf32"):
            contestants[f"{kernels}, {device.device}"] = there.with_kernels(kernels)
    load = average_load()  # before the first evaluation: this program's own work would count, too
    rows = take_turns(contestants, sizes or (256, 512), rounds)
    now, rates = measurements_of(rows, host, load), measure_rates()
    lines = [] if earlier is None else list(compare_measurements(now, earlier))
    set_output_form(as_json=json_)
    if json_:
        print(json.dumps(make_record(now, rates) | ({"against": lines} if earlier else {}), indent=1))
    for size, here in groupby(rows, key=attrgetter("size")):
        for table in _bench_tables(f"one evaluation at {size}², {network.weights}", list(here), rates):
            out.print(table)
    say(
        f"with {cpu_count()} threads a matrix product has about {rates.products / 1e9:,.0f} GFLOP/s here, and memory "
        f"{rates.moved / 1e9:,.1f} GB/s"
    )
    say(*load_warning(load), *unknown_energies(contestants.values()))
    if earlier is not None:
        say(f"against {against} of {earlier.date[:10]}:", *lines)
    if save is not None:
        write_record(now, rates, save)
        say(f"the measurements are in {save}")
    if plot is not None:
        draw(rows, plot, rates)
        say(f"drawn in {plot}")
    return 0


def _bench_tables(title: str, rows: Sequence[BenchRow], rates: Machine) -> list[Table]:
    """Return two tables for one size: the times, and the operations and bytes compared with the machine's rates."""
    times = _make_table(f"{title}, in milliseconds", "fastest", "median", "95 %", "GFLOP/s", "differs")
    limits = _make_table("first evaluation, and the method's own operations and bytes", *RATE_COLUMNS)
    for row in rows:
        interval = f"{_milliseconds(row.low)}–{_milliseconds(row.high)}"
        speed = f"{row.operations / row.median / 1e9:,.0f}"
        fastest, median = _milliseconds(row.fastest), _milliseconds(row.median)
        times.add_row(row.what, fastest, median, interval, speed, f"{row.difference:.0e}")
        counted = (
            (row.done / row.moved, ".0f"),
            (row.done / row.median / 1e9, ",.0f"),
            (row.moved / row.median / 1e9, ",.1f"),
            (row.share_of_roof(rates), ".0%"),
            (row.memory / 2**20, ",.0f"),
            (row.joules, ",.1f"),
        )
        cells = ("" if math.isnan(number) else format(number, form) for number, form in counted)
        limits.add_row(row.what, _milliseconds(row.first), *cells)
    return [times, limits]


RATE_COLUMNS = ("first", "FLOP/B", "GFLOP/s", "GB/s", "of roof", "MiB", "J")


def _make_table(title: str, *headings: str) -> Table:
    """Return an empty table with a title and headings that fits into a width of eighty characters."""
    table = Table(title=Text(title), box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("by", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _milliseconds(seconds: float) -> str:
    """Return a time as text in milliseconds, with one decimal if it is below 100 ms."""
    return f"{1e3 * seconds:,.1f}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def _use_cores(count: int) -> None:
    """Restrict this process to `count` cores; to be called before any thread is started."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not 1 <= count <= len(cores):
        here = f"1 to {len(cores)} here" if cores else "it needs Linux"
        raise HandstyleError(f"--threads {count}: {here}")
    os.sched_setaffinity(0, cores[:count])
