"""The command ``info``, which describes a network, a preset, or the recipe of a picture."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table
from rich.text import Text

from handstyle.cli.again import picture_info
from handstyle.cli.options import Flat, NetworkConfig, Precision, Whole, as_flags, mebibytes
from handstyle.cli.terminal import out, say
from handstyle.foundations.errors import HandstyleError
from handstyle.network.vgg import Network, summary
from handstyle.optimize.objective import engine_of
from handstyle.painting.config import StyleConfig
from handstyle.painting.convert_weights import equivalent_weights
from handstyle.painting.planned_terms import planned_terms
from handstyle.painting.presets import PRESETS, find_preset
from handstyle.painting.recipe import read_recipe
from handstyle.painting.setting_values import check_range
from handstyle.painting.settings import settings_toml


def info(
    picture: Path | None = None,
    /,
    *,
    recipe: Annotated[bool, Parameter(negative="")] = False,
    size: Whole = 512,
    preset: str = "",
    as_: Annotated[str, Parameter(name="--as")] = "",
    precision: Precision = "float32",
    network: Annotated[NetworkConfig, Flat] = NetworkConfig(),
) -> int:
    """Print the layers of a network with outputs, parameters, receptive fields and memory, or a preset, or a recipe.

    Parameters
    ----------
    picture : Path
        Print the settings, inputs and network of this picture, from the recipe in its file.
    recipe : bool
        With a picture, print the whole recipe as TOML, for --config, which also accepts the picture itself.
    size : int
        Side of the picture in pixels, for the sizes of the outputs.
    preset : str
        Print the settings of this preset and their source instead; all prints a list of presets.
    as_ : str
        With --preset, print the preset's loss weights converted to the normalizations of this other preset.
    precision : str
        Precision of the network: float32 or float64.

    Examples
    --------
    .. code-block:: console

        $ handstyle info --size 512
        $ handstyle info --preset gatys
        $ handstyle info painting.png
    """
    if picture is not None:
        say(*(read_recipe(picture).toml().splitlines() if recipe else picture_info(picture, read_recipe(picture))))
        return 0
    if recipe:
        raise HandstyleError("--recipe prints the recipe of a picture: name the picture")
    if as_ and not preset:
        raise HandstyleError("--as NAME converts the weights of a preset: add --preset")
    check_range("size", size, int)
    if preset:
        return _preset_info(preset, as_, size, network)
    loaded = network.load(precision)
    rows = summary(loaded, size, size)
    bytes_each = loaded.dtype.itemsize
    title = f"{network.weights} ({loaded.architecture}), {loaded.convention.name}, {size} x {size} px"
    table = Table(title=Text(title))
    for heading in ("layer", "output", "parameters", "field", "map"):
        table.add_column(heading, justify="left" if heading == "layer" else "right")
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        parameters = f"{row.parameters:,}" if row.parameters else ""
        table.add_row(row.name, shape, parameters, f"{row.receptive_field} px", mebibytes(row.values * bytes_each))
    out.print(table)
    out.print(f"parameters: {sum(row.parameters for row in rows):,}")
    out.print(f"all feature maps: {mebibytes(sum(row.values for row in rows) * bytes_each)}")
    out.print("field: side of the part of the picture on which a value depends (receptive field)")
    if how := _methods(loaded, size):
        say(f"kernels {loaded.engine.name}: {how}")
    return 0


def _methods(network: Network, size: int) -> str:
    """Return a description of the engine's method for each convolution of an evaluation up to the deepest layer."""
    deepest = next(row.name for row in reversed(summary(network, size, size)) if row.name.startswith("relu"))
    config = StyleConfig(style_layers=(deepest,), content_weight=0.0)
    engine = engine_of(network)
    engine.forecast(network, planned_terms(config, network, (size, size)), (size, size, 3))  # which chooses the methods
    return engine.describe()


def _preset_info(name: str, other: str, size: int, network: NetworkConfig) -> int:
    """Print all presets, one preset, or its loss weights converted to the normalizations of another."""
    if name == "all":
        table = Table("preset", "looks like", title="presets")
        for each, chosen in PRESETS.items():
            table.add_row(each, chosen.looks)
        out.print(table)
        say("the settings of a preset and their sources: handstyle info --preset NAME")
        return 0
    chosen = find_preset(name)
    if not other:
        say(f"# {chosen.name}: {chosen.source}", f"# {chosen.looks}", *(as_flags(f"# {note}") for note in chosen.notes))
        say(f"# {chosen.architecture}, weights in {chosen.convention}'s convention")
        say(f"# optimizers that work with it: {', '.join(chosen.optimizers)}")
        own = {"pooling": chosen.pooling, "padding": chosen.padding, "rounding": chosen.rounding}
        say(settings_toml(chosen.config, own).rstrip("\n"))
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
    out.print("all weights of a run may be multiplied by one number; the picture stays the same")
    if chosen.convention != target.convention or chosen.input != target.input:
        out.print("the two use different input conventions: the weights are equivalent at equal features")
    return 0
