"""The commands that measure: ``plan``, before anything is allocated, and ``bench``, on the reader's own machine."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from rich.table import Table

from handstyle.cli.options import Flat, NetworkConfig, mebibytes, out
from handstyle.foundations.backend import available_memory, choose_backend
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.bench import BenchRow, draw
from handstyle.kernels.bench import bench as take_turns
from handstyle.kernels.cuda_memory import evaluation_memory
from handstyle.kernels.cuda_memory import largest_side as largest_side_on_gpu
from handstyle.kernels.forecast import USABLE, calibrate, forecast, largest_side
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import ARCHITECTURES, WIDTHS, Network, random_weights
from handstyle.painting.config import StyleConfig
from handstyle.painting.networks import load_network


def plan(
    *,
    size: int = 512,
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print what painting at a size will take, in memory and time, before anything is allocated.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    """
    if size < 16:
        raise HandstyleError(f"--size {size}: must be 16 or more")
    counted = shape_of(network)
    taps = (*StyleConfig().style_layers, *StyleConfig().content_layers)
    device = choose_backend(network.backend)
    if device.name == "cupy":
        weights = sum(layer.w.nbytes for layer in counted.layers if isinstance(layer, Convolution))
        free = device.free_memory() - weights
        need = evaluation_memory(counted.layers, (size, size), taps)
        out.print(f"{network.weights}, {size} x {size} px on {device.device}")
        out.print(f"one evaluation: {mebibytes(need)} of {mebibytes(free)} free beside the weights")
        out.print(f"largest square picture that fits: {largest_side_on_gpu(counted.layers, taps, free)} px a side")
        return 0
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
    optimiser = mebibytes(expected.optimizer_bytes)
    out.print(
        f"peak memory: {mebibytes(expected.peak_bytes)}, the optimiser's {optimiser} in it; {mebibytes(free)} free"
    )
    side = largest_side(counted, 1 << 14, 1 << 14, int(USABLE * free))
    out.print(f"largest square picture that fits: {side} px a side")
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
    host = shape_of(network)
    contestants = {f"{kernels}, CPU": host.with_kernels(kernels) for kernels in ("auto", "im2col", "reference")}
    device = choose_backend("auto")
    if device.name == "cupy":
        contestants[f"cuda, {device.device}"] = host.to(device).with_kernels("cuda")
    table = Table(title=f"one evaluation, {network.weights}: value and gradient")
    for heading in ("size", "by", "fastest", "median", "gradient differs by"):
        table.add_column(heading, justify="left" if heading == "by" else "right")

    def show(row: BenchRow) -> None:
        cells = (f"{row.fastest:.3f} s", f"{row.median:.3f} s", f"{row.difference:.1e}")
        table.add_row(f"{row.size}²", row.what, *cells)

    rows = take_turns(contestants, sizes or (256, 512), rounds, show)
    out.print(table)
    if plot is not None:
        draw(rows, plot)
        out.print(f"drawn in {plot}")
    return 0
