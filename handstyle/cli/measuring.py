"""The commands ``plan``, which forecasts memory and time, and ``bench``, which measures an evaluation."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any

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
    is_busy,
    make_record,
    measurements_of,
    read_record,
    write_record,
)
from handstyle.cli.bench import bench as take_turns
from handstyle.cli.bench import compare as compare_measurements
from handstyle.cli.energy import unknown_energies
from handstyle.cli.options import (
    PICTURES,
    Flat,
    NetworkConfig,
    Output,
    Settings,
    Whole,
    all_fields,
    as_flags,
    event,
    make_flags,
    mebibytes,
    out,
    resolve,
    say,
    set_output_form,
)
from handstyle.cli.painting import with_output
from handstyle.cli.session import check_before, check_outputs, print_notes
from handstyle.foundations.backend import choose_backend, cpu_count
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.counting import FEW_PIXELS, Machine
from handstyle.kernels.cpu.rates import measure_rates
from handstyle.kernels.tiles import by_tiles
from handstyle.network.vgg import ARCHITECTURES, WIDTHS, Network, random_weights
from handstyle.network.weights import find_weights
from handstyle.painting.inputs import read_inputs
from handstyle.painting.load import load_network
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.plan import check_files, check_reach, picture_notes
from handstyle.painting.strength import describe_strength
from handstyle.painting.stylize import collect_styles
from handstyle.painting.trial import RunTime, run_time

MAX_GPU_MEMORY = 1 << 20  # GiB
MAX_PLAN_SIDE = 1 << 16  # pixels a side, the most that a format written here can store
PLANNED = make_flags("PlanFlags", list(all_fields()), everything=False)


def plan(
    content: Annotated[Path | None, Parameter(group=PICTURES)] = None,
    /,
    *pictures: Annotated[Path, Parameter(group=PICTURES)],
    styles: Annotated[Whole, Parameter(group=PICTURES)] = 1,
    output: Output = None,
    gpu_memory: float | None = None,
    flags: Annotated[Any, Flat] = PLANNED,
) -> int:
    """Print a forecast of the memory and time of ``stylize`` with the same pictures and options, without painting.

    The time is forecast by trying a few iterations at each scale where that takes only seconds.

    Parameters
    ----------
    content : Path
        The photograph. Without it all pictures are assumed to be square and large enough for any size.
    pictures : Path
        The paintings.
    styles : int
        The number of paintings, if none are given.
    output : Path
        The output of ``stylize``, to check its name; it is not written.
    gpu_memory : float
        Make the forecast for a GPU with this many free GiB, which need not be present.
    """
    if styles < 1:
        raise HandstyleError(f"--styles {styles}: must be 1 or more")
    if gpu_memory is not None and not 0 < gpu_memory <= MAX_GPU_MEMORY:
        raise HandstyleError(f"--gpu-memory {gpu_memory}: must be a number of GiB above 0, {MAX_GPU_MEMORY} at most")
    settings = resolve(flags)
    config = settings.config
    if settings.run.write_config:
        say(settings.toml().rstrip("\n"))
        return 0
    set_output_form(settings.run.quiet, settings.run.json)
    for name in ("size", "style_size"):
        if getattr(config, name) > MAX_PLAN_SIDE:
            raise HandstyleError(f"{name}={getattr(config, name)}: must be {MAX_PLAN_SIDE} or less")
    if content is None:
        config.check_styles(styles)
        photograph, *paintings = (dummy_picture(MAX_PLAN_SIDE) for _ in range(1 + styles))
    else:
        sources, config = collect_styles(pictures, config)
        if not sources:
            raise HandstyleError("plan: give the paintings as for stylize, or no picture and --styles N")
        output, settings = with_output(output, f"{content.stem}_painting.png", settings)
        check_before(output, config, settings.run)
        photograph, paintings = read_inputs(config, content, sources)
    if output is not None:
        check_outputs(output, config, settings.run, None if content is None else photograph)
    print_notes(settings.idle_notes(len(paintings)))
    settings = replace(settings, config=config)
    planned = planned_run(settings, photograph, paintings, gpu_memory).fitted()
    config.check_layers(planned.network)
    if content is not None:
        check_reach(config, planned.network, photograph, paintings)
        check_files(config, planned.network, photograph, paintings)
        print_notes(picture_notes(config, planned.network, photograph, paintings))
    if settings.network.weights in ARCHITECTURES and find_weights(settings.network.weights) is None:
        say(f"{settings.network.weights} is not installed: the forecast uses the shapes of its layers")
    time = run_time(planned)
    needs = time.needs
    title = f"{settings.network.weights}, {planned.network.engine.name}, {config.optimizer}, MiB"
    table = Table(title=Text(title))
    for heading in ("scale", "steps", "s each", "weights", "evaluate", "optimize", "measure", "picture"):
        table.add_column(heading, justify="right", no_wrap=True)
    scales = list[dict[str, Any]]()
    for need, seconds in zip(needs, time.seconds, strict=True):
        parts = (need.weights, need.evaluation, need.optimizer + need.scipy, need.measuring, need.pictures)
        each = "?" if math.isnan(seconds) else f"{seconds:.3f}"
        cells = (f"{part / 2**20:,.0f}" for part in parts)
        table.add_row(f"{need.size[1]}x{need.size[0]}", str(need.iterations), each, *cells)
        scales.append({"width": need.size[1], "height": need.size[0], "iterations": need.iterations})
        peak = need.device if planned.own_memory else need.total
        scales[-1] |= {"seconds": None if math.isnan(seconds) else seconds, "bytes": peak}
    out.print(table)
    facts = {"seconds": None if math.isnan(time.total) else time.total, "fits": not planned.shortage()}
    event("plan", network=settings.network.weights, kernels=planned.network.engine.name, scales=scales, **facts)
    say(describe_strength(config, planned.network), *map(as_flags, describe_plan(planned, time)))
    return 0


def planned_run(
    settings: Settings, photograph: Picture, paintings: Sequence[Picture], gpu_memory: float | None
) -> RunMemory:
    """Return the data for the forecast of a run: network, sizes of pictures, and free memory."""
    config, network, run = settings.config, settings.network, settings.run
    if gpu_memory is None and choose_backend(network.backend).name == "cupy":
        return RunMemory.now(config, settings.load(), photograph, paintings)
    precision = "tf32" if run.precision == "tf32" or network.kernels == "cuda-tf32" else "float32"
    host = network if gpu_memory is None else replace(network, kernels="auto")
    loaded = host_network(host).astype("float64" if run.precision == "float64" else "float32")
    if gpu_memory is None:
        return RunMemory.now(config, loaded, photograph, paintings)
    from handstyle.kernels.cuda.dry_device import DryDevice
    from handstyle.kernels.cuda.engine import CudaEngine

    free = int(gpu_memory * 2**30)
    dry = loaded.with_kernels(CudaEngine(DryDevice(precision, free=free)))
    return RunMemory(config, dry, photograph, paintings, own_memory=True, free=free - loaded.weight_bytes)


def describe_plan(planned: RunMemory, time: RunTime) -> list[str]:
    """Return sentences on the total time and peak memory of a run, and on the largest pictures that fit."""
    config, needs, lines = planned.config, time.needs, list[str]()
    if words := str(time):
        lines += [words, *load_warning(average_load())]
    known = math.isfinite(planned.free)
    free = f"{mebibytes(planned.free)} are free" if known else "how much is free is not known on this system"
    if planned.own_memory:
        device, host = max(need.device for need in needs), max(need.host for need in needs)
        lines.append(f"peak memory: {mebibytes(device)} of the GPU, {mebibytes(host)} of the host; {free}")
    else:
        lines.append(f"peak memory: {mebibytes(max(need.total for need in needs))}; {free}")
    side = round(math.sqrt(FEW_PIXELS))
    small = [need for need in needs if need.size[0] * need.size[1] <= FEW_PIXELS]
    larger = replace(config, size=side + 16, pyramid_min_size=0)
    if small and replace(planned, config=larger).needs()[0].evaluation < max(need.evaluation for need in small):
        lines.append(
            f"up to {side} x {side} px an evaluation takes more memory than just above: the transformed kernels of the "
            "convolutions are kept from one evaluation to the next, which saves a tenth of the time"
        )
    if planned.tiled:
        lines.append(planned.tiled)
    if missing := planned.shortage():
        lines.append(f"does not fit: {missing}; {planned.advice()}")
    if not known:
        return lines
    largest = planned.largest_size(MAX_PLAN_SIDE)
    lines.append(f"largest square picture that fits: {largest} px a side")
    if config.style_statistic != "patches":
        tiled = replace(planned, network=by_tiles(planned.network, 1024)).largest_size(MAX_PLAN_SIDE)
        lines += [f"largest with tiles of 1024 px: {tiled} px a side"] * (tiled > largest)
    return lines


def host_network(network: NetworkConfig) -> Network:
    """Return the network on the host, with random weights of the right shapes if the weights are not installed."""
    host = replace(network, backend="numpy")
    try:
        return host.load("float32")
    except HandstyleError:
        if network.weights not in ARCHITECTURES:
            raise
    drawn = random_weights(network.weights, WIDTHS)
    return load_network(drawn, backend="numpy", kernels=network.kernels, pooling=network.pooling)


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
        use_cores(threads)
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
        for table in bench_tables(f"one evaluation at {size}², {network.weights}", list(here), rates):
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


def bench_tables(title: str, rows: Sequence[BenchRow], rates: Machine) -> list[Table]:
    """Return two tables for one size: the times, and the operations and bytes compared with the machine's rates."""
    times = make_table(f"{title}, in milliseconds", "fastest", "median", "95 %", "GFLOP/s", "differs")
    limits = make_table("first evaluation, and the method's own operations and bytes", *RATE_COLUMNS)
    for row in rows:
        interval = f"{milliseconds(row.low)}–{milliseconds(row.high)}"
        speed = f"{row.operations / row.median / 1e9:,.0f}"
        fastest, median = milliseconds(row.fastest), milliseconds(row.median)
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
        limits.add_row(row.what, milliseconds(row.first), *cells)
    return [times, limits]


RATE_COLUMNS = ("first", "FLOP/B", "GFLOP/s", "GB/s", "of roof", "MiB", "J")


def make_table(title: str, *headings: str) -> Table:
    """Return an empty table with a title and headings that fits into a width of eighty characters."""
    table = Table(title=Text(title), box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("by", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def milliseconds(seconds: float) -> str:
    """Return a time as text in milliseconds, with one decimal if it is below 100 ms."""
    return f"{1e3 * seconds:,.1f}" if seconds < 0.1 else f"{1e3 * seconds:,.0f}"


def use_cores(count: int) -> None:
    """Restrict this process to `count` cores; to be called before any thread is started."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if not 1 <= count <= len(cores):
        here = f"1 to {len(cores)} here" if cores else "it needs Linux"
        raise HandstyleError(f"--threads {count}: {here}")
    os.sched_setaffinity(0, cores[:count])


def load_warning(load: float) -> list[str]:
    """Return a list with a warning if other programs use this machine's cores; otherwise an empty list."""
    cores = cpu_count()
    said = f"the machine is busy (load {load:.1f} on {cores} cores): alone, the run takes less time"
    return [said] if is_busy(load, cores) else []
