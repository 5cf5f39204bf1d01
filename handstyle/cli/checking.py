"""The command ``check``, which runs the gradient checks and prints a table of the results."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from handstyle.cli.options import Flat, NetworkConfig, Precision, Whole, all_fields, make_flags, resolve
from handstyle.cli.terminal import out
from handstyle.foundations.errors import printable
from handstyle.painting.report import format_bound
from handstyle.painting.selfcheck import Row, check_own_layer, find_layer, self_check


def check(
    *,
    quick: Annotated[bool, Parameter(negative="")] = False,
    module: str = "",
    preset: str = "",
    config: Path | None = None,
    size: Whole = 32,
    seed: Whole = 0,
    precision: Precision = "float32",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Check every gradient: of every layer, of every kind of term, and of the engine compared with the reference.

    The exit status is 1 if a check fails. The checks take a minute or two for the small network, longer for VGG-19.

    Parameters
    ----------
    quick : bool
        Check only the layers, the default objective and that of --preset or --config, in seconds.
    module : str
        Check a layer of your own instead, MODULE:LAYER: a class or object with forward(x) -> (y, cache) and
        backward(dy, cache) -> dx, in a file MODULE.py of this folder or any importable module.
    preset : str
        Check the terms of this preset, too, on the network of the flags; handstyle info --preset all lists all of them.
    config : Path
        Check the terms of this TOML file of settings, or of a picture with a recipe, too. The network is that of the
        flags.
    size : int
        Side in pixels of the random picture for finite differences, at least 16.
    seed : int
        Seed of the random pictures and directions.
    precision : str
        Precision of the network; with float32, the engine is also compared in float32 with the reference in float64.

    Examples
    --------
    .. code-block:: console

        $ handstyle check --quick
        $ handstyle check --module my_layer:Swish
    """
    if module:
        sys.path.insert(0, str(Path.cwd()))
        rows, title = iter(check_own_layer(find_layer(module), seed=seed)), module
    else:
        loaded = network.load(precision)
        title = f"{network.weights}, {precision}, kernels {loaded.engine.name}"
        configs = {}
        if preset or config is not None:
            flags = make_flags("CheckFlags", list(all_fields()), everything=False)
            settings = resolve(replace(flags, preset=preset or None, config=None if config is None else str(config)))
            configs[preset if config is None else printable(config.name)] = settings.config
        rows = self_check(loaded, size, seed, quick=quick, configs=configs)
    table = Table(title=Text(title))
    for heading in ("of", "check", "measured", "expected", "kinks crossed", "verdict"):
        table.add_column(heading, justify="right" if heading in ("measured", "kinks crossed") else "left")
    found: list[Row] = []
    for row in rows:
        found.append(row)
        if row.report is None:
            table.add_row(row.subject, Text(f"not checked: {row.why}"), "", "", "", "-")
            continue
        expected = format_bound(row.report.bound)
        cells = (row.report.check, f"{row.report.measured:.2e}", expected, str(row.report.kinks or ""))
        table.add_row(row.subject, *cells, "ok" if row.report else "[bold red]FAILED")
    out.print(table)
    failed = sum(row.report is not None and not row.report for row in found)
    unchecked = sum(row.report is None for row in found)
    checked = len(found) - unchecked
    left = f"; {unchecked} rows could not be checked, see why above" if unchecked else ""
    if failed:
        out.print(f"{failed} of {checked} checks FAILED{left}")
        return 1
    out.print(f"all {checked} checks passed{left}")
    return 0
