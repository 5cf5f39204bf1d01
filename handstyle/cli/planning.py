"""The command ``plan``, which forecasts the memory and the time of a run."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from handstyle.cli.announcing import print_notes
from handstyle.cli.bench import average_load, load_warning
from handstyle.cli.options import (
    PICTURES,
    Flat,
    NetworkConfig,
    Output,
    Settings,
    Whole,
    all_fields,
    as_flags,
    make_flags,
    mebibytes,
    resolve,
)
from handstyle.cli.outputs import check_before, check_outputs
from handstyle.cli.painting import with_output
from handstyle.cli.terminal import event, out, say, set_output_form
from handstyle.foundations.backend import choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.foundations.picture_reading import Picture
from handstyle.kernels.counting import FEW_PIXELS
from handstyle.kernels.tiles import by_tiles
from handstyle.network.vgg import ARCHITECTURES, WIDTHS, Network, random_weights
from handstyle.network.weights import find_weights
from handstyle.painting.call_options import collect_styles
from handstyle.painting.inputs import read_inputs
from handstyle.painting.load import load_network
from handstyle.painting.memory import RunMemory, dummy_picture
from handstyle.painting.notes import check_reach, picture_notes
from handstyle.painting.plan import check_files
from handstyle.painting.strength import describe_strength
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

    Examples
    --------
    .. code-block:: console

        $ handstyle plan --size 2048
        $ handstyle plan photograph.jpg painting.jpg --size 2048 --gpu-memory 24
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
    planned = _planned_run(settings, photograph, paintings, gpu_memory).fitted()
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
    say(describe_strength(config, planned.network), *map(as_flags, _describe_plan(planned, time)))
    return 0


def _planned_run(
    settings: Settings, photograph: Picture, paintings: Sequence[Picture], gpu_memory: float | None
) -> RunMemory:
    """Return the data for the forecast of a run: network, sizes of pictures, and free memory."""
    config, network, run = settings.config, settings.network, settings.run
    if gpu_memory is None and choose_backend(network.backend).name == "cupy":
        return RunMemory.now(config, settings.load(), photograph, paintings)
    precision = "tf32" if run.precision == "tf32" or network.kernels == "cuda-tf32" else "float32"
    host = network if gpu_memory is None else replace(network, kernels="auto")
    loaded = _host_network(host).astype("float64" if run.precision == "float64" else "float32")
    if gpu_memory is None:
        return RunMemory.now(config, loaded, photograph, paintings)
    from handstyle.kernels.cuda.dry_device import DryDevice
    from handstyle.kernels.cuda.engine import CudaEngine

    free = int(gpu_memory * 2**30)
    dry = loaded.with_kernels(CudaEngine(DryDevice(precision, free=free)))
    return RunMemory(config, dry, photograph, paintings, own_memory=True, free=free - loaded.weight_bytes)


def _describe_plan(planned: RunMemory, time: RunTime) -> list[str]:
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
    if small and replace(planned, config=larger).needs[0].evaluation < max(need.evaluation for need in small):
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


def _host_network(network: NetworkConfig) -> Network:
    """Return the network on the host, with random weights of the right shapes if the weights are not installed."""
    host = replace(network, backend="numpy")
    try:
        return host.load("float32")
    except HandstyleError:
        if network.weights not in ARCHITECTURES:
            raise
    drawn = random_weights(network.weights, WIDTHS)
    return load_network(drawn, backend="numpy", kernels=network.kernels, pooling=network.pooling)
