"""The commands that look: ``check`` and ``info``."""

from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from handstyle.cli.options import Flat, NetworkConfig, Precision, mebibytes, out
from handstyle.foundations.errors import HandstyleError
from handstyle.kernels.cpu.engine import CpuEngine
from handstyle.kernels.cuda.engine import CudaEngine
from handstyle.kernels.cuda.forecast import dry_run
from handstyle.network.sequence import Convolution
from handstyle.network.vgg import LayerSummary, Network, summary
from handstyle.painting.convert_weights import equivalent_weights
from handstyle.painting.presets import PRESETS
from handstyle.painting.presets import preset as find_preset
from handstyle.painting.selfcheck import self_check
from handstyle.painting.settings import settings_toml


def check(
    *,
    size: int = 32,
    seed: int = 0,
    precision: Precision = "float64",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Check every gradient of a network, by adjoints, differences and Taylor; exit status 1 if one fails.

    Parameters
    ----------
    size : int
        Side of the random picture, pixels.
    seed : int
        Of the picture and of the directions.
    precision : str
        float64, where differences can judge, or float32.
    """
    if size < 16:
        raise HandstyleError(f"--size {size}: must be 16 or more")
    loaded = network.load(precision)
    table = Table(title=f"{network.weights}, {precision}, kernels {loaded.engine.name}")
    for heading in ("of", "check", "measured", "expected", "kinks crossed", "verdict"):
        table.add_column(heading, justify="right" if heading in ("measured", "kinks crossed") else "left")
    failures = 0
    for subject, found in self_check(loaded, size, seed):
        bound = found.bound
        expected = f"{bound[0]} to {bound[1]}" if isinstance(bound, tuple) else f"at most {bound:.0e}"
        verdict = "ok" if found else "[bold red]FAILED"
        table.add_row(subject, found.check, f"{found.measured:.2e}", expected, str(found.kinks or ""), verdict)
        failures += not found
    out.print(table)
    out.print("every gradient is right" if not failures else f"{failures} checks FAILED")
    return 1 if failures else 0


def info(
    *,
    size: int = 512,
    preset: str = "",
    as_: Annotated[str, Parameter(name="--as")] = "",
    precision: Precision = "float32",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print the network: every layer, its output, parameters, receptive field and memory. Or a preset.

    Parameters
    ----------
    size : int
        Side of the picture, pixels.
    preset : str
        Print this preset instead: its settings, and where they are from; all for a list.
    as_ : str
        With --preset: print the preset's weights in the units of this other one.
    precision : str
        float32 or float64.
    """
    if as_ and not preset:
        raise HandstyleError("--as NAME carries weights over from a preset: add --preset")
    if preset:
        return preset_info(preset, as_, size, network)
    loaded = network.load(precision)
    rows = summary(loaded, size, size)
    bytes_each = loaded.dtype.itemsize
    table = Table(title=f"{network.weights} ({loaded.architecture}), {loaded.convention.name}, {size} x {size} px")
    for heading in ("layer", "output", "parameters", "field", "map", "kernels"):
        table.add_column(heading, justify="left" if heading in ("layer", "kernels") else "right")
    kernels = kernels_of(loaded, rows, size)
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        parameters = f"{row.parameters:,}" if row.parameters else ""
        table.add_row(
            row.name,
            shape,
            parameters,
            f"{row.receptive_field} px",
            mebibytes(row.values * bytes_each),
            kernels.get(row.name, ""),
        )
    out.print(table)
    out.print(f"parameters: {sum(row.parameters for row in rows):,}")
    out.print(f"all feature maps: {mebibytes(sum(row.values for row in rows) * bytes_each)}")
    out.print("field: of the picture, what a value depends on")
    tiles = "winograd4" if isinstance(loaded.engine, CudaEngine) else "4x4"
    out.print(f"kernels {loaded.engine.name}: forward / back; {tiles}: the tiles of Winograd's convolution")
    return 0


def kernels_of(network: Network, rows: list[LayerSummary], size: int) -> dict[str, str]:
    """Return how the engine would do each convolution, forward and, where that is different, back."""
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    shapes = {row.name: row.shape for row in rows}
    if isinstance(network.engine, CudaEngine):
        precision = network.engine.device.precision
        chosen = dry_run(
            network.layers, (size, size), [network.names[-1]], dtype=network.dtype, precision=precision
        ).chosen
        ways = {
            layer.name: [chosen.get(f"{layer.name} {way}", "") for way in ("forward", "adjoint")]
            for layer in convolutions
        }
    elif isinstance(network.engine, CpuEngine):
        ways = {}
        for layer in convolutions:
            H, W, K = shapes[layer.name]
            C = layer.w.shape[2]
            ways[layer.name] = [network.engine.kernel_of(H, W, C, K, False), network.engine.kernel_of(H, W, K, C, True)]
    else:
        return {}
    return {name: " / ".join(dict.fromkeys(way)).replace("winograd ", "") for name, way in ways.items()}


def preset_info(name: str, other: str, size: int, network: NetworkConfig) -> int:
    """Print the presets, one preset, or its weights in the units of another."""
    if name == "all":
        table = Table("preset", "optimizer", "from", title="presets")
        for each, chosen in PRESETS.items():
            table.add_row(each, chosen.config.optimizer, chosen.source)
        out.print(table)
        return 0
    chosen = find_preset(name)
    if not other:
        out.print(f"# {name}: {chosen.source}", markup=False, highlight=False, soft_wrap=True)
        for note in chosen.notes:
            out.print(f"# {note}", markup=False, highlight=False, soft_wrap=True)
        out.print(f"# {chosen.architecture}, weights in {chosen.weights}'s convention", highlight=False)
        out.print(f"# optimizers that can serve it: {', '.join(chosen.optimizers)}", highlight=False)
        own = {"pooling": chosen.pooling, "padding": chosen.padding, "rounding": chosen.rounding}
        out.print(settings_toml(chosen.config, own), end="", markup=False, highlight=False, soft_wrap=True)
        return 0
    target = find_preset(other)
    rows = equivalent_weights(chosen, target, network.load("float32"), size, size)
    table = Table(title=f"weights of {name} in the units of {other}, at {size} x {size} px")
    for heading in ("term", name, f"as {other}", f"{other}'s own", ""):
        table.add_column(heading, justify="left" if heading in ("term", "") else "right")
    for row in rows:
        shown = ["" if value is None else f"{value:.6g}" for value in (row.weight, row.equivalent, row.own)]
        table.add_row(row.term, *shown, row.note)
    out.print(table)
    out.print("all weights of a run may be multiplied by one number")
    if chosen.weights != target.weights or chosen.input != target.input:
        out.print("the two feed their networks differently: the weights are equivalent at equal features")
    return 0
