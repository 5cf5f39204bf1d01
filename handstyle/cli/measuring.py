"""The commands that measure: ``plan``, before anything is allocated, and ``bench``, on the reader's own machine."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from rich.table import Table

from handstyle.cli.bench import BenchRow, draw
from handstyle.cli.bench import bench as take_turns
from handstyle.cli.options import Flat, NetworkConfig, mebibytes, out
from handstyle.foundations.backend import available_memory, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cpu.forecast import USABLE, forecast, largest_side
from handstyle.kernels.cpu.rates import calibrate
from handstyle.network.vgg import ARCHITECTURES, WIDTHS, Network, random_weights
from handstyle.painting.config import StyleConfig
from handstyle.painting.load import load_network


def plan(
    *,
    size: int = 512,
    gpu_memory: float = 0.0,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print what painting at a size will take, in memory and time, before anything is allocated.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    gpu_memory : float
        Plan for a GPU that is not here, with so many GiB free.
    """
    if size < 16:
        raise HandstyleError(f"--size {size}: must be 16 or more")
    device = choose_backend("numpy" if gpu_memory > 0 else network.backend)
    if gpu_memory > 0 or device.name == "cupy":
        name = device.device if device.name == "cupy" else "a GPU that is not here"
        free = int(gpu_memory * 2**30) if gpu_memory > 0 else device.free_memory()
        return plan_gpu(network, size, name, free)
    counted = shape_of(network)
    expected = forecast(counted, size, size, machine=calibrate())
    table = Table(title=f"{network.weights}, kernels {counted.engine.name}, {size} x {size} px, {device.device}")
    for heading in ("layer", "direction", "kernel", "GFLOP", "MiB moved", "ms"):
        table.add_column(heading, justify="left" if heading in ("layer", "direction", "kernel") else "right")
    for row in expected.layers:
        work = f"{(row.cost.products + row.cost.transforms) / 1e9:.2f}"
        moved, took = f"{row.cost.moved / 2**20:,.0f}", f"{1e3 * expected.machine.seconds(row.cost):.1f}"
        table.add_row(row.layer, row.direction, row.kernel, work, moved, took)
    out.print(table)
    free, minutes = available_memory(), 200 * expected.seconds / 60
    out.print(f"one evaluation: {expected.seconds:.2f} s at the measured rates; 200 iterations: {minutes:.1f} min")
    optimizer = mebibytes(expected.optimizer_bytes)
    out.print(
        f"peak memory: {mebibytes(expected.peak_bytes)}, the optimizer's {optimizer} in it; {mebibytes(free)} free"
    )
    side = largest_side(counted, 1 << 14, 1 << 14, int(USABLE * free))
    out.print(f"largest square picture that fits: {side} px a side")
    return 0


def plan_gpu(network: NetworkConfig, size: int, name: str, free: int) -> int:
    """Print what each optimizer takes of a GPU with `free` bytes, and how each convolution would be done."""
    from handstyle.painting.need import choices

    precision = "tf32" if network.kernels == "cuda-tf32" else "float32"
    counted = shape_of(replace(network, kernels="auto"))
    rows = choices(counted, StyleConfig(), (size, size), free, precision)
    table = Table(title=f"{network.weights}, {precision}, {size} x {size} px on {name}, {free / 2**30:.2f} GiB free")
    for heading in ("GiB", "picture", "targets", "weights", "its own", "in all", "host", "largest"):
        table.add_column(heading, justify="left" if heading == "GiB" else "right")
    for row in rows:
        need = row.need
        parts = (need.evaluation, need.targets, need.weights, need.optimizer, need.device, need.host)
        table.add_row(row.name, *(f"{part / 2**30:.2f}" for part in parts), f"{row.side}²")
    out.print(table)
    for scratch in sorted({row.scratch for row in rows}, reverse=True):
        out.print(f"{scratch >> 20} MiB of scratch in it: {', '.join(r.name for r in rows if r.scratch == scratch)}")
    chosen = rows[0].need.run.chosen
    for method in dict.fromkeys(chosen.values()):
        out.print(f"{method}: {', '.join(layer for layer, way in chosen.items() if way == method)}")
    return 0


def shape_of(network: NetworkConfig) -> Network:
    """Return a network of the right shape on the host, with random weights where the named ones are not here."""
    host = replace(network, backend="numpy")
    try:
        return host.load("float32")
    except HandstyleError:
        if network.weights not in ARCHITECTURES:
            raise
    drawn = random_weights(network.weights, WIDTHS)
    return load_network(drawn, backend="numpy", kernels=network.kernels, pooling=network.pooling)


def bench(
    *sizes: int,
    rounds: int = 5,
    plot: Path | None = None,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Time one evaluation on this machine, every engine in turn: CPU, GPU where there is one, PyTorch where installed.

    Parameters
    ----------
    sizes : int
        Sides of the pictures, pixels; 256 and 512 by default.
    rounds : int
        Turns of each.
    plot : Path
        Draw the comparison into this new file.
    """
    host = shape_of(replace(network, kernels="auto"))
    contestants = {f"{kernels}, CPU": host.with_kernels(kernels) for kernels in ("auto", "im2col", "reference")}
    device = choose_backend(network.backend)
    if device.name == "cupy":
        there = host.to(device)
        for kernels in ("cuda", "cuda-tf32"):
            contestants[f"{kernels}, {device.device}"] = there.with_kernels(kernels)
    table = Table(title=f"one evaluation, {network.weights}: value and gradient")
    for heading in ("size", "by", "fastest", "median", "gradient differs by"):
        table.add_column(heading, justify="left" if heading == "by" else "right")

    def show(row: BenchRow) -> None:
        cells = (f"{row.fastest:.4f} s", f"{row.median:.4f} s", f"{row.difference:.1e}")
        table.add_row(f"{row.size}²", row.what, *cells)

    rows = take_turns(contestants, sizes or (256, 512), rounds, show)
    out.print(table)
    if plot is not None:
        draw(rows, plot)
        out.print(f"drawn in {plot}")
    return 0
